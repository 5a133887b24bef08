import { InputError } from '../../errors.ts';

/** Digits or bytes of one whole number: far more than any file of ours needs, and what is quick to convert. */
const maxIntegerLength = 1024;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text of another program in a message: short, on one line. */
export function quoted(text: string): string {
  const short = text.length > 100 ? `${text.slice(0, 100)}…` : text;
  return short.replaceAll(/[^\x20-\x7e…]/g, '?');
}

/** Reads the arguments of opcodes; whatever lies beyond the end is an error, not a read. */
export class PickleReader {
  readonly bytes: Uint8Array;
  position: number;
  readonly #where: string;
  readonly #base: number;
  readonly #view: DataView;

  /**
   * @param where the file, for messages
   * @param start position of the first opcode in `bytes`
   */
  constructor(bytes: Uint8Array, where: string, start: number) {
    this.bytes = bytes;
    this.position = start;
    this.#where = where;
    this.#base = start;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** An error at a position, which is told counted from the pickle's first byte. */
  fault(code: string, what: string, at: number): InputError {
    return new InputError(`PICKLE_${code}`, `${this.#where}, byte ${at - this.#base}: ${what}`);
  }

  /** Takes `count` bytes. @throws InputError `PICKLE_TRUNCATED` */
  take(count: number): Uint8Array {
    const begin = this.position;
    if (count > this.bytes.byteLength - begin) {
      throw this.fault(
        'TRUNCATED',
        `${count} bytes are announced and ${this.bytes.byteLength - begin} follow. The file is cut off or damaged; get it again.`,
        begin,
      );
    }
    this.position = begin + count;
    return this.bytes.subarray(begin, this.position);
  }

  uint8(): number {
    return this.take(1)[0]!;
  }

  uint16(): number {
    const { position } = this;
    this.take(2);
    return this.#view.getUint16(position, true);
  }

  int32(): number {
    const { position } = this;
    this.take(4);
    return this.#view.getInt32(position, true);
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  /** A length of eight bytes; one beyond the end is found by `take`. */
  uint64(): number {
    const { position } = this;
    this.take(8);
    return Number(this.#view.getBigUint64(position, true));
  }

  float64(): number {
    const { position } = this;
    this.take(8);
    return this.#view.getFloat64(position, false);
  }

  /** A little-endian whole number in two's complement. */
  long(length: number): number | bigint {
    const at = this.position;
    if (length > maxIntegerLength) {
      throw this.fault(
        'LIMIT',
        `a whole number of ${length} bytes; at most ${maxIntegerLength} are read.`,
        at,
      );
    }
    const bytes = this.take(length);
    if (length === 0) return 0;
    const digits = Buffer.from(bytes).reverse().toString('hex');
    const value = BigInt.asIntN(length * 8, BigInt(`0x${digits}`));
    return compact(value);
  }

  /** The rest of a line, as the opcodes of protocol 0 have their arguments. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end < 0) {
      throw this.fault(
        'TRUNCATED',
        'a line is not ended. The file is cut off or damaged; get it again.',
        this.position,
      );
    }
    const text = Buffer.from(this.take(end - this.position)).toString('latin1');
    this.position = end + 1;
    return text;
  }

  /** A whole number written in digits, `L` at its end or not. */
  decimal(): number | bigint {
    const at = this.position;
    const text = this.line();
    if (text.length > maxIntegerLength || !/^\s*[+-]?\d+L?\s*$/.test(text)) {
      throw this.fault('INVALID', `"${quoted(text)}" is not a whole number.`, at);
    }
    return compact(BigInt(text.trim().replace(/L$/, '').replace(/^\+/, '')));
  }

  /** A floating-point number written as Python writes it. */
  float(): number {
    const at = this.position;
    const text = this.line().trim();
    const special = { inf: Infinity, '-inf': -Infinity, nan: Number.NaN }[text];
    if (special !== undefined) return special;
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
      throw this.fault('INVALID', `"${quoted(text)}" is not a number.`, at);
    }
    return Number(text);
  }

  /** UTF-8 text. @throws InputError `PICKLE_INVALID` */
  text(length: number): string {
    const at = this.position;
    const bytes = this.take(length);
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.fault('INVALID', `a string of ${length} bytes is not UTF-8.`, at);
    }
  }
}

/** A number where that is exact. */
function compact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

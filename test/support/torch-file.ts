import { writeFile } from 'node:fs/promises';
import { crc32, deflateRawSync } from 'node:zlib';
import { elementCount, type SafetensorsDtype } from '../../src/io/safetensors/header.ts';

/** A writer of what `torch.save` writes, for tests that need other contents than the files of test/fixtures/torch. */

/** A tensor in row-major order, unless strides are given. `bytes` is its storage. */
export class TensorToWrite {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  readonly layout: {
    readonly offset?: number;
    readonly strides?: readonly number[];
    readonly elements?: number;
  };

  constructor(
    dtype: SafetensorsDtype,
    shape: readonly number[],
    data: ArrayBufferView,
    layout: TensorToWrite['layout'] = {},
  ) {
    this.dtype = dtype;
    this.shape = shape;
    this.bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.layout = layout;
  }
}

/** Opcodes to be written as they are. */
export class RawOpcodes {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type ValueToWrite =
  | null
  | boolean
  | number
  | string
  | readonly ValueToWrite[]
  | { readonly [key: string]: ValueToWrite }
  | TensorToWrite
  | RawOpcodes;

const storages: Readonly<Record<SafetensorsDtype, string>> = {
  F32: 'FloatStorage',
  F16: 'HalfStorage',
  BF16: 'BFloat16Storage',
  F64: 'DoubleStorage',
  I64: 'LongStorage',
  I32: 'IntStorage',
  I16: 'ShortStorage',
  I8: 'CharStorage',
  U8: 'ByteStorage',
  BOOL: 'BoolStorage',
};

const widths: Readonly<Record<SafetensorsDtype, number>> = {
  ...{ F32: 4, F16: 2, BF16: 2, F64: 8, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1 },
};

function integer(value: number): string {
  const bytes = Buffer.alloc(9);
  bytes[0] = 8;
  bytes.writeBigInt64LE(BigInt(value), 1);
  return `\x8a${bytes.toString('latin1')}`;
}

function text(value: string): string {
  const bytes = Buffer.from(value, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return `X${length.toString('latin1')}${bytes.toString('latin1')}`;
}

/** A pickle, each byte a character. Storages are collected in their order. */
export function pickle(value: ValueToWrite, tensors: TensorToWrite[] = []): string {
  const tuple = (items: readonly number[]) => `(${items.map(integer).join('')}t`;
  const write = (one: ValueToWrite): string => {
    if (one === null) return 'N';
    if (typeof one === 'boolean') return one ? '\x88' : '\x89';
    if (typeof one === 'string') return text(one);
    if (typeof one === 'number') {
      if (Number.isSafeInteger(one)) return integer(one);
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleBE(one);
      return `G${bytes.toString('latin1')}`;
    }
    if (one instanceof RawOpcodes) return one.text;
    if (one instanceof TensorToWrite) {
      const key = String(tensors.push(one) - 1);
      const { dtype, shape, bytes, layout } = one;
      const elements = layout.elements ?? bytes.byteLength / widths[dtype];
      const strides = layout.strides ?? shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
      const storage = `(${text('storage')}ctorch\n${storages[dtype]}\n${text(key)}${text('cpu')}${integer(elements)}tQ`;
      const hooks = 'ccollections\nOrderedDict\n)R';
      return `ctorch._utils\n_rebuild_tensor_v2\n(${storage}${integer(layout.offset ?? 0)}${tuple(shape)}${tuple(strides)}\x89${hooks}tR`;
    }
    if (Array.isArray(one)) return `](${one.map(write).join('')}e`;
    return `}(${Object.entries(one as object)
      .map(([key, member]) => text(key) + write(member as ValueToWrite))
      .join('')}u`;
  };
  return `\x80\x02${write(value)}.`;
}

export interface MemberToWrite {
  readonly name: string;
  readonly content: Uint8Array;
  readonly deflated?: boolean;
  /** A size that is not the content's. */
  readonly claimedSize?: number;
}

/** A zip archive. Contents begin at multiples of `alignment`. */
export function zipArchive(members: readonly MemberToWrite[], alignment = 64): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  for (const { name, content, deflated = false, claimedSize } of members) {
    const stored = deflated ? deflateRawSync(content) : Buffer.from(content);
    const nameBytes = Buffer.from(name);
    const padding = (alignment - ((position + 30 + nameBytes.length + 4) % alignment)) % alignment;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(deflated ? 8 : 0, 4);
    fields.writeUInt32LE(crc32(content), 10);
    fields.writeUInt32LE(stored.length, 14);
    fields.writeUInt32LE(claimedSize ?? content.byteLength, 18);
    fields.writeUInt16LE(nameBytes.length, 22);
    const extra = Buffer.alloc(4 + padding);
    extra.write('FB', 0);
    extra.writeUInt16LE(padding, 2);
    const local = Buffer.from(fields);
    local.writeUInt16LE(extra.length, 24);
    parts.push(Buffer.from('PK\x03\x04', 'latin1'), local, nameBytes, extra, stored);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(position, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), fields, tail, nameBytes);
    position += 30 + nameBytes.length + extra.length + stored.length;
  }
  const entries = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(entries.length, 12);
  end.writeUInt32LE(position, 16);
  return Buffer.concat([...parts, entries, end]);
}

/** The members of a file of `torch.save`. */
export function torchMembers(value: ValueToWrite): MemberToWrite[] {
  const tensors: TensorToWrite[] = [];
  const content = Buffer.from(pickle(value, tensors), 'latin1');
  return [
    { name: 'archive/data.pkl', content },
    { name: 'archive/byteorder', content: Buffer.from('little') },
    ...tensors.map(({ bytes }, key) => ({ name: `archive/data/${key}`, content: bytes })),
    { name: 'archive/version', content: Buffer.from('3\n') },
  ];
}

/** Writes a file of `torch.save`. */
export async function writeTorch(path: string, value: ValueToWrite): Promise<void> {
  await writeFile(path, zipArchive(torchMembers(value)));
}

/** Where progress is written; a terminal or anything else that takes text. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** `512 bytes`, `1.4 MB`, `15.2 GB`: powers of 1000, as the hub shows sizes. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}

const clearLine = '\r\u001b[2K';
/** Milliseconds between two drawings on a terminal, and between two lines elsewhere. */
const drawEvery = 100;
const lineEvery = 30_000;

/**
 * How far a download is: one line that is drawn over on a terminal; elsewhere a line for each file that is done and,
 * for big ones, one every half minute.
 */
export class PullProgressDisplay {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  #file = '';
  #start = { bytes: 0, time: 0 };
  #shown = 0;
  #line = '';

  constructor(stream: ProgressStream, now: () => number = Date.now) {
    this.#stream = stream;
    this.#now = now;
  }

  /** @param bytes of the file that are there */
  update(file: string, bytes: number, total: number): void {
    const now = this.#now();
    if (file !== this.#file || bytes < this.#start.bytes) {
      this.#file = file;
      this.#start = { bytes, time: now };
      this.#shown = now;
    }
    const done = bytes === total;
    const isTerminal = this.#stream.isTTY === true;
    if (!done && now - this.#shown < (isTerminal ? drawEvery : lineEvery)) return;
    this.#shown = now;
    const seconds = (now - this.#start.time) / 1000;
    const speed = seconds > 0 ? `  ${formatBytes(Math.round((bytes - this.#start.bytes) / seconds))}/s` : '';
    const percent = total === 0 ? 100 : Math.floor((100 * bytes) / total);
    const text = `${file}  ${formatBytes(bytes)} of ${formatBytes(total)} (${percent} %)${speed}`;
    if (isTerminal && !done) {
      this.#line = text.slice(0, (this.#stream.columns ?? 80) - 1);
      this.#stream.write(`${clearLine}${this.#line}`);
    } else {
      this.#stream.write(`${this.#line === '' ? '' : clearLine}${text}\n`);
      this.#line = '';
    }
  }

  /** A line of its own, above the one that is drawn over. */
  message(text: string): void {
    this.#stream.write(this.#line === '' ? `${text}\n` : `${clearLine}${text}\n${this.#line}`);
  }

  /** Takes the line that is drawn over away. */
  finish(): void {
    if (this.#line !== '') this.#stream.write(clearLine);
    this.#line = '';
  }
}

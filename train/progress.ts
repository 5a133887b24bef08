/** Where progress is written; a terminal or anything else that takes text. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Resident memory of the process, bytes. */
export interface MemoryUse {
  readonly now: number;
  readonly peak: number;
}

/** What a line of progress shows. */
export interface ProgressState {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly lr: number;
  readonly tokensPerSecond: number;
  /** Model FLOPs utilisation, a fraction of the engine's measured peak; absent where operations are not counted. */
  readonly mfu?: number | undefined;
  readonly memory?: MemoryUse | undefined;
  /** Until the end of the run. */
  readonly secondsLeft: number;
}

/** `1h 02m`, `3m 07s` or `12s` */
export function formatDuration(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const minutes = Math.floor(total / 60);
  if (total >= 3600) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  return total >= 60 ? `${minutes}m ${two(total % 60)}s` : `${total}s`;
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2);

/** The parts of a line; where there is little room those with the highest number go first, those without one stay. */
function fieldsOf(state: ProgressState): { readonly text: string; readonly goes?: number }[] {
  const { step, steps, loss, lr, tokensPerSecond, mfu, memory, secondsLeft } = state;
  return [
    { text: `step ${step}/${steps}` },
    { text: `loss ${loss.toFixed(4)}` },
    { text: `lr ${lr.toExponential(2)}`, goes: 2 },
    { text: `${Math.round(tokensPerSecond)} tokens/s`, goes: 1 },
    ...(mfu === undefined ? [] : [{ text: `MFU ${(100 * mfu).toFixed(1)} %`, goes: 3 }]),
    ...(memory === undefined
      ? []
      : [{ text: `RSS ${gigabytes(memory.now)} GB (peak ${gigabytes(memory.peak)})`, goes: 4 }]),
    { text: `ETA ${formatDuration(secondsLeft)}` },
  ];
}

/** One line of progress, without line break. */
export const formatProgress = (state: ProgressState): string =>
  fieldsOf(state)
    .map(({ text }) => text)
    .join('  ');

/** `[####----] ` of so many characters between the brackets. */
function bar({ step, steps }: ProgressState, width: number): string {
  const filled = Math.round((width * step) / steps);
  return `[${'#'.repeat(filled)}${'-'.repeat(width - filled)}] `;
}

/**
 * A bar and as much of the line as there is room for: a narrow terminal gets a shorter bar and smaller gaps, then loses
 * memory, MFU, learning rate and speed, in this order.
 *
 * @param prefix stands between bar and line
 */
export function formatBar(state: ProgressState, columns: number, prefix = ''): string {
  let fields = fieldsOf(state);
  const line = (width: number, gap: string): string =>
    bar(state, width) + prefix + fields.map(({ text }) => text).join(gap);
  const wide = line(20, '  ');
  if (wide.length <= columns) return wide;
  for (let last = 4; last > 0 && line(10, ' ').length > columns; last--) {
    fields = fields.filter(({ goes }) => goes !== last);
  }
  // A line that wraps could not be drawn over.
  return line(10, ' ').slice(0, columns);
}

const clearLine = '\r\u001b[2K';

/**
 * Progress on a stream: one line that is drawn over on a terminal, plain lines elsewhere. Messages go above the line.
 */
export class ProgressDisplay {
  readonly #stream: OutputStream;
  readonly #prefix: string;
  #state: ProgressState | undefined;

  /** @param label named in front of every line where several trainings follow each other */
  constructor(stream: OutputStream, label?: string) {
    this.#stream = stream;
    this.#prefix = label === undefined ? '' : `${label}: `;
  }

  /** @param due whether this step gets a line of its own where lines stay (not a terminal) */
  update(state: ProgressState, due: boolean): void {
    if (this.#stream.isTTY === true) {
      this.#state = state;
      this.#draw();
    } else if (due) {
      this.#stream.write(`${this.#prefix}${formatProgress(state)}\n`);
    }
  }

  message(text: string): void {
    this.#stream.write(`${this.#state === undefined ? '' : clearLine}${this.#prefix}${text}\n`);
    this.#draw();
  }

  /** Leaves the last line standing. */
  close(): void {
    if (this.#state !== undefined) this.#stream.write('\n');
    this.#state = undefined;
  }

  #draw(): void {
    if (this.#state === undefined) return;
    const columns = (this.#stream.columns ?? 80) - 1;
    this.#stream.write(clearLine + formatBar(this.#state, columns, this.#prefix));
  }
}

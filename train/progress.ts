/** Where progress is written; a terminal or anything else that takes text. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** What a line of progress shows. */
export interface ProgressState {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly lr: number;
  readonly tokensPerSecond: number;
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

/** One line of progress, without line break. */
export function formatProgress(state: ProgressState): string {
  const { step, steps, loss, lr, tokensPerSecond, secondsLeft } = state;
  return (
    `step ${step}/${steps}  loss ${loss.toFixed(4)}  lr ${lr.toExponential(2)}  ` +
    `${Math.round(tokensPerSecond)} tokens/s  ETA ${formatDuration(secondsLeft)}`
  );
}

const barWidth = 20;
const clearLine = '\r\u001b[2K';

/**
 * Progress on a stream: one line that is drawn over on a terminal, plain lines elsewhere. Messages go above the line.
 */
export class ProgressDisplay {
  readonly #stream: OutputStream;
  readonly #prefix: string;
  #line = '';

  /** @param label named in front of every line where several trainings follow each other */
  constructor(stream: OutputStream, label?: string) {
    this.#stream = stream;
    this.#prefix = label === undefined ? '' : `${label}: `;
  }

  /** @param due whether this step gets a line of its own where lines stay (not a terminal) */
  update(state: ProgressState, due: boolean): void {
    const text = `${this.#prefix}${formatProgress(state)}`;
    if (this.#stream.isTTY === true) {
      const filled = Math.round((barWidth * state.step) / state.steps);
      this.#line = `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}] ${text}`;
      this.#draw();
    } else if (due) {
      this.#stream.write(`${text}\n`);
    }
  }

  message(text: string): void {
    this.#stream.write(`${this.#line === '' ? '' : clearLine}${this.#prefix}${text}\n`);
    if (this.#line !== '') this.#draw();
  }

  /** Leaves the last line standing. */
  close(): void {
    if (this.#line !== '') this.#stream.write('\n');
    this.#line = '';
  }

  #draw(): void {
    // A line that wraps could not be drawn over.
    this.#stream.write(`${clearLine}${this.#line.slice(0, (this.#stream.columns ?? 80) - 1)}`);
  }
}

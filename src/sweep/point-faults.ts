import { firstOf, InputError } from '../errors.ts';

/** Points that are named of those that a fault concerns. */
const named = 3;

/** What keeps points of a sweep from being trained: each thing once, with the points that it concerns. */
export class PointFaults {
  readonly #points = new Map<string, Set<string>>();
  readonly #total: number;

  /** @param total number of points that are looked at */
  constructor(total: number) {
    this.#total = total;
  }

  /** Takes an error apart into the faults that it joins. */
  add(ids: readonly string[], error: InputError): void {
    for (const { code, message } of error.faults) {
      const text = `error[${code}]: ${message}`;
      const known = this.#points.get(text) ?? new Set();
      for (const id of ids) known.add(id);
      this.#points.set(text, known);
    }
  }

  /** @throws InputError `SWEEP_NOT_READY` where there is any fault */
  throwAny(advice = ''): void {
    if (this.#points.size === 0) return;
    const lines = [...this.#points].map(([text, ids]) => `${text}\n  ${this.#concerns([...ids])}`);
    throw new InputError(
      'SWEEP_NOT_READY',
      `Points of this sweep cannot be trained; nothing was started.\n${lines.join('\n')}${advice}`,
    );
  }

  #concerns(ids: readonly string[]): string {
    return `concerns ${ids.length} of ${this.#total} points: ${firstOf(ids, named, '; ')}`;
  }
}

/** Steps that a value is compared with. */
const windowSteps = 100;

/** Fewer say nothing of what is usual. */
const fewestSteps = 20;

/** Deviations above the median that make a spike. */
const deviations = 8;

/** The smallest deviation that counts, of the median: a loss that hardly moves does not make noise a spike. */
const leastDeviation = 0.01;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The value above which the next one is a spike: the median of the last 100 steps plus 8 times their median absolute
 * deviation from it, or plus 8 % of it where that is more. Undefined with fewer than 20 values.
 */
export function spikeThreshold(values: readonly number[]): number | undefined {
  const recent = values.slice(-windowSteps);
  if (recent.length < fewestSteps) return undefined;
  const middle = median(recent);
  const deviation = median(recent.map((value) => Math.abs(value - middle)));
  return middle + deviations * Math.max(deviation, leastDeviation * Math.abs(middle));
}

/** A loss or a norm far above that of the steps before it. */
export interface Spike {
  readonly what: 'loss' | 'gradNorm';
  readonly value: number;
  readonly threshold: number;
}

/** Watches loss and gradient norm for spikes, from where a run begins or goes on. Nothing is done about them. */
export class SpikeWatch {
  readonly #recent: Record<Spike['what'], number[]> = { loss: [], gradNorm: [] };
  /** Steps with a spike so far. */
  steps = 0;

  /** @returns the spikes of this step, which counts for the next ones like every other */
  observe(step: Readonly<Record<Spike['what'], number>>): Spike[] {
    const spikes: Spike[] = [];
    for (const what of ['loss', 'gradNorm'] as const) {
      const values = this.#recent[what];
      const threshold = spikeThreshold(values);
      const value = step[what];
      if (threshold !== undefined && value > threshold) spikes.push({ what, value, threshold });
      values.push(value);
      if (values.length > windowSteps) values.shift();
    }
    if (spikes.length > 0) this.steps++;
    return spikes;
  }
}

/** A line for people. */
export function formatSpikes(spikes: readonly Spike[], step: number): string {
  const texts = spikes.map(
    ({ what, value, threshold }) =>
      `${what === 'loss' ? 'loss' : 'gradient norm'} ${value.toPrecision(4)} is above ${threshold.toPrecision(4)}`,
  );
  return `Spike in step ${step}: ${texts.join(', ')} (median + 8 deviations of the last steps). Reported only.`;
}

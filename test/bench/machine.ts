import os from 'node:os';

/** The machine as every row of a benchmark names it. */
export const machine = `${os.cpus()[0]?.model ?? 'unknown'}, ${os.availableParallelism()} cores`;

/** Largest resident memory of this process so far, in megabytes. */
export const peakMemory = (): number => Math.round(process.resourceUsage().maxRSS / 1024);

/** Median and least of durations in milliseconds. */
export function summarise(times: readonly number[]): { median_ms: number; min_ms: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const rounded = (value: number): number => Number(value.toFixed(2));
  return { median_ms: rounded(sorted[Math.floor(sorted.length / 2)]!), min_ms: rounded(sorted[0]!) };
}

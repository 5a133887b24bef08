import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';

/** The machine as every row of a benchmark names it. */
export const machine = `${os.cpus()[0]?.model ?? 'unknown'}, ${os.availableParallelism()} cores`;

/**
 * Largest resident memory of this process so far, in megabytes. Linux counts what the process held since its program
 * began; elsewhere the figure may begin with that of the process that started it.
 */
export function peakMemory(): number {
  if (process.platform === 'linux') {
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (peak !== null) return Math.round(Number(peak[1]) / 1024);
  }
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

/** The commit of the working folder's repository; `unknown` outside one. */
export function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

/** The middle value; of an even number of them the upper of the two. */
export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Median and least of durations in milliseconds. */
export function summarise(times: readonly number[]): { median_ms: number; min_ms: number } {
  const rounded = (value: number): number => Number(value.toFixed(2));
  return { median_ms: rounded(median(times)), min_ms: rounded(Math.min(...times)) };
}

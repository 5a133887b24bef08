import type { Engine } from '../engine/types.ts';
import { markdownTable } from '../report/table.ts';
import type { BenchCase, Measurement } from './case.ts';
import { commit, machine, median, peakMemory, summarise } from './machine.ts';

/** One case as `bench --json` prints it: the first eleven keys for every benchmark, others after them. */
export interface BenchResult {
  readonly bench: string;
  readonly size: string;
  readonly engine: string;
  readonly threads: number;
  readonly dtype: string;
  readonly median_ms: number;
  readonly min_ms: number;
  /** Tokens a second of the median; null where a run has none. */
  readonly tokens_per_s: number | null;
  readonly peak_rss_mb: number;
  readonly machine: string;
  readonly commit: string;
  /** Milliseconds from opening the files to the first result. */
  readonly first_ms: number;
  /** From a prompt of 112 tokens to its first new token. */
  readonly prompt_ms?: number;
  readonly loss?: number;
  /** Billions of floating-point operations of the model a second, by its shapes. */
  readonly gflops_per_s?: number;
  /** Billions of operations a second of one large matrix product in the same engine with the same threads. */
  readonly roof_gflops_per_s?: number;
  readonly roof_share?: number;
}

/** Billions of operations a second. */
export const gflopsPerSecond = (flops: number, milliseconds: number): number => flops / milliseconds / 1e6;

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

/**
 * What `runs` runs of a case say.
 *
 * @param roof measured afterwards, so that the peak memory is the case's own
 */
export async function benchResult(
  one: BenchCase,
  engine: Pick<Engine, 'name' | 'precision'>,
  { threads, runs }: { readonly threads: number; readonly runs: number },
  roof: () => Promise<number>,
): Promise<BenchResult> {
  const measured: Measurement[] = [];
  for (let run = 0; run < runs; run++) measured.push(await one.run());
  const peak = peakMemory();
  const { median_ms, min_ms } = summarise(measured.map(({ ms }) => ms));
  const prompts = measured.flatMap(({ promptMs }) => promptMs ?? []);
  const loss = measured.at(-1)!.loss;
  const base = {
    ...{ bench: one.bench, size: one.size, engine: engine.name, threads },
    ...{ dtype: engine.precision === 'bf16' ? 'bfloat16' : 'float32', median_ms, min_ms },
    tokens_per_s: one.tokens === null ? null : rounded((1000 * one.tokens) / median_ms, 2),
    ...{ peak_rss_mb: peak, machine, commit: commit(), first_ms: Math.round(one.firstMs) },
    ...(prompts.length > 0 && { prompt_ms: rounded(median(prompts), 2) }),
    ...(loss !== undefined && { loss }),
  };
  if (one.flops === null) return base;
  const achieved = gflopsPerSecond(one.flops, median_ms);
  const limit = await roof();
  return {
    ...base,
    gflops_per_s: rounded(achieved, 1),
    roof_gflops_per_s: rounded(limit, 1),
    roof_share: rounded(achieved / limit, 3),
  };
}

/** The figures for people. */
export function benchTable(results: readonly BenchResult[]): string {
  const show = (value: number | null | undefined, digits = 1): string =>
    value === null || value === undefined ? '–' : value.toFixed(digits);
  const table = markdownTable({
    head: [
      ...['case', 'engine', 'median ms', 'fastest ms', 'tokens/s', 'prompt ms', 'peak MB', 'first ms'],
      ...['GFLOP/s', 'matmul roof', 'share, %'],
    ],
    rows: results.map((result) => [
      `${result.bench} ${result.size}`,
      `${result.engine}, ${result.threads} threads, ${result.dtype}`,
      show(result.median_ms, 2),
      show(result.min_ms, 2),
      show(result.tokens_per_s),
      show(result.prompt_ms),
      show(result.peak_rss_mb, 0),
      show(result.first_ms, 0),
      show(result.gflops_per_s),
      show(result.roof_gflops_per_s),
      show(result.roof_share === undefined ? undefined : 100 * result.roof_share),
    ]),
    textColumns: [0, 1],
  });
  const [{ machine: name, commit: at }] = results as [BenchResult];
  return `${table}${name}; commit ${at}\n`;
}

import { basename, dirname, resolve } from 'node:path';
import { InputError } from '../../../errors.ts';
import {
  type BootstrapOptions,
  checkSameSamples,
  comparePaired,
  type PairedComparison,
  resampledScores,
} from '../../bootstrap.ts';
import { type BenchmarkDataset, type BenchmarkKey, benchmarkDatasets } from '../datasets.ts';
import { MEANS } from '../evaluate.ts';
import type { ReadReport, ReportedSet, ReportHeader } from './read-report.ts';

/** What of the headers of reports differs. */
export interface HeaderDifference {
  readonly key: keyof ReportHeader;
  /** In the order of the reports. */
  readonly values: readonly string[];
}

/** A report beside the first one. */
export interface PairedSet {
  /** Place of the report; the first one is 0. */
  readonly report: number;
  readonly key: BenchmarkKey | 'mean';
  /** Score of the report minus that of the first one. */
  readonly comparison: PairedComparison;
}

export interface Comparison {
  readonly names: readonly string[];
  readonly reports: readonly ReadReport[];
  readonly differences: readonly HeaderDifference[];
  /** Sets that any report has, in the order of the papers. */
  readonly sets: readonly { readonly key: BenchmarkKey; readonly dataset: BenchmarkDataset }[];
  /** `[report][set]` */
  readonly scores: readonly (readonly (number | undefined)[])[];
  /** Sets of the published mean that all reports have. */
  readonly meanSets: readonly BenchmarkKey[];
  /** Over these, by report. */
  readonly means: readonly number[];
  /** Empty where the headers differ. */
  readonly paired: readonly PairedSet[];
}

const headerKeys = ['protocol', 'wheelTable', 'level', 'extractor'] as const;

/**
 * Puts reports side by side. Where they were made in the same way every other one is compared with the first by a paired
 * bootstrap, on each set that both have, and on the mean of those sets that all have.
 *
 * @param options.allowDifferences whether reports of different settings may stand together; nothing is tested then
 * @throws InputError `REPORTS_TOO_FEW`, `REPORTS_DIFFER` (all differences), `REPORTS_OTHER_LABELS`, `SAMPLES_DIFFER`
 */
export function compareReports(
  reports: readonly ReadReport[],
  options: BootstrapOptions & { readonly allowDifferences: boolean },
): Comparison {
  if (reports.length < 2) {
    throw new InputError('REPORTS_TOO_FEW', 'There is one report; two or more can be compared.');
  }
  const differences = headerKeys.flatMap((key): HeaderDifference[] => {
    const values = reports.map(({ header }) => String(header[key]));
    return new Set(values).size === 1 ? [] : [{ key, values }];
  });
  if (differences.length > 0 && !options.allowDifferences) {
    const all = differences.map(({ key, values }) => `${key}: ${values.join(' | ')}`).join('; ');
    throw new InputError(
      'REPORTS_DIFFER',
      `These reports were made in different ways, so their scores say nothing about each other (${all}). Evaluate again in the same way, or give --allow-differences to see them together with that note.`,
    );
  }
  const keys = Object.keys(benchmarkDatasets) as BenchmarkKey[];
  const setOf = (report: ReadReport, key: BenchmarkKey) => report.sets.find((set) => set.key === key);
  const shown = keys.filter((key) => reports.some((report) => setOf(report, key) !== undefined));
  const nine = MEANS.find(({ key }) => key === 'mean')!.sets;
  const meanSets = nine.filter((key) => reports.every((report) => setOf(report, key) !== undefined));
  const meanOf = (report: ReadReport) => average(meanSets.map((key) => setOf(report, key)!.result.score));
  return {
    names: namesOf(reports),
    reports,
    differences,
    sets: shown.map((key) => ({ key, dataset: benchmarkDatasets[key] })),
    scores: reports.map((report) => shown.map((key) => setOf(report, key)?.result.score)),
    meanSets,
    means: reports.map(meanOf),
    paired: differences.length > 0 ? [] : compareWithFirst(reports, meanSets, options),
  };
}

function compareWithFirst(
  [first, ...others]: readonly ReadReport[],
  meanSets: readonly BenchmarkKey[],
  options: BootstrapOptions,
): PairedSet[] {
  const resampled = new Map<ReportedSet, Float64Array>();
  const scoresOf = (set: ReportedSet): Float64Array => {
    const scores = resampled.get(set) ?? resampledScores(set.result, options);
    resampled.set(set, scores);
    return scores;
  };
  return others.flatMap((other, i) => {
    const report = i + 1;
    const pairs = other.sets.flatMap((a): (readonly [ReportedSet, ReportedSet])[] => {
      const b = first!.sets.find(({ key }) => key === a.key);
      return b === undefined ? [] : [[a, b]];
    });
    const sets = pairs.map(([a, b]): PairedSet => {
      checkSameTruths(a, b);
      const difference = a.result.score - b.result.score;
      const comparison = comparePaired(difference, scoresOf(a), scoresOf(b), options);
      return { report, key: a.key, comparison };
    });
    if (meanSets.length < 2) return sets;
    const inMean = pairs.filter(([{ key }]) => meanSets.includes(key));
    const means = [0, 1].map((side) => {
      const scores = inMean.map((pair) => scoresOf(pair[side]!));
      return scores[0]!.map((_, resample) => average(scores.map((of) => of[resample]!)));
    });
    const difference = average(inMean.map(([a, b]) => a.result.score - b.result.score));
    const comparison = comparePaired(difference, means[0]!, means[1]!, options);
    return [...sets, { report, key: 'mean', comparison }];
  });
}

/** Two models are compared on the same samples with the same labels. */
function checkSameTruths(a: ReportedSet, b: ReportedSet): void {
  checkSameSamples(a.result, b.result);
  const other = a.result.perSample.filter((_, i) => a.truths[i] !== b.truths[i]).map(({ name }) => name);
  if (other.length === 0) return;
  throw new InputError(
    'REPORTS_OTHER_LABELS',
    `${a.dataset.title}: ${other.length} samples are labelled differently in the two reports, among them ${other.slice(0, 10).join(', ')}. Evaluate both with the same labels.`,
  );
}

/** The folder of each report, or its whole path where folders of that name are several. */
function namesOf(reports: readonly ReadReport[]): string[] {
  const short = reports.map(({ path }) => {
    const whole = resolve(path);
    return basename(whole.endsWith('.json') ? dirname(whole) : whole);
  });
  return short.map((name, i) => (short.filter((one) => one === name).length > 1 ? reports[i]!.path : name));
}

const average = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

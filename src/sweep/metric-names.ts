import type { Problem } from '../config/layer.ts';
import type { MetricName, SweepFile } from '../config/sweep.ts';

/** A figure of a run, as the sweep file names it. */
export interface Metric {
  /** As given: the column in the tables. */
  readonly name: string;
  readonly lowerIsBetter: boolean;
  readonly source: MetricSource;
}

export type MetricSource =
  | { readonly from: 'train' }
  /** A key of the last validation, or of the best one. */
  | { readonly from: 'validation'; readonly key: string; readonly best: boolean }
  /** Dotted, of the metrics in `evaluation.json`. */
  | { readonly from: 'evaluation'; readonly key: string }
  /** A set, or a mean over sets, of `mer-unibench/report.json`. */
  | { readonly from: 'mer-unibench'; readonly key: string }
  /** Dotted, of any JSON file in the run folder. */
  | { readonly from: 'file'; readonly file: string; readonly key: string };

const known =
  'train.loss, validation.METRIC, validation.best.METRIC, evaluation.METRIC, mer-unibench.SET, FILE.json:KEY';

function sourceOf(name: string): MetricSource | undefined {
  if (name === 'train.loss') return { from: 'train' };
  const file = /^([^:]+\.json):(.+)$/.exec(name);
  if (file !== null) return { from: 'file', file: file[1]!, key: file[2]! };
  const best = /^validation\.best\.([A-Za-z]+)$/.exec(name)?.[1];
  if (best !== undefined) return { from: 'validation', key: best, best: true };
  const [from, ...rest] = name.split('.');
  const key = rest.join('.');
  if (key === '') return undefined;
  if (from === 'validation') return { from, key, best: false };
  if (from === 'evaluation' || from === 'mer-unibench') return { from, key };
  return undefined;
}

/** @param name one of a sweep file without problems */
export function metricOf(name: MetricName): Metric {
  const given = typeof name === 'string' ? { name, better: undefined } : name;
  const lowerIsBetter =
    given.better === undefined ? /(^|[.:_-])(loss|taskInvalid)$/i.test(given.name) : given.better === 'lower';
  return { name: given.name, lowerIsBetter, source: sourceOf(given.name)! };
}

/** Metrics that are none, and those that are named twice. Whether a configuration gives them is for `checkPoints`. */
export function metricProblems({ metric }: SweepFile, where: string): Problem[] {
  const names = [metric].flat().map((one) => (typeof one === 'string' ? one : one.name));
  return names.flatMap((name, i) => [
    ...(sourceOf(name) === undefined
      ? [{ where, message: `metric: "${name}" is no figure; there are: ${known}` }]
      : []),
    ...(names.indexOf(name) < i ? [{ where, message: `metric: "${name}" is named twice` }] : []),
  ]);
}

import { join } from 'node:path';
import { type MetricsLine, metricsName, readMetrics } from '../../train/metrics.ts';
import { InputError } from '../errors.ts';
import type { Resampled } from '../eval/bootstrap.ts';
import { classificationReport } from '../eval/classification.ts';
import { readReport } from '../eval/mer-unibench/compare/read-report.ts';
import type { BenchmarkKey } from '../eval/mer-unibench/datasets.ts';
import { readText } from '../io/filesystem.ts';
import { isJsonObject } from '../io/json.ts';
import { readJsonl } from '../io/jsonl.ts';
import { bestValidation, readRunValidations } from '../runs/run-files.ts';
import type { SweepPoint } from './load.ts';
import type { Metric } from './metric-names.ts';

/** Share of the logged steps that the final training loss is the mean of. */
const finalShare = 0.1;

/** Mean loss of the last tenth of the logged steps, at least of the last one; undefined where there is none. */
export function finalLoss(lines: readonly Pick<MetricsLine, 'loss'>[]): number | undefined {
  const last = lines.slice(-Math.max(1, Math.ceil(finalShare * lines.length)));
  return last.length === 0 ? undefined : last.reduce((sum, { loss }) => sum + loss, 0) / last.length;
}

const missing = (point: SweepPoint, metric: Metric, why: string): InputError =>
  new InputError('SWEEP_METRIC_MISSING', `${point.id}: no "${metric.name}": ${why}.`);

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readText(path)) as unknown;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InputError('JSON_INVALID', `${path} is not JSON: ${error.message}.`, { cause: error });
  }
}

/** A number at a dotted path; parts of the path are keys or places in lists. */
function numberAt(value: unknown, key: string): number | undefined {
  let at: unknown = value;
  for (const part of key.split('.')) {
    if (Array.isArray(at)) at = at[Number(part)];
    else if (isJsonObject(at) && Object.hasOwn(at, part)) at = at[part];
    else return undefined;
  }
  return typeof at === 'number' ? at : undefined;
}

/**
 * A figure of a run that is done.
 * @throws InputError `SWEEP_METRIC_MISSING`, and those of the files
 */
export async function readMetricValue(point: SweepPoint, metric: Metric): Promise<number> {
  const { folder, config } = point;
  const { source } = metric;
  const found = (value: number | null | undefined, why: string): number => {
    if (typeof value !== 'number' || Number.isNaN(value)) throw missing(point, metric, why);
    return value;
  };
  switch (source.from) {
    case 'train': {
      const { lines } = await readMetrics(join(folder, metricsName));
      return found(finalLoss(lines), `${metricsName} has no line`);
    }
    case 'validation': {
      const { lines } = await readRunValidations(folder);
      const best = source.best && bestValidation(lines, config.train.validation?.metric ?? 'loss');
      const line = best ? lines.find(({ step }) => step === best.step) : lines.at(-1);
      const value = source.key === 'loss' ? line?.loss : line?.metrics[source.key];
      return found(value, 'no validation gave it');
    }
    case 'evaluation': {
      const json = await readJson(join(folder, 'evaluation.json'));
      const metrics = isJsonObject(json) ? json.metrics : undefined;
      return found(numberAt(metrics, source.key), 'evaluation.json has no such figure');
    }
    case 'mer-unibench': {
      const json = await readJson(join(folder, 'mer-unibench', 'report.json'));
      return found(benchmarkScore(json, source.key), 'mer-unibench/report.json has no such set or mean');
    }
    case 'file': {
      const json = await readJson(join(folder, source.file));
      return found(numberAt(json, source.key), `${source.file} has no such number`);
    }
  }
}

/** The main score of a set, or a mean, of a parsed `report.json`. */
function benchmarkScore(json: unknown, key: string): number | undefined {
  if (!isJsonObject(json) || !Array.isArray(json.sets) || !Array.isArray(json.means)) return undefined;
  const mean = json.means.find((one) => isJsonObject(one) && one.key === key);
  if (isJsonObject(mean)) return typeof mean.score === 'number' ? mean.score : undefined;
  const set = json.sets.find((one) => isJsonObject(one) && one.dataset === key);
  if (!isJsonObject(set) || !Array.isArray(set.checkpoints)) return undefined;
  const chosen =
    set.checkpoints.find((one) => isJsonObject(one) && one.name === set.best) ?? set.checkpoints[0];
  return isJsonObject(chosen) && typeof chosen.score === 'number' ? chosen.score : undefined;
}

/** The metrics of `evaluation.json` that a sample contributes to. */
const resampledKeys = ['accuracy', 'weighted.f1', 'macro.f1'] as const;

/**
 * Scores of the samples behind a figure, to be drawn anew; undefined where a figure has none (losses, means over sets).
 * @throws InputError those of the files
 */
export async function readSampleScores(
  { folder }: SweepPoint,
  { source }: Metric,
): Promise<Resampled | undefined> {
  if (source.from === 'mer-unibench') {
    const report = await readReport(join(folder, 'mer-unibench'));
    return report.sets.find(({ key }) => key === (source.key as BenchmarkKey))?.result;
  }
  if (source.from !== 'evaluation') return undefined;
  const key = resampledKeys.find((one) => one === source.key);
  if (key === undefined) return undefined;
  const json = await readJson(join(folder, 'evaluation.json'));
  const choices = isJsonObject(json) && Array.isArray(json.choices) ? json.choices.map(String) : [];
  const samples: { name: string; truth: string; predicted: string }[] = [];
  for await (const { value } of readJsonl(join(folder, 'evaluation.jsonl'))) {
    const { name, label, chosen } = value;
    samples.push({ name: String(name), truth: String(label), predicted: String(chosen) });
  }
  return {
    perSample: samples,
    scoreOf: (counts) => {
      if (key === 'accuracy') {
        const right = samples.reduce(
          (sum, one, i) => sum + (one.truth === one.predicted ? counts[i]! : 0),
          0,
        );
        return right / samples.reduce((sum, _, i) => sum + counts[i]!, 0);
      }
      const drawn = samples.flatMap((sample, i) => Array.from({ length: counts[i]! }, () => sample));
      const report = classificationReport(drawn, choices);
      return key === 'macro.f1' ? report.macro.f1 : report.weighted.f1;
    },
  };
}

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../../errors.ts';
import { fileError, readText } from '../../../io/filesystem.ts';
import type { BenchmarkDataset, BenchmarkKey } from '../datasets.ts';
import { benchmarkDatasets } from '../datasets.ts';
import { scoreEmotionWheels } from '../metrics/emotion-wheel.ts';
import { scoreHitRate } from '../metrics/hit-rate.ts';
import type { WheelResult } from '../metrics/result.ts';
import { type SentimentResult, scoreSentiment } from '../metrics/sentiment.ts';
import { reportFormat, reportVersion } from '../report/json.ts';
import type { LabelSample, SentimentSample } from '../samples.ts';

const name = z.string();
const words = z.array(z.string());

const labelSample = z.object({ name, labels: words, predicted: words });
const sentimentSample = z.object({ name, value: z.number().nullable(), predicted: z.string() });

const checkpointBase = { name, score: z.number().nullable() };

const setBase = {
  title: z.string(),
  /** Under `paper`. */
  best: z.string().nullable().optional(),
};
const ofLabels = z.object({ ...checkpointBase, samples: z.array(labelSample) });
const ofSentiment = z.object({ ...checkpointBase, samples: z.array(sentimentSample) });
const keys = Object.keys(benchmarkDatasets) as [BenchmarkKey, ...BenchmarkKey[]];
const dataset = z.enum(keys);

const reportSchema = z.object({
  format: z.literal(reportFormat),
  version: z.literal(reportVersion),
  protocol: z.enum(['paper', 'strict']),
  wheelTable: z.enum(['published', 'corrected']),
  level: z.union([z.literal(1), z.literal(2)]),
  extractor: z.string(),
  extractorDetail: z.string().nullable(),
  seed: z.number(),
  sets: z.array(
    z.discriminatedUnion('metric', [
      z.object({ dataset, metric: z.enum(['hit', 'ew']), ...setBase, checkpoints: z.array(ofLabels) }),
      z.object({ dataset, metric: z.literal('sentiment'), ...setBase, checkpoints: z.array(ofSentiment) }),
    ]),
  ),
});

type ReportFile = z.infer<typeof reportSchema>;

/** The settings that reports have to share to be comparable. */
export interface ReportHeader {
  readonly protocol: 'paper' | 'strict';
  readonly wheelTable: 'published' | 'corrected';
  readonly level: 1 | 2;
  /** With the model and how it was asked, where there is one. */
  readonly extractor: string;
}

export interface ReportedSet {
  readonly key: BenchmarkKey;
  readonly dataset: BenchmarkDataset;
  /** The best one, or the one that was picked. */
  readonly checkpoint: string;
  /** Computed again from words and labels, and found equal. */
  readonly result: WheelResult | SentimentResult;
  /** What each sample is labelled with, in the order of `result.perSample`. */
  readonly truths: readonly string[];
}

export interface ReadReport {
  readonly path: string;
  readonly header: ReportHeader;
  readonly sets: readonly ReportedSet[];
}

/** Rounding of sums alone; nothing else may differ. */
const tolerance = 1e-12;

const reportName = 'report.json';

/**
 * Looks whether all reports are there, before the first one is read.
 * @param paths files or folders, as the user named them
 * @throws InputError `FILE_NOT_FOUND` with each that is not there, and which of them it is
 */
export async function checkReportsThere(paths: readonly string[]): Promise<void> {
  const isThere = (path: string) => stat(path).catch(() => undefined);
  const faults: string[] = [];
  for (const [i, path] of paths.entries()) {
    const which = `report ${i + 1} of ${paths.length}, ${path},`;
    const status = await isThere(path);
    if (status === undefined) faults.push(`${which} is not there`);
    else if (status.isDirectory() && (await isThere(join(path, reportName))) === undefined) {
      faults.push(`${which} is a folder without ${reportName}`);
    }
  }
  if (faults.length === 0) return;
  throw new InputError(
    'FILE_NOT_FOUND',
    `There is nothing to compare: ${faults.join('; ')}. Expected are folders that affectgpt eval mer-unibench --output wrote, or their ${reportName}.`,
  );
}

/**
 * Reads a `report.json`, or that of a folder, and computes its scores again from the words in it, so that they can be
 * resampled.
 *
 * @throws InputError `REPORT_INVALID`, `REPORT_OUTDATED` where the scores are no longer the same
 */
export async function readReport(path: string): Promise<ReadReport> {
  const status = await stat(path).catch((error) => {
    throw fileError(error, path, 'read');
  });
  const file = status.isDirectory() ? join(path, reportName) : path;
  const { protocol, wheelTable, level, extractor, extractorDetail, sets } = parseReport(
    await readText(file),
    file,
  );
  const header: ReportHeader = {
    ...{ protocol, wheelTable, level },
    extractor: extractorDetail === null ? extractor : `${extractor}: ${extractorDetail}`,
  };
  const read = sets.flatMap((set) => readSet(set, header, file) ?? []);
  return { path, header, sets: read };
}

function parseReport(text: string, file: string): ReportFile {
  const invalid = (what: string): InputError =>
    new InputError(
      'REPORT_INVALID',
      `${file} is no report of affectgpt eval mer-unibench: ${what}. Give the report.json that --output wrote, or its folder.`,
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error));
  }
  const parsed = reportSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(`${issue!.path.join('.') || 'the whole'}: ${issue!.message}`);
}

/** Undefined where no checkpoint has a score. */
function readSet(
  set: ReportFile['sets'][number],
  header: ReportHeader,
  file: string,
): ReportedSet | undefined {
  if (set.best === null) return undefined;
  const wanted = set.best ?? set.checkpoints[0]?.name;
  const checkpoint = set.checkpoints.find((one) => one.name === wanted);
  if (checkpoint === undefined) {
    throw new InputError('REPORT_INVALID', `${file}: the set ${set.dataset} has no checkpoint "${wanted}".`);
  }
  const base = { key: set.dataset, dataset: benchmarkDatasets[set.dataset], checkpoint: checkpoint.name };
  let read: ReportedSet;
  if (set.metric === 'sentiment') {
    const samples = (checkpoint as z.infer<typeof ofSentiment>).samples.map(
      (sample): SentimentSample => ({ ...sample, value: sample.value ?? Number.NaN }),
    );
    read = {
      ...base,
      result: scoreSentiment(samples, header),
      truths: samples.map(({ value }) => String(value)),
    };
  } else {
    const samples: readonly LabelSample[] = (checkpoint as z.infer<typeof ofLabels>).samples;
    const score = set.metric === 'hit' ? scoreHitRate : scoreEmotionWheels;
    read = {
      ...base,
      result: score(samples, header),
      truths: samples.map(({ labels }) => JSON.stringify(labels)),
    };
  }
  const difference = Math.abs(read.result.score - (checkpoint.score ?? Number.NaN));
  if (difference > tolerance || (checkpoint.score === null) !== Number.isNaN(read.result.score)) {
    throw new InputError(
      'REPORT_OUTDATED',
      `${file}: the score of ${set.dataset} is ${checkpoint.score}, but its words come to ${read.result.score}. It was changed, or made by another version of this program; evaluate again.`,
    );
  }
  return read;
}

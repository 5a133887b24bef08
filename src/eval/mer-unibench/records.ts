import { join, resolve } from 'node:path';
import { findClipFiles } from '../../data/check/clips.ts';
import { readColumn } from '../../data/datasets.ts';
import { listFaults, type SampleRecord } from '../../data/records.ts';
import { InputError } from '../../errors.ts';
import type { BenchmarkDataset } from './datasets.ts';
import { benchmarkSplit } from './datasets.ts';
import type { InputFinding } from './findings.ts';
import { type BenchmarkLabels, readLabels } from './labels.ts';
import type { Truths } from './truths.ts';

/** What a sample is labelled with, as columns of its record. A list without words counts as `neutral`, as published. */
function annotations(truths: Truths, name: string): Pick<SampleRecord, 'labels' | 'sentiment' | 'valence'> {
  if (truths.kind === 'labels') {
    const labels = truths.of.get(name);
    return labels === undefined ? {} : { labels: labels.length > 0 ? labels : ['neutral'] };
  }
  const valence = truths.of.get(name);
  if (valence === undefined || Number.isNaN(valence)) return {};
  return { valence, sentiment: valence > 0 ? 'positive' : valence < 0 ? 'negative' : 'neutral' };
}

/** Samples of a split with their labels, without their files and subtitles. */
export interface LabelledSplit {
  readonly records: readonly SampleRecord[];
  readonly findings: readonly InputFinding[];
}

/**
 * Reads which samples a split has, and their labels where these are public.
 *
 * @param dataset of the split, see `benchmarkSplit`
 * @param folder that of the layout
 * @throws InputError those of `readLabels` and `readColumn`; `LABELS_INVALID` where names are paths
 */
export async function readLabelledSplit(
  dataset: BenchmarkDataset,
  split: string,
  folder: string,
): Promise<LabelledSplit> {
  const labelFile = join(folder, dataset.labelFile);
  const { askedFile } = dataset;
  const labels = await readLabels(dataset, labelFile).catch((error: unknown): BenchmarkLabels | undefined => {
    const isAbsent = error instanceof InputError && error.code === 'FILE_NOT_FOUND';
    if (isAbsent && askedFile !== undefined) return undefined;
    throw error;
  });
  const faults: string[] = [];
  const asked =
    askedFile === undefined
      ? undefined
      : await readColumn(folder, { file: askedFile, column: 'name' }, faults);
  const names = [...(asked ?? labels!.truths.of).keys()];
  faults.push(
    ...names.filter((name) => /[/\\]/.test(name)).map((name) => `the name "${name}" holds a slash`),
  );
  const origin = askedFile === undefined ? labelFile : join(folder, askedFile);
  if (faults.length > 0) throw new InputError('LABELS_INVALID', `${origin}: ${listFaults(faults)}.`);
  return {
    records: names.map((name) => ({
      name,
      ...(labels && annotations(labels.truths, name)),
      split,
      origin: `${origin}, "${name}"`,
    })),
    findings: labels?.findings ?? [],
  };
}

/**
 * The samples of a set as they lie in the published layout: names of the split, subtitles in the language that the
 * published evaluation shows, and the files of each; that these are there is seen when they are needed.
 *
 * @param root folder that holds the folders of the sets
 * @throws InputError `DATASET_INVALID` (all samples without a subtitle), `BENCHMARK_SPLIT_UNKNOWN`, and those of
 *   `readLabels` and `readCsv`
 */
export async function readBenchmarkRecords(
  key: string,
  root: string,
  split = 'test',
): Promise<SampleRecord[]> {
  const dataset = benchmarkSplit(key, split);
  const { layout, title } = dataset;
  const folder = resolve(root, layout.folder);
  const { records } = await readLabelledSplit(dataset, split, folder);
  const faults: string[] = [];
  const subtitles = await readColumn(folder, layout.subtitles, faults);
  const names = records.map(({ name }) => name);
  const untold = names.filter((name) => !subtitles.has(name));
  faults.push(...untold.map((name) => `${layout.subtitles.file} has no row for "${name}"`));
  if (faults.length > 0) {
    throw new InputError(
      'DATASET_INVALID',
      `The tables of ${title} in ${folder} have faults: ${listFaults(faults)}. affectgpt data check --dataset ${key} --root ${root} lists all of them.`,
    );
  }
  const clips = await findClipFiles(layout, folder, names);
  return records.map((record, i) => ({
    ...record,
    ...clips[i]!.columns,
    subtitle: subtitles.get(record.name)!.text,
  }));
}

/**
 * What records are labelled with, as truths of a set.
 * @throws InputError `LABELS_INVALID` (all records without a label of this kind)
 */
export function truthsOfRecords(dataset: BenchmarkDataset, records: readonly SampleRecord[]): Truths {
  const faults: string[] = [];
  const { kind } = dataset.labels;
  const missing = ({ origin, name }: SampleRecord, column: string): void => {
    faults.push(`${origin}: "${name}" has ${column}`);
  };
  if (kind === 'sentiment') {
    const strengths: Readonly<Record<string, number>> = { positive: 1, neutral: 0, negative: -1 };
    const values = records.map((record): [string, number] => {
      const value = record.valence ?? strengths[record.sentiment ?? ''];
      if (value === undefined) missing(record, 'no valence and no sentiment');
      return [record.name, value ?? Number.NaN];
    });
    if (faults.length === 0) return { kind: 'sentiment', of: new Map(values) };
  } else {
    const words = records.map((record): [string, readonly string[]] => {
      const { labels = [] } = record;
      if (kind === 'emotion' ? labels.length !== 1 : labels.length === 0) {
        missing(
          record,
          `${labels.length} labels, expected is ${kind === 'emotion' ? 'one' : 'at least one'}`,
        );
      }
      return [record.name, labels];
    });
    if (faults.length === 0) return { kind: 'labels', of: new Map(words) };
  }
  throw new InputError(
    'LABELS_INVALID',
    `These samples have no label of ${dataset.title}: ${listFaults(faults)}.`,
  );
}

import { resolve } from 'node:path';
import type { CheckedSet, CheckOptions } from '../../data/check/clip-set.ts';
import { type AnnotatedSplit, checkClipSet, tableFault } from '../../data/check/clip-set.ts';
import { type DataFinding, findingOf } from '../../data/check/findings.ts';
import { readColumn } from '../../data/datasets.ts';
import { benchmarkDataset, benchmarkSplit } from './datasets.ts';
import { readLabels } from './labels.ts';
import { readLabelledSplit } from './records.ts';

/**
 * Checks a set of the benchmark in its published layout.
 *
 * @param splits those that have to be whole
 * @throws InputError `BENCHMARK_DATASET_UNKNOWN`, `BENCHMARK_SPLIT_UNKNOWN`
 */
export async function checkBenchmarkSet(
  key: string,
  root: string,
  splits: readonly string[],
  options: CheckOptions,
): Promise<CheckedSet> {
  const { layout, title, otherSplits = {} } = benchmarkDataset(key);
  const folder = resolve(root, layout.folder);
  const findings: DataFinding[] = [];
  const read: AnnotatedSplit[] = [];
  for (const split of splits) {
    const { expected, records, found } = await readSplit(key, split, folder);
    read.push({ split, expected, records });
    // A table that holds several splits is missing once.
    const isNew = (one: DataFinding) =>
      !findings.some((other) => JSON.stringify(other) === JSON.stringify(one));
    findings.push(...found.filter(isNew));
  }
  const others = ['test', ...Object.keys(otherSplits)].filter((split) => !splits.includes(split));
  return checkClipSet(
    {
      ...{ dataset: key, title, layout, root, splits: read, findings },
      known: await namesOf(key, others, folder),
    },
    options,
  );
}

async function readSplit(key: string, split: string, folder: string) {
  const dataset = benchmarkSplit(key, split);
  const found: DataFinding[] = [];
  const { count: expected, askedFile, labelFile } = dataset;
  if (askedFile !== undefined) found.push(...(await missingLabels(folder, dataset.labelFile)));
  try {
    const { records, findings } = await readLabelledSplit(dataset, split, folder);
    for (const { kind, of } of findings) {
      if (kind === 'nan' || kind === 'empty') found.push(...findingOf('labels', 'empty', of, false));
    }
    return { expected, records, found };
  } catch (error) {
    found.push(...tableFault('labels', askedFile ?? labelFile, error));
    return { expected, records: [], found };
  }
}

/** Labels that are not public are no fault: answers can be generated without them. */
async function missingLabels(folder: string, file: string): Promise<DataFinding[]> {
  try {
    await readColumn(folder, { file, column: 'openset' }, []);
    return [];
  } catch (error) {
    return tableFault('labels', file, error, false).filter(({ kind }) => kind === 'missing');
  }
}

/** Names of splits that are not checked; their files are no orphans. */
async function namesOf(key: string, splits: readonly string[], folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const split of splits) {
    const dataset = benchmarkSplit(key, split);
    const labels = await readLabels(dataset, resolve(folder, dataset.labelFile)).catch(() => undefined);
    names.push(...(labels?.truths.of.keys() ?? []));
  }
  return names;
}

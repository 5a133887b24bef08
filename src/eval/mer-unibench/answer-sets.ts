import { basename, dirname, join, resolve } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { readManifest } from '../../data/manifest.ts';
import type { SampleRecord } from '../../data/records.ts';
import { InputError } from '../../errors.ts';
import { openCheckpoints } from '../../predict/open-run.ts';
import { type BenchmarkDataset, type BenchmarkKey, benchmarkDataset, benchmarkSplit } from './datasets.ts';
import { type AskedSet, generateAnswers } from './generate.ts';
import { type BenchmarkLabels, readLabels } from './labels.ts';
import type { Protocol } from './metrics/result.ts';
import { readPredictions } from './predictions.ts';
import { readBenchmarkRecords, truthsOfRecords } from './records.ts';
import type { AnsweredFiles } from './run.ts';
import { selectCheckpoint } from './selection.ts';

/** Where the samples of sets are described: the published layout below a folder, or the manifest of one set. */
export type SetsLocation = { readonly root: string } | { readonly manifest: string };

export interface AnswerSetsOptions {
  readonly keys: readonly BenchmarkKey[];
  /** A run folder, or checkpoint folders of one run. */
  readonly checkpoints: readonly string[];
  /** All checkpoints of the run. */
  readonly allCheckpoints: boolean;
  /** Overrides of the run's configuration, as `--set`. Answers are greedy unless these say otherwise. */
  readonly set: readonly string[];
  readonly location: SetsLocation;
  readonly split: string;
  /** Folder for the answers; `mer-unibench` in the run folder where absent. */
  readonly output?: string;
  /** How they will be scored: a checkpoint that has to be picked is asked for before anything is generated. */
  readonly protocol: Protocol;
  readonly pick?: string;
  readonly notify: (message: string) => void;
}

/** Answers of a run about sets, ready to be scored. */
export interface AnsweredSets {
  readonly config: Config;
  readonly output: string;
  /** Files of answers about sets whose labels are not there. */
  readonly unscored: readonly string[];
  readonly answered: readonly AnsweredFiles[];
}

interface DescribedSet extends AskedSet {
  /** Absent where they are not public. */
  readonly labels?: BenchmarkLabels;
}

/**
 * Lets checkpoints of a run answer about sets (`generateAnswers`), and reads the answers and the labels.
 *
 * @throws InputError `SAMPLES_NONE`, and those of `openCheckpoints`, `selectCheckpoint`, `readBenchmarkRecords`,
 *   `readManifest`, `readLabels` and `generateAnswers`
 */
export async function answerSets(options: AnswerSetsOptions): Promise<AnsweredSets> {
  const { keys, protocol, pick, notify } = options;
  const all = options.allCheckpoints;
  const greedy = options.set.some((one) => one.startsWith('generation.temperature=')) ? [] : greedySetting;
  const opened = await openCheckpoints(options.checkpoints, { all, set: [...options.set, ...greedy] });
  const { config, checkpoints } = opened;
  const names = checkpoints.map((checkpoint) => basename(checkpoint));
  const candidates = keys.map((key) => ({ key, names }));
  selectCheckpoint(candidates, { protocol, pick });
  const sets: DescribedSet[] = [];
  for (const key of keys) sets.push(await describeSet(key, options));
  const output = options.output ?? join(dirname(dirname(resolve(checkpoints[0]!))), 'mer-unibench');
  const generated = await generateAnswers({ config, checkpoints, sets, output, notify });
  const answered: AnsweredFiles[] = [];
  const unscored: string[] = [];
  for (const [i, { key, files }] of generated.entries()) {
    const { labels } = sets[i]!;
    if (labels === undefined) unscored.push(...files);
    else {
      const read = [];
      for (const file of files) read.push(...(await readPredictions(file)).checkpoints);
      answered.push({ key, labels, predictions: { checkpoints: read, findings: [] } });
    }
  }
  return { config, output, answered, unscored };
}

const greedySetting = ['generation.temperature=0'];

async function describeSet(
  key: BenchmarkKey,
  { location, split }: Pick<AnswerSetsOptions, 'location' | 'split'>,
): Promise<DescribedSet> {
  if ('manifest' in location) {
    const records = await manifestSplit(location.manifest, split);
    const truths = truthsOfRecords(benchmarkDataset(key), records);
    return { key, records, labels: { file: location.manifest, truths, outsideSplit: 0, findings: [] } };
  }
  const dataset = benchmarkSplit(key, split);
  const records = await readBenchmarkRecords(key, location.root, split);
  const labels = await publicLabels(dataset, location.root);
  return { key, records, ...(labels && { labels }) };
}

/** Samples of a split; in a manifest without splits all belong to it. */
async function manifestSplit(manifest: string, split: string): Promise<SampleRecord[]> {
  const all = await readManifest(manifest);
  const records = all.filter((record) => record.split === undefined || record.split === split);
  if (records.length > 0) return records;
  throw new InputError('SAMPLES_NONE', `${manifest} has no sample of the split "${split}".`);
}

/** Undefined where a set can be answered about without its labels, and they are not there. */
async function publicLabels(dataset: BenchmarkDataset, root: string): Promise<BenchmarkLabels | undefined> {
  try {
    return await readLabels(dataset, join(root, dataset.layout.folder, dataset.labelFile));
  } catch (error) {
    const isAbsent = error instanceof InputError && error.code === 'FILE_NOT_FOUND';
    if (isAbsent && dataset.askedFile !== undefined) return undefined;
    throw error;
  }
}

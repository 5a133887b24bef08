import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readColumn } from '../../src/data/datasets.ts';
import {
  type BenchmarkDataset,
  type BenchmarkKey,
  benchmarkDatasets,
  benchmarkSplit,
} from '../../src/eval/mer-unibench/datasets.ts';
import { readLabels } from '../../src/eval/mer-unibench/labels.ts';

/** Label files of five samples in the test split, and a few in others. */
const fixtures = fileURLToPath(new URL('../fixtures/npz/sets', import.meta.url));

/** A set in its published layout. */
export interface LaidSet {
  readonly folder: string;
  /** Of the test split. */
  readonly names: readonly string[];
  /** Of the others. */
  readonly others: readonly string[];
  /** A path below the folder. */
  at(...parts: string[]): string;
}

async function namesOf(key: BenchmarkKey, split: string): Promise<string[]> {
  const dataset = benchmarkSplit(key, split);
  const labels = await readLabels(dataset, path.join(fixtures, key, dataset.labelFile));
  return [...labels.truths.of.keys()];
}

/** Puts files of one byte into their places; video and sound are copies of a clip where there is one. */
async function layClip(
  { layout }: BenchmarkDataset,
  folder: string,
  name: string,
  clip: string | undefined,
): Promise<void> {
  for (const file of [layout.videos(name)[0], layout.audio(name), layout.face(name)]) {
    const target = path.join(folder, file);
    await mkdir(path.dirname(target), { recursive: true });
    if (clip !== undefined && file !== layout.face(name)) await copyFile(clip, target);
    else await writeFile(target, 'x');
  }
}

/**
 * Lays out a set of the benchmark, all of its splits, below a root.
 *
 * @param clip to copy for the sample of that number; without it files hold one byte
 */
export async function layBenchmarkSet(
  root: string,
  key: BenchmarkKey,
  clip?: (sample: number) => string,
): Promise<LaidSet> {
  const dataset: BenchmarkDataset = benchmarkDatasets[key];
  const { layout, labelFile, askedFile } = dataset;
  const folder = path.join(root, layout.folder);
  await mkdir(folder, { recursive: true });
  await copyFile(path.join(fixtures, key, labelFile), path.join(folder, labelFile));
  const names = await namesOf(key, 'test');
  const splits = Object.keys(dataset.otherSplits ?? {});
  const others = (await Promise.all(splits.map((split) => namesOf(key, split)))).flat();
  if (askedFile !== undefined) {
    const rows = ['name', ...(await readColumn(folder, { file: labelFile, column: 'openset' }, [])).keys()];
    await writeFile(path.join(folder, askedFile), `${rows.join('\n')}\n`);
  }
  const { file, column } = layout.subtitles;
  const spoken = [...names, ...others].map((name, i) => `${name},"${i}, spoken"\n`);
  await writeFile(path.join(folder, file), `name,${column}\n${spoken.join('')}`);
  for (const [i, name] of [...names, ...others].entries()) await layClip(dataset, folder, name, clip?.(i));
  return { folder, names, others, at: (...parts) => path.join(folder, ...parts) };
}

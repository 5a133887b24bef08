import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256File } from '../../src/io/checksum.ts';
import { planClips, writeClips } from '../../src/quickstart/clips.ts';
import { jsonLines, readLines } from './json-lines.ts';
import { writeTinyModels } from './tiny-models.ts';

/** A row of the manifest that a workspace has. */
export type Row = Record<string, unknown> & { readonly name: string };

/** Tiny models, six clips with their manifest, and a configuration: all that a user has before the first training. */
export interface Workspace {
  readonly folder: string;
  /** A path below the folder. */
  path(...names: string[]): string;
  readonly config: string;
  readonly manifest: string;
  /** Five are trained on, the last is held out. */
  readonly rows: readonly Row[];
  /** Writes another manifest beside the first. */
  writeManifest(name: string, rows: readonly object[]): Promise<string>;
}

/** Subtitles of different lengths, so that batches have padding. */
const subtitles = [
  'No.',
  'I heard about the garden this morning, and then again after lunch.',
  'They talked about the train.',
  'We looked for the letter on Monday, and nobody of us had thought of the window, the table and the car.',
  'You asked about dinner today.',
  'She wrote about the house at noon.',
];

const configText = (path: (...names: string[]) => string): string => `
model:
  llm: ${path('models', 'llm')}
  visualEncoder: { type: clip, model: ${path('models', 'visual')} }
  audioEncoder: { type: hubert, model: ${path('models', 'audio')} }
  inputs: multiframe_audio_frame_text
  maxLength: 512
lora: { rank: 4, alpha: 8, dropout: 0.1 }
data:
  manifest: ${path('clips', 'manifest.jsonl')}
  labelType: hybird
  featureCache: ${path('features')}
train:
  steps: 20
  batchSize: 2
  optimizer: { lr: 0.01 }
  checkpoint: { every: 5, keep: 2 }
  log: { every: 1 }
engine: { threads: 1 }
generation: { maxNewTokens: 16 }
output: ${path('run')}
`;

/** Fills a folder with a workspace. */
export async function writeWorkspace(folder: string): Promise<Workspace> {
  const path = (...names: string[]) => join(folder, ...names);
  const writeManifest = async (name: string, rows: readonly object[]): Promise<string> => {
    const file = path('clips', name);
    await writeFile(file, jsonLines(rows));
    return file;
  };
  await mkdir(folder, { recursive: true });
  await writeTinyModels(path('models'));
  const plans = planClips(3, { trainSpeakers: 1, testSpeakers: 0 });
  const planned = await readLines(await writeClips(path('clips'), plans));
  const rows = planned.map((row, i): Row => {
    const subtitle = subtitles[i]!;
    return { ...(row as Row), subtitle, split: i < planned.length - 1 ? 'train' : 'test' };
  });
  const manifest = await writeManifest('manifest.jsonl', rows);
  const config = path('config.yaml');
  await writeFile(config, configText(path));
  return { folder, path, config, manifest, rows, writeManifest };
}

/** `--set` for each of the given keys. */
export const set = (values: Readonly<Record<string, unknown>>): string[] =>
  Object.entries(values).flatMap(([key, value]) => [
    '--set',
    `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  ]);

/** What a step computed, without what a clock says. */
export async function readMetrics(runFolder: string): Promise<Record<string, unknown>[]> {
  const lines = await readLines(join(runFolder, 'metrics.jsonl'));
  return lines.map(({ tokensPerSecond: _pace, seconds: _time, ...computed }) => computed);
}

/** SHA-256 of the tensor files of a checkpoint, by name. */
export async function readTensorFiles(checkpoint: string): Promise<Record<string, string>> {
  const names = ['adapter_model', 'affectgpt', 'optimizer'].map((name) => `${name}.safetensors`);
  const hashes = names.map(async (name) => [name, await sha256File(join(checkpoint, name))]);
  return Object.fromEntries(await Promise.all(hashes)) as Record<string, string>;
}

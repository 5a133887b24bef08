import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { createEngine, type EngineName } from '../../src/engine/engines.ts';
import type { HostTensorMap } from '../../src/engine/types.ts';
import { trainConfigured } from '../../train/configured.ts';
import type { InterruptSignal } from '../../train/interrupts.ts';
import { jsonLines } from '../support/json-lines.ts';
import { type ClipRow, writeLosslessClips } from '../support/lossless-clips.ts';
import { type TinyModels, writeTinyModels } from '../support/tiny-models.ts';

/** A shipped configuration whose first steps are kept. */
export interface GoldenRun {
  /** File in `configs`. */
  readonly config: string;
  readonly engine: EngineName;
  readonly steps: number;
}

const configs = ['quickstart.yaml', 'prefusion-attn.yaml', 'prefusion-qformer.yaml'] as const;

/** The published Q-Former takes an eager engine seconds a step: there, fewer of them. */
export const goldenRuns: readonly GoldenRun[] = configs.flatMap((config) => [
  { config, engine: 'onnxruntime', steps: 10 },
  { config, engine: 'wasm', steps: config === 'prefusion-qformer.yaml' ? 3 : 10 },
]);

export const goldenName = ({ config, engine }: GoldenRun): string =>
  `${config.replace('.yaml', '')}.${engine}`;

/** A step, with everything that decides it and what came of it. */
export interface GoldenStep {
  readonly step: number;
  readonly epoch: number;
  readonly names: readonly string[];
  readonly tokens: number;
  readonly supervisedTokens: number;
  readonly lr: number;
  readonly loss: number;
  readonly gradNorm: number;
}

/** What a golden file holds. */
export interface GoldenResult {
  readonly steps: readonly GoldenStep[];
  /**
   * Lengths of the trained tensors after the last step, by module: they tell of weight decay, which at the published
   * learning rate changes losses less than another processor does.
   */
  readonly weights: Readonly<Record<string, number>>;
}

/** Models and clips on disk: tiny, random, the same on every machine. */
export interface GoldenMaterial {
  readonly folder: string;
  readonly models: TinyModels;
}

/** MER2025's folder, as far as its training set needs it. */
async function writeMer2025(root: string, clips: string, rows: readonly ClipRow[]): Promise<void> {
  const folder = join(root, 'mer2025-dataset');
  for (const part of ['video', 'audio']) await mkdir(join(folder, part), { recursive: true });
  const table = (file: string, column: string, cell: (row: ClipRow) => string | undefined) => {
    const lines = rows.flatMap((row) => {
      const text = cell(row);
      return text === undefined ? [] : [`${row.name},"${text}"`];
    });
    return writeFile(join(folder, file), `name,${column}\n${lines.join('\n')}\n`);
  };
  await table('track2_train_mercaptionplus.csv', 'openset', ({ labels }) => `[${labels.join(', ')}]`);
  await table('track3_train_mercaptionplus.csv', 'reason', ({ description }) => description);
  await table('subtitle_chieng.csv', 'english', ({ subtitle }) => subtitle);
  for (const { name, audio, face } of rows) {
    await mkdir(join(folder, 'openface_face', name), { recursive: true });
    await copyFile(join(clips, audio), join(folder, 'audio', `${name}.wav`));
    await copyFile(join(clips, face), join(folder, 'openface_face', name, `${name}.npy`));
  }
}

/** Writes models and clips into a folder: as a manifest with videos, and in the layout of the published data set. */
export async function writeGoldenMaterial(folder: string): Promise<GoldenMaterial> {
  const models = await writeTinyModels(join(folder, 'models'));
  const clips = join(folder, 'clips');
  // Ten: both batch sizes of the configurations, 8 and 3, end an epoch with a shorter step.
  const rows = await writeLosslessClips(clips, 10, { videos: true });
  const manifest = jsonLines(rows.map(({ face: _, ...row }) => row));
  await writeFile(join(clips, 'manifest.jsonl'), manifest);
  await writeMer2025(join(folder, 'dataset'), clips, rows);
  return { folder, models };
}

/** The configuration as shipped, with other paths and nothing else changed. */
export function goldenConfig({ folder, models }: GoldenMaterial, run: GoldenRun): Config {
  const isQuickstart = run.config === 'quickstart.yaml';
  const paths = {
    'model.llm': models.llm,
    'model.visualEncoder.model': models.visual,
    'model.audioEncoder.model': models.audio,
    ...(isQuickstart
      ? { 'data.manifest': join(folder, 'clips', 'manifest.jsonl') }
      : { 'data.root': join(folder, 'dataset') }),
    'data.featureCache': null,
    'engine.threads': 1,
    output: join(folder, 'runs', goldenName(run)),
  };
  const set = Object.entries(paths).map(([key, value]) => `${key}=${value}`);
  return loadConfig({ config: run.config, set }).config;
}

function lengths(parameters: HostTensorMap): Record<string, number> {
  const squares: Record<string, number> = {};
  for (const [name, { data }] of Object.entries(parameters)) {
    // Trained by rounding alone: attention does not change where all its scores do by the same.
    if (name.endsWith('self.key.bias')) continue;
    const module = /lora_[AB]/.exec(name)?.[0] ?? name.split('.')[0]!;
    let sum = squares[module] ?? 0;
    for (let i = 0; i < data.length; i++) sum += data[i]! ** 2;
    squares[module] = sum;
  }
  return Object.fromEntries(Object.entries(squares).map(([module, sum]) => [module, Math.sqrt(sum)]));
}

/** Trains the first steps, as `affectgpt train` does, and is interrupted after them. */
export async function trainGolden(config: Config, { engine: type, steps }: GoldenRun): Promise<GoldenResult> {
  const engine = await createEngine({ type, threads: 1 });
  const done: GoldenStep[] = [];
  const { parameters } = await trainConfigured({
    ...{ config, sources: new Map(), engine, resume: 'never', stream: null },
    interrupt: {
      get requested(): InterruptSignal | undefined {
        return done.length < steps ? undefined : 'SIGTERM';
      },
    },
    onStep: ({ step, epoch, names, tokens, supervisedTokens, lr, loss, gradNorm }) => {
      done.push({ step, epoch, names, tokens, supervisedTokens, lr, loss, gradNorm });
    },
  });
  return { steps: done, weights: lengths(parameters) };
}

import { expect, vi } from 'vitest';
import type { GeneratedSequence } from '../../model/generation.ts';
import { planClips, writeClips } from '../../src/quickstart/clips.ts';
import { Generator } from '../../src/runtime/generator.ts';
import { makeWorkspace, readLines, set, succeed } from '../e2e/workspace.ts';

/** A clip, and what `affectgpt predict` says of it. */
export interface AskedClip {
  readonly video: string;
  readonly subtitle: string;
  readonly text: string;
  /** Ids of everything that was generated. */
  readonly tokens: readonly number[];
}

/** A run that was exported, and what it says of its clips. */
export interface AskedRun {
  /** The exported folder. */
  readonly exported: string;
  readonly clips: readonly AskedClip[];
}

/**
 * Exports a run and asks it about clips by the command line.
 *
 * @param manifest of clips that have a subtitle
 * @param folder for what is written; it has to be there
 */
export async function exportAndAsk(checkpoint: string, manifest: string, folder: string): Promise<AskedRun> {
  const exported = `${folder}/exported`;
  await succeed('export', 'onnx', '--checkpoint', checkpoint, '--output', exported, '--parity-samples', '1');
  const output = `${folder}/predictions.jsonl`;
  // Its lines have the number of tokens alone.
  const answer = vi.spyOn(Generator.prototype, 'answer');
  await succeed('predict', '--checkpoint', checkpoint, '--data', manifest, '--output', output);
  const batches = answer.mock.results.map(({ value }) => value as Promise<GeneratedSequence[]>);
  answer.mockRestore();
  const sequences = (await Promise.all(batches)).flat();
  const predictions = await readLines(output);
  expect(sequences.map(({ tokens }) => tokens.length)).toEqual(predictions.map(({ tokens }) => tokens));
  const rows = new Map((await readLines(manifest)).map((row) => [row.name, row]));
  const clips = predictions.map(({ name, text }, i): AskedClip => {
    const { video, subtitle } = rows.get(name) as { video: string; subtitle: string };
    const path = video.startsWith('/') ? video : `${manifest.slice(0, manifest.lastIndexOf('/'))}/${video}`;
    return { video: path, subtitle, text: text as string, tokens: sequences[i]!.tokens };
  });
  return { exported, clips };
}

/**
 * Trains tiny models on ten clips with the same subtitle, until what they say depends on picture and sound alone, and
 * surely so.
 */
export async function makeAskedRun(): Promise<AskedRun> {
  const { path, config } = await makeWorkspace();
  const plans = planClips(5, { trainSpeakers: 2, testSpeakers: 0 }).slice(0, 10);
  const subtitle = 'I heard about the garden this morning.';
  const said = plans.map((plan) => ({ ...plan, subtitle: { ...plan.subtitle, text: subtitle } }));
  const manifest = await writeClips(path('ten'), said);
  const settings = {
    'data.manifest': manifest,
    'data.labelType': 'ovlabel',
    'lora.rank': 8,
    'lora.dropout': 0,
    'train.steps': 140,
    'train.batchSize': 10,
    'train.optimizer.lr': 0.02,
    'train.checkpoint.every': 140,
    'train.log.every': 140,
  };
  await succeed('train', '--config', config, ...set(settings));
  return exportAndAsk(path('run'), manifest, path());
}

import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import type { OutputStream } from '../../train/progress.ts';
import { findMediaTools } from '../data/media/ffmpeg.ts';
import { readRecords } from '../data/read-records.ts';
import type { SampleRecord } from '../data/records.ts';
import { createEngine } from '../engine/engines.ts';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { EMOTIONS } from './emotions.ts';
import { KeptParts, partsFile } from './kept-parts.ts';
import { type QuickstartResult, resultPage, resultTable, type ShownClip } from './report.ts';
import {
  type Evaluation,
  evaluateVariant,
  makeClips,
  makeModels,
  type QuickstartOptions,
  type QuickstartScale,
  type TrainedVariant,
  trainVariant,
  type VariantName,
  variants,
} from './stages.ts';
import { makeSweepParts } from './sweep-parts.ts';

export interface RunQuickstart {
  readonly folder: string;
  readonly seed: number;
  readonly scale: QuickstartScale;
  readonly threads?: number;
  readonly stream: OutputStream;
}

/** What trainings left in a quickstart's folder, and what they are made of. */
const results = ['features', ...Object.keys(variants), 'quickstart.html', 'result.json'];
const parts = ['clips', 'models', partsFile];

/** What the other stages read, and the manifest of the clips. */
interface Prepared {
  readonly options: QuickstartOptions;
  readonly manifest: string;
}

/**
 * Makes clips and small models alone, for trainings and sweeps of one's own. What an earlier call left there whole and made
 * with the same settings is kept; where anything has to be made, the results of a quickstart in the folder go.
 *
 * @throws InputError `QUICKSTART_FOLDER` where the folder holds anything else
 */
export async function prepareQuickstart(run: RunQuickstart): Promise<Prepared> {
  checkFolder(run.folder);
  return makeParts(run);
}

async function makeParts(run: RunQuickstart): Promise<Prepared> {
  const { seed, stream, threads, scale } = run;
  const folder = resolve(run.folder);
  const kept = await KeptParts.open(folder, stream, () => clear(folder, results));
  const engine = await createEngine({ type: 'onnxruntime', ...(threads === undefined ? {} : { threads }) });
  const options: QuickstartOptions = { folder, seed, engine, scale, stream };
  const manifest = await makeClips(options, kept);
  await makeModels(options, kept);
  await makeSweepParts(options, manifest, kept);
  return { options, manifest };
}

/**
 * Makes clips and small models, trains an AffectGPT and its single-modality rivals on them, and writes a page about what
 * the model says of clips that it has never seen. Everything lies below `folder`; an earlier quickstart there is
 * replaced.
 *
 * @throws InputError `QUICKSTART_FOLDER` where the folder holds anything else
 */
export async function runQuickstart(run: RunQuickstart): Promise<QuickstartResult> {
  const started = performance.now();
  const { seed, stream } = run;
  checkFolder(run.folder);
  await clear(resolve(run.folder), [...parts, ...results]);
  const { options, manifest } = await makeParts(run);
  const { folder } = options;
  const trained: Partial<Record<VariantName, TrainedVariant>> = {};
  const evaluated: Partial<Record<VariantName, Evaluation>> = {};
  for (const name of Object.keys(variants) as VariantName[]) {
    trained[name] = await trainVariant(options, name);
    evaluated[name] = await evaluateVariant(options, trained[name]);
  }
  const shuffled = await evaluateVariant(options, trained.all!, true);
  const result: QuickstartResult = {
    seed,
    seconds: (performance.now() - started) / 1000,
    peakMemoryMb: process.resourceUsage().maxRSS / 1024,
    machine: `${os.cpus()[0]?.model.trim() ?? 'unknown processor'}, ${os.availableParallelism()} cores, Node ${process.version}`,
    trainClips: run.scale.trainSpeakers * EMOTIONS.length,
    chance: 1 / EMOTIONS.length,
    trained: trained as Record<VariantName, TrainedVariant>,
    evaluated: evaluated as Record<VariantName, Evaluation>,
    shuffled,
  };
  const records = new Map((await readRecords({ manifest })).map((record) => [record.name, record]));
  const clips = await showClips(result.evaluated.all.answers.slice(0, 12), records);
  await writeFileAtomic(join(folder, 'quickstart.html'), resultPage(result, clips));
  await writeFileAtomic(join(folder, 'result.json'), `${JSON.stringify(summary(result), null, 2)}\n`);
  stream.write(`\n${resultTable(result)}\n`);
  for (const { subtitle, text, truth } of clips.slice(0, 4))
    stream.write(`  “${subtitle}” → ${text} (it is ${truth})\n`);
  stream.write(
    `\nAll of it synthetic. ${result.seconds.toFixed(0)} s, ${result.peakMemoryMb.toFixed(0)} MB at most. Page: ${join(folder, 'quickstart.html')}\n`,
  );
  return result;
}

/** The figures of a result, for programs. */
function summary({ seed, seconds, peakMemoryMb, machine, evaluated, shuffled, chance }: QuickstartResult) {
  const accuracy = Object.fromEntries(
    Object.entries(evaluated).map(([name, { accuracy: share }]) => [name, share]),
  );
  return {
    synthetic: true,
    seed,
    accuracy: { ...accuracy, shuffled: shuffled.accuracy, chance },
    seconds,
    peakMemoryMb,
    machine,
  };
}

function checkFolder(folder: string): void {
  const isOurs = [partsFile, 'clips'].some((name) => existsSync(join(folder, name)));
  if (existsSync(folder) && !isOurs) {
    throw new InputError(
      'QUICKSTART_FOLDER',
      `${folder} exists and is no quickstart of before. Name another folder with --output, or remove it.`,
    );
  }
}

async function clear(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(join(folder, name), { recursive: true, force: true });
}

/** Three pictures of each clip. */
async function showClips(
  answers: Evaluation['answers'],
  records: ReadonlyMap<string, SampleRecord>,
): Promise<ShownClip[]> {
  const { ffmpeg } = await findMediaTools();
  return Promise.all(
    answers.map(async (answer) => {
      const record = records.get(answer.name)!;
      const pictures = await Promise.all(
        [0.3, 1, 1.7].map(async (second) => {
          const place = [
            '-ss',
            String(second),
            '-i',
            record.video!,
            '-frames:v',
            '1',
            '-vf',
            'scale=112:112',
          ];
          const { stdout } = await execa(
            ffmpeg,
            ['-v', 'error', ...place, '-f', 'mjpeg', '-q:v', '5', 'pipe:1'],
            {
              encoding: 'buffer',
            },
          );
          return `data:image/jpeg;base64,${Buffer.from(stdout).toString('base64')}`;
        }),
      );
      return { ...answer, subtitle: record.subtitle!, pictures };
    }),
  );
}

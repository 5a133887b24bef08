import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadWeights } from '../../train/checkpoint.ts';
import { trainConfigured } from '../../train/configured.ts';
import type { OutputStream } from '../../train/progress.ts';
import { loadConfig } from '../config/load.ts';
import { questionText } from '../data/prompts.ts';
import { readRecords, splitRecords } from '../data/read-records.ts';
import type { SampleRecord } from '../data/records.ts';
import type { Engine } from '../engine/types.ts';
import { type Prediction, Predictor } from '../predict/predictor.ts';
import { openAffectGpt } from '../runtime/affectgpt.ts';
import { clipsManifest, planClips, writeClips } from './clips.ts';
import { LessonWriter } from './corpus.ts';
import { EMOTIONS, type Emotion } from './emotions.ts';
import type { KeptParts } from './kept-parts.ts';
import { pretrainDecoder } from './pretrain-decoder.ts';
import { type EncoderPretraining, pretrainAudioEncoder, pretrainVisualEncoder } from './pretrain-encoders.ts';
import { Random } from './random.ts';
import { readEmotion } from './text.ts';
import { trainTokenizer, writeTokenizer } from './tokenizer.ts';

/** How much of everything; the defaults fit five minutes on two cores. */
export interface QuickstartScale {
  readonly trainSpeakers: number;
  readonly testSpeakers: number;
  readonly visualSteps: number;
  readonly audioSteps: number;
  readonly decoderSteps: number;
  readonly trainSteps: number;
}

export const quickstartScale: QuickstartScale = {
  trainSpeakers: 50,
  testSpeakers: 20,
  visualSteps: 900,
  audioSteps: 400,
  decoderSteps: 250,
  trainSteps: 300,
};

export interface QuickstartOptions {
  /** Everything is written below it. */
  readonly folder: string;
  readonly seed: number;
  readonly engine: Engine;
  readonly scale: QuickstartScale;
  readonly stream: OutputStream;
}

/** Models that are compared; each is trained separately with the same budget. */
export const variants = {
  all: { inputs: 'multiframe_audio_frame_text', title: 'face + voice + text' },
  audio: { inputs: 'audioonly', title: 'voice alone' },
  face: { inputs: 'frameonly', title: 'face alone' },
  text: { inputs: 'textonly', title: 'text alone' },
} as const;

export type VariantName = keyof typeof variants;

/** A line now and then while something is trained. */
const progress = (stream: OutputStream, what: string, steps: number) => (step: number, loss: number) => {
  if (step % 100 === 0 || step === steps)
    stream.write(`  ${what}: step ${step} of ${steps}, loss ${loss.toFixed(3)}\n`);
};

/** Trains a model and writes it into a folder. */
type ModelMaker = (folder: string, training: EncoderPretraining) => Promise<void>;

/** Makes the clips of both splits. @returns the manifest */
export async function makeClips(
  { folder, seed, scale, stream }: QuickstartOptions,
  parts: KeptParts,
): Promise<string> {
  const { trainSpeakers, testSpeakers } = scale;
  const clips = join(folder, 'clips');
  const settings = { seed, trainSpeakers, testSpeakers };
  await parts.make({ name: 'clips', settings, places: ['clips'] }, async () => {
    const plans = planClips(seed, scale);
    stream.write(
      `Making ${plans.length} clips (${trainSpeakers} speakers to train on, ${testSpeakers} others to test with) …\n`,
    );
    await writeClips(clips, plans);
  });
  return join(clips, clipsManifest);
}

/** Trains the small encoders and the small decoder that stand for the published ones. */
export async function makeModels(options: QuickstartOptions, parts: KeptParts): Promise<void> {
  const { folder, seed, engine, scale, stream } = options;
  const make = (
    name: string,
    steps: number,
    batch: number,
    what: string,
    work: ModelMaker,
  ): Promise<void> => {
    const place = join('models', name);
    return parts.make({ name: what, settings: { seed, steps, batch }, places: [place] }, async () => {
      await mkdir(join(folder, place), { recursive: true });
      await work(join(folder, place), {
        ...{ engine, seed, steps, batch },
        onStep: progress(stream, what, steps),
      });
    });
  };
  await make('visual', scale.visualSteps, 64, 'image encoder', (place, training) => {
    stream.write(
      'Teaching a small image encoder to see brows, eyes and mouths (no emotion label is shown to it) …\n',
    );
    return pretrainVisualEncoder(place, training);
  });
  await make('audio', scale.audioSteps, 16, 'speech encoder', (place, training) => {
    stream.write('Teaching a small speech encoder to hear pitch, melody, loudness and tremor (likewise) …\n');
    return pretrainAudioEncoder(place, training);
  });
  await make('decoder', scale.decoderSteps, 16, 'decoder', async (place, training) => {
    stream.write('Teaching a small decoder the language of prompts and answers, from text alone …\n');
    const lessons = new LessonWriter(new Random(seed, 'vocabulary'));
    const texts = Array.from({ length: 1500 }, () => lessons.next()).flatMap(({ prompt, answer }) => [
      prompt,
      `${answer}###`,
    ]);
    await writeTokenizer(place, trainTokenizer(texts));
    await pretrainDecoder(place, training);
  });
}

/** The quickstart's configuration for one of the compared models. */
export function variantConfig({ folder, seed, scale }: QuickstartOptions, name: VariantName) {
  const at = (...parts: string[]): string => JSON.stringify(join(folder, ...parts));
  return loadConfig({
    config: 'quickstart.yaml',
    set: [
      `model.llm=${at('models', 'decoder')}`,
      `model.visualEncoder.model=${at('models', 'visual')}`,
      `model.audioEncoder.model=${at('models', 'audio')}`,
      `model.inputs=${variants[name].inputs}`,
      `data.manifest=${at('clips', 'manifest.jsonl')}`,
      `data.featureCache=${at('features')}`,
      `train.steps=${scale.trainSteps}`,
      `train.schedule.warmupSteps=${Math.ceil(scale.trainSteps / 15)}`,
      `train.seed=${seed}`,
      `output=${at(name)}`,
    ],
  });
}

export interface TrainedVariant {
  readonly name: VariantName;
  readonly checkpoint: string;
  /** Loss of each step. */
  readonly losses: readonly number[];
}

/** Trains one of the compared models by the ordinary training of the program. */
export async function trainVariant(options: QuickstartOptions, name: VariantName): Promise<TrainedVariant> {
  const { engine, stream } = options;
  const { config, sources } = variantConfig(options, name);
  const losses: number[] = [];
  stream.write(`Training: ${variants[name].title} …\n`);
  const outcome = await trainConfigured({
    config,
    sources,
    engine,
    resume: 'never',
    stream,
    label: `  ${name}`,
    onStep: ({ loss }) => losses.push(loss),
  });
  return { name, checkpoint: outcome.checkpoint!, losses };
}

/** An answer about a held-out clip and what would have been right. */
export interface Judged extends Prediction {
  readonly truth: Emotion;
  readonly answer: Emotion | undefined;
}

export interface Evaluation {
  readonly answers: readonly Judged[];
  /** Share of clips whose first named emotion is the clip's. */
  readonly accuracy: number;
}

/** The emotion of a clip: the first word of its label list. */
function truthOf(record: SampleRecord): Emotion {
  const emotion = EMOTIONS.find((candidate) => candidate === record.labels?.[0]);
  if (emotion === undefined) throw new Error(`clip ${record.name} has no emotion`);
  return emotion;
}

/**
 * Each clip with picture, sound and subtitle of three other clips, and its own label: what a model says of those is
 * right by chance only.
 */
function shuffledRecords(records: readonly SampleRecord[], seed: number): SampleRecord[] {
  const random = new Random(seed, 'shuffled modalities');
  const [pictures, sounds, subtitles] = [0, 1, 2].map(() => random.shuffle(records));
  return records.map((record, i) => ({
    ...record,
    video: pictures![i]!.video!,
    audio: sounds![i]!.video!,
    subtitle: subtitles![i]!.subtitle!,
  }));
}

/** Asks a trained model about the held-out clips. */
export async function evaluateVariant(
  options: QuickstartOptions,
  { name, checkpoint }: TrainedVariant,
  shuffled = false,
): Promise<Evaluation> {
  const { engine, seed, stream } = options;
  const { config } = variantConfig(options, name);
  const { heldOut } = splitRecords(
    await readRecords({ manifest: config.data.manifest! }),
    config.data.trainSplit,
  );
  const records = shuffled ? shuffledRecords(heldOut, seed) : heldOut;
  const model = await openAffectGpt(config);
  const notify = (message: string): void => void stream.write(`${message}\n`);
  const predictor = new Predictor({ config, model, engine, notify });
  const { parameters } = await loadWeights(checkpoint, model.trainable);
  const state = predictor.createState(parameters);
  const samples = await predictor.openSamples(records);
  const answers: Judged[] = [];
  try {
    await samples.source.prepare();
    await samples.releaseEncoders();
    for await (const prediction of predictor.predict(state, samples, questionText('ovlabel'))) {
      const truth = truthOf(samples.source.record(prediction.name));
      answers.push({ ...prediction, truth, answer: readEmotion(prediction.text) });
    }
  } finally {
    state.dispose();
    await samples.releaseEncoders();
    await predictor.dispose();
  }
  const right = answers.filter(({ truth, answer }) => truth === answer).length;
  return { answers, accuracy: right / answers.length };
}

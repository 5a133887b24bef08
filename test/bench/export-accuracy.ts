import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { inputMode } from '../../model/modes.ts';
import type { Config } from '../../src/config/schema.ts';
import { decodeAudio } from '../../src/data/media/audio.ts';
import { decodeFrames } from '../../src/data/media/frames.ts';
import { readRecords, recordsLocation, splitRecords } from '../../src/data/read-records.ts';
import type { SampleRecord } from '../../src/data/records.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { CheckError, InputError } from '../../src/errors.ts';
import { exportOnnx } from '../../src/export/export-onnx.ts';
import { type ParityResult, type Precision, precisions } from '../../src/export/manifest.ts';
import { ExportedModel, type ExportedPrompt } from '../../src/export/run-folder.ts';
import { ClipAnswerer } from '../../src/predict/answer-clips.ts';
import { openRun } from '../../src/predict/open-run.ts';
import { defaultQuestion } from '../../src/predict/question.ts';
import { readEmotion } from '../../src/quickstart/text.ts';
import { markdownTable, percent } from '../../src/report/table.ts';
import { openAffectGpt } from '../../src/runtime/affectgpt.ts';

/** What is asked of an export. */
const bounds = { logitDifference: 1e-4, accuracyFall: 0.03 } as const;

export interface ExportAccuracyOptions {
  /** Folder of a quickstart, or a run in it. */
  readonly run: string;
  /** Held-out clips on which logits are compared, and every token of the answers. */
  readonly samples: number;
  readonly threads: number;
  /** Called with what is being done. */
  readonly notify: (message: string) => void;
}

export interface ExportAccuracy {
  readonly precision: Precision;
  /** Why the export refused itself; null where it was written. */
  readonly refused: string | null;
  readonly megabytes: number | null;
  /** On how many clips logits were compared. */
  readonly comparedClips: number;
  readonly maxAbsLogitDifference: number | null;
  readonly tokenAgreement: number | null;
  /** Among the compared clips, answers that are the same token for token. */
  readonly equalGreedyAnswers: number | null;
  readonly heldOutClips: number;
  /** Among all held-out clips, answers whose text is that of `affectgpt predict`. */
  readonly sameAnswers: number | null;
  readonly accuracy: number | null;
  /** Of `affectgpt predict`. */
  readonly predictAccuracy: number;
  readonly accuracyDifference: number | null;
  readonly secondsPerAnswer: number | null;
  /** Which bounds do not hold, in words. */
  readonly faults: readonly string[];
}

interface Asked {
  readonly records: readonly SampleRecord[];
  readonly prompts: readonly ExportedPrompt[];
  /** Text of each answer of `affectgpt predict`. */
  readonly texts: readonly string[];
}

/** Share of clips whose first named emotion is the first of their labels. */
const accuracyOf = (records: readonly SampleRecord[], texts: readonly string[]): number =>
  records.filter(({ labels }, i) => readEmotion(texts[i]!) === labels?.[0]).length / records.length;

/** The held-out clips, decoded as programs that run the export have to, and what the trained model says of them. */
async function ask(config: Config, checkpoint: string, notify: (message: string) => void): Promise<Asked> {
  const others = inputMode(config.model.inputs).needs.filter((kind) => kind !== 'frame' && kind !== 'audio');
  if (others.length > 0) {
    throw new InputError(
      'BENCH_RUN',
      `The run needs ${others.join(', ')}; name one that takes frames and sound.`,
    );
  }
  const question = defaultQuestion(config);
  const all = await readRecords(recordsLocation(config));
  const records = splitRecords(all, config.data.trainSplit).heldOut;
  const answerer = await ClipAnswerer.open(config, notify);
  const texts: string[] = [];
  try {
    for await (const { text } of answerer.answer(checkpoint, records, question)) texts.push(text);
  } finally {
    await answerer.dispose();
  }
  const prompts: ExportedPrompt[] = [];
  for (const { video, audio, subtitle } of records) {
    prompts.push({
      subtitle: subtitle ?? '',
      question,
      frame: await decodeFrames(video!, config.model.frames),
      audio: await decodeAudio(audio ?? video!),
    });
  }
  return { records, prompts, texts };
}

/** Answers of an exported folder to all prompts, run by its own files alone. */
async function answersOf(folder: string, { prompts }: Asked, threads: number) {
  const exported = await ExportedModel.open(folder, { threads });
  const texts: string[] = [];
  let started = 0;
  try {
    // Once before the clock starts: opening the graphs is no part of an answer.
    await exported.answer(prompts[0]!);
    started = performance.now();
    for (const prompt of prompts) texts.push((await exported.answer(prompt)).text);
  } finally {
    await exported.dispose();
  }
  return { texts, secondsPerAnswer: (performance.now() - started) / 1000 / prompts.length };
}

function faultsOf(
  precision: Precision,
  parity: ParityResult,
  accuracyDifference: number,
  isSame: boolean,
): string[] {
  const { logitDifference, accuracyFall } = bounds;
  const faults: string[] = [];
  if (precision === 'fp32') {
    if (parity.maxAbsLogitDifference > logitDifference)
      faults.push(`logits differ by more than ${logitDifference}`);
    if (parity.equalAnswers < parity.samples.length || !isSame) faults.push('answers differ');
  } else if (accuracyDifference < -accuracyFall - 1e-9) {
    faults.push(`accuracy falls by more than ${accuracyFall}`);
  }
  return faults;
}

/**
 * Exports a trained quickstart in every precision, answers every held-out clip with each folder, and compares logits,
 * answers and accuracy with the trained model's.
 */
export async function* benchExportAccuracy(options: ExportAccuracyOptions): AsyncGenerator<ExportAccuracy> {
  const { run, samples, threads, notify } = options;
  const all = join(run, 'all');
  const { config, checkpoint } = await openRun(existsSync(all) ? all : run, [`engine.threads=${threads}`]);
  notify(`Asking the trained model (${checkpoint}) about all held-out clips …`);
  const asked = await ask(config, checkpoint, notify);
  const { records, texts: expected } = asked;
  const predictAccuracy = accuracyOf(records, expected);
  const compared = records.slice(0, samples);
  const parent = await mkdtemp(join(os.tmpdir(), 'affectgpt-export-accuracy-'));
  const model = await openAffectGpt(config);
  const engine = await createEngine(config.engine);
  try {
    for (const precision of precisions) {
      notify(
        `Exporting in ${precision}, comparing on ${compared.length} clips, answering ${records.length} …`,
      );
      const known = {
        precision,
        comparedClips: compared.length,
        heldOutClips: records.length,
        predictAccuracy,
      };
      const folder = join(parent, precision);
      const exporting = {
        config,
        checkpoint,
        model,
        engine,
        precision,
        keepAdapter: false,
        records: compared,
        notify,
      };
      const manifest = await exportOnnx(folder, exporting).catch((error: unknown) => {
        if (error instanceof CheckError) return error;
        throw error;
      });
      if (manifest instanceof CheckError) {
        const nothing = {
          megabytes: null,
          maxAbsLogitDifference: null,
          tokenAgreement: null,
          equalGreedyAnswers: null,
          sameAnswers: null,
          accuracy: null,
          accuracyDifference: null,
          secondsPerAnswer: null,
        };
        yield { ...known, ...nothing, refused: manifest.message, faults: ['the export refused itself'] };
        continue;
      }
      const { parity, files } = manifest;
      const { texts, secondsPerAnswer } = await answersOf(folder, asked, threads);
      const accuracy = accuracyOf(records, texts);
      const sameAnswers = texts.filter((text, i) => text === expected[i]).length;
      const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
      yield {
        ...known,
        refused: null,
        megabytes: bytes / 1e6,
        maxAbsLogitDifference: parity.maxAbsLogitDifference,
        tokenAgreement: parity.tokenAgreement,
        equalGreedyAnswers: parity.equalAnswers,
        sameAnswers,
        accuracy,
        accuracyDifference: accuracy - predictAccuracy,
        secondsPerAnswer,
        faults: faultsOf(precision, parity, accuracy - predictAccuracy, sameAnswers === records.length),
      };
      await rm(folder, { recursive: true });
    }
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}

/** The figures for people. */
export function exportAccuracyTable(results: readonly ExportAccuracy[]): string {
  const show = (value: number | null, format: (value: number) => string): string =>
    value === null ? '–' : format(value);
  const [{ comparedClips, heldOutClips, predictAccuracy }] = results as [ExportAccuracy];
  const table = markdownTable({
    head: [
      'precision',
      'MB',
      'max logit difference',
      `same tokens, of ${comparedClips}`,
      `same answers, of ${heldOutClips}`,
      'accuracy, %',
      'difference, points',
      'ms an answer',
      'bounds',
    ],
    rows: results.map((result) => [
      result.precision,
      show(result.megabytes, (megabytes) => megabytes.toFixed(1)),
      show(result.maxAbsLogitDifference, (difference) => difference.toExponential(1)),
      show(result.equalGreedyAnswers, String),
      show(result.sameAnswers, String),
      percent(result.accuracy),
      show(result.accuracyDifference, (difference) => (100 * difference).toFixed(2)),
      show(result.secondsPerAnswer, (seconds) => (1000 * seconds).toFixed(0)),
      result.faults.length === 0 ? 'hold' : [...result.faults, result.refused ?? ''].join(' ').trim(),
    ]),
    textColumns: [0, 8],
  });
  return `${table}\nAccuracy of affectgpt predict: ${percent(predictAccuracy)} % of ${heldOutClips} held-out clips.`;
}

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { MmlaPromptPreset } from '../../../data/mmla/prompts.ts';
import type { MmlaRecord } from '../../../data/mmla/records.ts';
import type { MmlaTask } from '../../../data/mmla/tasks.ts';
import { sha256 } from '../../../io/checksum.ts';
import { fileError } from '../../../io/filesystem.ts';
import {
  checkBegun,
  continuePredictions,
  type PredictionSettings,
  writeSettings,
} from '../../../predict/prediction-file.ts';
import { type AskedTask, type MmlaAnswer, type MmlaAnswerer, mmlaQuestions } from './answerer.ts';

/** Answers between two lines that say how far it is. */
const toldEvery = 100;

export interface AnswerTasksOptions {
  /** Tasks with the samples to ask about, in the order of their gold files. */
  readonly tasks: readonly { readonly task: MmlaTask; readonly records: readonly MmlaRecord[] }[];
  /** How questions are worded. */
  readonly preset: MmlaPromptPreset;
  readonly answerer: MmlaAnswerer;
  /** Files are `<output>/<task>.jsonl`; how each was made stands in `<output>/settings/<task>.json`. */
  readonly output: string;
  readonly notify: (message: string) => void;
}

/** Answers about a task. */
export interface AnsweredTask {
  readonly task: MmlaTask;
  /** Lines with `name`, `text`, `finish` and `promptSha256`; with `scores` by label where one was chosen. */
  readonly file: string;
  readonly settings: PredictionSettings;
}

/**
 * Asks a model about samples of tasks. Each answer is on the disk before the next one counts as given: a killed run is
 * continued by the same call. What is finished is not asked again, and anything that was made otherwise is refused.
 *
 * @throws InputError `PREDICTIONS_OTHER_SETTINGS`, `PREDICTIONS_NO_SETTINGS`, and those of `continuePredictions` and of the
 *   answerer
 */
export async function answerMmlaTasks(options: AnswerTasksOptions): Promise<AnsweredTask[]> {
  const { preset, answerer, output, notify } = options;
  const work = options.tasks.map(({ task, records }) => {
    const asked = { task, preset, questions: mmlaQuestions(task, records, preset) };
    return {
      ...{ task, asked },
      file: join(output, `${task.key}.jsonl`),
      settingsFile: join(output, 'settings', `${task.key}.json`),
      settings: settingsOf(asked, answerer),
    };
  });
  // Whatever was made otherwise is told before hours of work.
  for (const { file, settingsFile, settings } of work) await checkBegun(file, settingsFile, settings);
  for (const { task, asked, file, settingsFile, settings } of work) {
    const { questions } = asked;
    if (existsSync(file)) {
      notify(`${file} is complete: ${questions.length} samples of ${task.key}.`);
      continue;
    }
    await mkdir(dirname(settingsFile), { recursive: true }).catch((error) => {
      throw fileError(error, dirname(settingsFile), 'write');
    });
    await writeSettings(settingsFile, settings);
    notify(`Asking ${answerer.title} about ${questions.length} samples of ${task.key} …`);
    await continuePredictions(file, {
      ...{ notify, records: questions },
      asked: ({ promptSha256 }) => ({ promptSha256 }),
      answer: (remaining) => answersWithPrompts(answerer, { ...asked, questions: remaining }, notify),
    });
  }
  return work.map(({ task, file, settings }) => ({ task, file, settings }));
}

/** Answers as lines of a file: each with the hash of what was asked. */
async function* answersWithPrompts(
  answerer: MmlaAnswerer,
  asked: AskedTask,
  notify: (message: string) => void,
): AsyncGenerator<MmlaAnswer & { readonly promptSha256: string }> {
  const { task, questions } = asked;
  const hashes = new Map(questions.map(({ name, promptSha256 }) => [name, promptSha256]));
  let given = 0;
  for await (const answer of answerer.answer(asked)) {
    yield { ...answer, promptSha256: hashes.get(answer.name)! };
    if (++given % toldEvery === 0) notify(`${task.key}: ${given} of ${questions.length} answered`);
  }
}

/** All that decides the answers. Where videos and files of samples lie does not. */
function settingsOf({ task, preset, questions }: AskedTask, answerer: MmlaAnswerer): PredictionSettings {
  const asked = questions.map(({ name, promptSha256 }) => [name, promptSha256]);
  return {
    ...{ benchmark: 'mmla', task: task.key, prompt: preset },
    samples: { count: questions.length, sha256: sha256(JSON.stringify(asked)) },
    model: answerer.settings,
  };
}

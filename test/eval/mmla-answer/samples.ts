import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MmlaPromptPreset } from '../../../src/data/mmla/prompts.ts';
import type { MmlaRecord } from '../../../src/data/mmla/records.ts';
import { type MmlaTask, mmlaTask } from '../../../src/data/mmla/tasks.ts';
import {
  type AskedTask,
  type MmlaAnswer,
  type MmlaAnswerer,
  mmlaQuestions,
} from '../../../src/eval/mmla/answer/answerer.ts';
import { writeTinyModels } from '../../support/tiny-models.ts';

/** Utterances with what files of prompts stumble over: quotes, full stops, other scripts, and a placeholder's spelling. */
const utterances = [
  'I heard about the garden this morning.',
  'He said "no", and left?!',
  '我很高兴。',
  'Why <FaceHere>?',
  'C:\\new\ttab & "$1" $& {text}',
];

/** Records of a task, their labels in turn. */
export const recordsOf = (task: MmlaTask, count = utterances.length): MmlaRecord[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `${task.key}_${i}`,
    text: utterances[i % utterances.length]!,
    task: task.key,
    label: task.labels[i % task.labels.length]!,
    split: 'test',
    clip: `${task.clips}_${i}`,
    origin: `${task.key}.jsonl, row ${i + 1}`,
  }));

export const askedTask = (
  key: string,
  { preset = 'fixed', count }: { preset?: MmlaPromptPreset; count?: number } = {},
): AskedTask => {
  const task = mmlaTask(key);
  return { task, preset, questions: mmlaQuestions(task, recordsOf(task, count), preset) };
};

export async function answersTo(answerer: MmlaAnswerer, asked: AskedTask): Promise<MmlaAnswer[]> {
  const answers: MmlaAnswer[] = [];
  for await (const answer of answerer.answer(asked)) answers.push(answer);
  return answers;
}

/** ChatML without a system message of its own. */
const template =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/** A random Qwen2 that can be asked; its folder. */
export async function writeInstructModel(folder: string): Promise<string> {
  const { llm } = await writeTinyModels(folder);
  for (const [name, keys] of [
    ['tokenizer_config.json', { chat_template: template }],
    ['config.json', { max_position_embeddings: 2048 }],
  ] as const) {
    const file = join(llm, name);
    const json = JSON.parse(await readFile(file, 'utf8')) as object;
    await writeFile(file, JSON.stringify({ ...json, ...keys }));
  }
  return llm;
}

import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mmlaPrompt } from '../../../src/data/mmla/prompts.ts';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import { type AnswerTasksOptions, answerMmlaTasks } from '../../../src/eval/mmla/answer/answer-tasks.ts';
import type { MmlaAnswerer } from '../../../src/eval/mmla/answer/answerer.ts';
import { sha256 } from '../../../src/io/checksum.ts';
import { readLines } from '../../support/json-lines.ts';
import { folderForFile } from '../../support/temporary-folder.ts';
import { recordsOf } from './samples.ts';

const folder = folderForFile();

/** Says how long a question is. What it was asked is written down; it breaks down at a name, or passes it over. */
function lengthAnswerer({ breaksAt = '', passesOver = '' } = {}) {
  const asked: string[] = [];
  const answerer: MmlaAnswerer = {
    title: 'a counter',
    settings: { kind: 'counter', decoding: { temperature: 0 } },
    facts: {},
    async *answer({ questions }) {
      for (const { name, prompt } of questions) {
        if (name === breaksAt) throw new Error('killed');
        asked.push(name);
        if (name !== passesOver) yield { name, text: `${prompt.length}`, finish: 'stop' };
      }
      if (passesOver !== '') throw new Error('one is missing');
    },
    dispose: async () => undefined,
  };
  return { answerer, asked };
}

const keys = ['MOSI', 'MUStARD'];
const tasks = keys.map((key) => ({ task: mmlaTask(key), records: recordsOf(mmlaTask(key)) }));
const names = (key: string) => recordsOf(mmlaTask(key)).map(({ id }) => id);
const options = (output: string, answerer: MmlaAnswerer): AnswerTasksOptions => ({
  ...{ tasks, preset: 'fixed', answerer, notify: () => {} },
  output: join(folder, output),
});
const linesOf = (output: string, key: string, end = '') =>
  readLines(join(folder, output, `${key}.jsonl${end}`));

describe('answers about tasks', () => {
  it('stand in a file for each task, in the order of the gold, with what was asked', async () => {
    const answered = await answerMmlaTasks(options('all', lengthAnswerer().answerer));
    expect(answered.map(({ task, file }) => [task.key, file])).toEqual(
      keys.map((key) => [key, join(folder, 'all', `${key}.jsonl`)]),
    );
    for (const { task, records } of tasks) {
      const lines = records.map(({ id, text }) => {
        const prompt = mmlaPrompt(task, text, 'fixed');
        return { name: id, text: `${prompt.length}`, finish: 'stop', promptSha256: sha256(prompt) };
      });
      expect(await linesOf('all', task.key)).toEqual(lines);
    }
    const settings = JSON.parse(await readFile(join(folder, 'all', 'settings', 'MOSI.json'), 'utf8'));
    expect(settings).toMatchObject({
      ...{ benchmark: 'mmla', task: 'MOSI', prompt: 'fixed', samples: { count: 5 } },
      model: { kind: 'counter', decoding: { temperature: 0 } },
    });
  });

  it('go on where they were, and are not asked for again', async () => {
    const broken = lengthAnswerer({ breaksAt: 'MUStARD_2' });
    await expect(answerMmlaTasks(options('killed', broken.answerer))).rejects.toThrow('killed');
    expect(broken.asked).toEqual([...names('MOSI'), 'MUStARD_0', 'MUStARD_1']);
    const part = join(folder, 'killed', 'MUStARD.jsonl.part');
    // As if it had been killed within its second answer.
    const [first, second] = (await readFile(part, 'utf8')).split('\n');
    const kept = { ...(JSON.parse(first!) as object), text: 'kept' };
    await writeFile(part, `${JSON.stringify(kept)}\n${second!.slice(0, 20)}`);
    const again = lengthAnswerer();
    await answerMmlaTasks(options('killed', again.answerer));
    expect(again.asked).toEqual(names('MUStARD').slice(1));
    const complete = await linesOf('all', 'MUStARD');
    expect(await linesOf('killed', 'MUStARD')).toEqual([kept, ...complete.slice(1)]);
    expect(existsSync(part)).toBe(false);
    const third = lengthAnswerer();
    await answerMmlaTasks(options('killed', third.answerer));
    expect(third.asked).toEqual([]);
  });

  it('that came later take their place', async () => {
    const { answerer } = lengthAnswerer({ passesOver: 'MOSI_1' });
    await expect(answerMmlaTasks(options('late', answerer))).rejects.toThrow('one is missing');
    expect((await linesOf('late', 'MOSI', '.part')).map(({ name }) => name)).toEqual(
      names('MOSI').filter((name) => name !== 'MOSI_1'),
    );
    const again = lengthAnswerer();
    await answerMmlaTasks(options('late', again.answerer));
    expect(again.asked).toEqual(['MOSI_1', ...names('MUStARD')]);
    expect(await linesOf('late', 'MOSI')).toEqual(await linesOf('all', 'MOSI'));
  });

  it('that were made otherwise are refused before anything is asked', async () => {
    const { answerer, asked } = lengthAnswerer();
    const given = options('all', answerer);
    const other = { ...answerer, settings: { kind: 'counter', decoding: { temperature: 1 } } };
    const fewer = [{ ...tasks[0]!, records: tasks[0]!.records.slice(1) }];
    for (const [change, message] of [
      [{ answerer: other }, /model\.decoding\.temperature was 0 and is 1/],
      [{ preset: 'paper' }, /prompt was "fixed" and is "paper"/],
      [{ tasks: fewer }, /samples\.count was 5 and is 4/],
    ] as const) {
      await expect(answerMmlaTasks({ ...given, ...change })).rejects.toMatchObject({
        code: 'PREDICTIONS_OTHER_SETTINGS',
        message: expect.stringMatching(message),
      });
    }
    await rm(join(folder, 'all', 'settings', 'MUStARD.json'));
    await expect(answerMmlaTasks(given)).rejects.toMatchObject({ code: 'PREDICTIONS_NO_SETTINGS' });
    expect(asked).toEqual([]);
  });
});

import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mmlaFormats } from '../../src/data/mmla/formats.ts';
import { readMmlaTask } from '../../src/data/mmla/locate.ts';
import { readGold, readMmlaFile } from '../../src/data/mmla/read-file.ts';
import type { MmlaRecord } from '../../src/data/mmla/records.ts';
import { type MmlaTask, mmlaTask, mmlaTasks, splitOfName } from '../../src/data/mmla/tasks.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { type FixtureFile, type FixtureTask, filesOf, fixtures, fixtureTasks, splits } from './fixtures.ts';

/** What a record says, whatever its file calls the sample. */
const said = ({ clip, text, label, task, split }: MmlaRecord) => ({ clip, text, label, task, split });

const expected = (task: FixtureTask, { rows, split }: Pick<FixtureFile, 'rows' | 'split'>) =>
  rows.map(({ number, text, label }) => ({
    ...{ clip: `${task.clips}_${number}`, text, label, task: task.key, split: split ?? undefined },
  }));

const read = ({ file, split }: FixtureFile, key: string) =>
  readMmlaFile({ file, task: mmlaTask(key), ...(split === null ? {} : { split }) });

const folder = folderForFile();

describe('the registry', () => {
  it('has the twelve tasks, each with files, labels spelt and ordered alike', () => {
    expect(mmlaTasks).toHaveLength(12);
    const shape = ({ key, taskKey, labels, folder, clips }: Omit<FixtureTask, 'rows'>) => ({
      ...{ key, taskKey, labels, folder, clips },
    });
    expect(mmlaTasks.map(shape)).toEqual(fixtureTasks.map(shape));
  });

  it('has as many samples as the published totals say', () => {
    const sum = (count: (task: MmlaTask) => number) =>
      mmlaTasks.reduce((total, task) => total + count(task), 0);
    expect(sum(({ counts }) => counts.train)).toBe(54_623);
    expect(sum(({ counts }) => counts.dev)).toBe(8_049);
    expect(sum(({ counts }) => counts.test)).toBe(15_710);
    expect(sum(({ leaderboardCount }) => leaderboardCount)).toBe(15_713);
  });

  it.each([
    ['data/test/MELD/dev_sent_emo.csv', 'dev'],
    ['C:\\MIntRec\\train.tsv', 'train'],
    ['MUStARD_dev_text_speaking_style_llamafactory.json', 'dev'],
    ['gold-test.jsonl', 'test'],
    ['test/gold.jsonl', undefined],
    ['latest.jsonl', undefined],
    ['data/test', undefined],
  ])('tells the split of %s by its name', (file, split) => {
    expect(splitOfName(file)).toBe(split);
  });

  it('has a file in every format', async () => {
    const seen = new Set<string>();
    for (const task of fixtureTasks) {
      for (const file of filesOf(task)) seen.add((await read(file, task.key)).format);
    }
    expect([...seen].sort()).toEqual(mmlaFormats.map(({ name }) => name).sort());
  });
});

describe.each(fixtureTasks)('$key', (task) => {
  const { key, taskKey, labels, rows } = task;

  it('has every label in train and test', () => {
    for (const split of ['train', 'test'] as const) {
      expect(new Set(rows[split].map(({ label }) => label))).toEqual(new Set(labels));
    }
  });

  it.each(filesOf(task).map((file) => [file.layout, basename(file.file), file] as const))(
    'reads the same rows from %s %s',
    async (_layout, _name, file) => {
      const { records, faults } = await read(file, key);
      expect(faults).toEqual([]);
      expect(records.map(said)).toEqual(expected(task, file));
      if (!file.hasOwnNames) return;
      expect(records.map(({ id }) => id)).toEqual(file.rows.map(({ number }) => `${key}_${number}`));
    },
  );

  it.each(['release', 'swift', 'llama-factory', 'llava', 'videollama2', 'zero-shot'])(
    'finds its splits below a folder like %s',
    async (layout) => {
      const { records, faults } = await readMmlaTask(join(fixtures, layout), mmlaTask(key));
      expect(faults).toEqual([]);
      const own = filesOf(task).filter((file) => file.layout === layout && !file.file.includes('_text_'));
      const ordered = splits.flatMap((split) => own.filter((file) => file.split === split));
      expect(records.map(said)).toEqual(ordered.flatMap((file) => expected(task, file)));
    },
  );

  it('reads its labels however they are spelt', async () => {
    const spellings = labels.flatMap((label) => [
      ...[label, label.toUpperCase(), label.slice(0, 1).toUpperCase() + label.slice(1), ` ${label} `],
    ]);
    const table = join(folder, `${key}.tsv`);
    const lines = spellings.map((label, i) => `${i}\tWords ${i}\t${label}`);
    writeFileSync(table, [`id\tutterance\t${taskKey}`, ...lines, ''].join('\n'));
    const gold = await readGold(table, mmlaTask(key));
    expect(gold.map(({ label }) => label)).toEqual(labels.flatMap((label) => Array(4).fill(label)));

    const answers = join(folder, `${key}.json`);
    const values = spellings.map((label, i) => ({
      id: i,
      video: `${key}_${i}.mp4`,
      conversations: [
        { from: 'human', value: `Words ${i}` },
        { from: 'gpt', value: label },
      ],
    }));
    writeFileSync(answers, JSON.stringify(values));
    expect((await readGold(answers, mmlaTask(key))).map(said)).toEqual(gold.map(said));
  });

  it('names every row that is wrong, all at once', async () => {
    const file = join(folder, `${key}-bad.jsonl`);
    const row = (label: string, number: string) =>
      JSON.stringify({
        query: `You are presented with a video in which the speaker says: Words Based on the text, video, and audio content, what is the ${taskKey} of this speaker?\nThe candidate labels for ${taskKey} are: [${labels.join(', ')}]. Respond in the format: '${taskKey}: [label]'. Only one label should be provided.`,
        response: `${taskKey}: ${label}`,
        videos: [`/somewhere/Datasets/${key}/video/${key}_${number}.mp4`],
      });
    const bytes = Buffer.concat([
      Buffer.from(`${row(labels[0]!, '1')}\n${row('nonsense', '2')}\n${row(labels[1]!, '1')}\n`),
      Buffer.from(`${row(labels[0]!, '4').replace('Words', 'caf\u00e9')}\n`, 'latin1'),
      Buffer.from(`${row(labels[1]!, '5')}\n`),
    ]);
    writeFileSync(file, bytes);
    const { records: good, faults } = await readMmlaFile({ file, task: mmlaTask(key) });
    expect(good.map(({ id }) => id)).toEqual([`${key}_1`, `${key}_5`]);
    expect(faults.map((fault) => [fault.file, fault.row])).toEqual([2, 3, 4].map((at) => [file, at]));
    expect(faults[0]!.message).toContain('nonsense');
    expect(faults[1]!.message).toContain(`${key}_1`);
    expect(faults[2]!.message).toContain('UTF-8');
    await expect(readGold(file, mmlaTask(key))).rejects.toMatchObject({ code: 'MMLA_ROWS_INVALID' });
  });
});

import { describe, expect, it } from 'vitest';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import { type MmlaTaskFiles, readAnswerSet } from '../../../src/eval/mmla/evaluate.ts';
import { readMmlaPredictions } from '../../../src/eval/mmla/predictions.ts';
import { jsonLines } from '../../support/json-lines.ts';
import { emptyFolderForEachTest, writeBelow } from '../../support/temporary-folder.ts';

const task = mmlaTask('MELD-DA');
const folder = emptyFolderForEachTest();

const file = (name: string, content: string | Buffer) => writeBelow(folder, name, content);
const jsonl = (...rows: object[]) => jsonLines(rows);

/** Samples as a released table has them. */
const gold = () =>
  file(
    'test.tsv',
    'id\tutterance\tdialogue_act\n0_2\tHi.\tgreeting\n0_3\tWhy?\tquestion\n1_0\tNo.\tothers\n',
  );
const read = async (predictions: string[], more: Partial<MmlaTaskFiles> = {}) =>
  readAnswerSet({ task, split: 'test', predictions, gold: gold(), ...more });
const textsOf = async (...predictions: string[]) => (await read(predictions)).seeds.map(({ texts }) => texts);
const messageOf = async (reading: Promise<unknown>) =>
  reading.then(
    () => '',
    (error: Error) => error.message.replaceAll(`${folder}/`, ''),
  );

describe('predictions of MMLA', () => {
  it('are matched by name, in whatever order, by id or by the clip of a path', async () => {
    const path = file(
      'a.jsonl',
      jsonl(
        { name: 'MELD-DA_1_0', text: 'third', tokens: 3 },
        { id: '/data/MELD/video/MELD_0_2.mp4', text: 'first' },
        { name: 'MELD-DA_0_3', text: '' },
      ),
    );
    expect(await textsOf(path)).toEqual([['first', '', 'third']]);
  });

  it('are matched by names that are one number', async () => {
    const funny = file('f.tsv', 'id\tutterance\tspeaking_style\n408\tHa.\thumorous\n409\tHm.\tserious\n');
    const path = file('a.jsonl', jsonl({ id: 409, text: 'b' }, { name: 408, text: 'a' }));
    const set = await read([path], { task: mmlaTask('UR-FUNNY'), gold: funny });
    expect(set.seeds.map(({ texts }) => texts)).toEqual([['a', 'b']]);
  });

  it.each([
    ['MELD', 'test', '1153_0', '1154_12'],
    ['MELD', 'dev', '1039_0', '1040_12'],
    // Made of the train split of MELD.
    ['MELD-DA', 'test', '0_0', '1_12'],
  ] as const)(
    'of %s %s are matched by the names that MELD gives its clips',
    async (key, split, one, other) => {
      const of = mmlaTask(key);
      const samples = file(
        'm.tsv',
        `id\tutterance\t${of.taskKey}\n${one}\tA\t${of.labels[0]}\n${other}\tB\t${of.labels[0]}\n`,
      );
      const path = file(
        'a.jsonl',
        jsonl({ name: 'dia1_utt12', text: 'b' }, { name: '/raw/dia0_utt0.mp4', text: 'a' }),
      );
      const set = await read([path], { task: of, split, gold: samples });
      expect(set.seeds.map(({ texts }) => texts)).toEqual([['a', 'b']]);
    },
  );

  it('are read from the TSV that the published scripts save', async () => {
    const path = file(
      'results.tsv',
      'Video\tTask\tPred\tLabel\nMELD-DA_0_2.mp4\tdialogue_act\t"a, b"\tgreeting\n' +
        'MELD-DA_1_0.mp4\tdialogue_act\tc\tothers\nMELD-DA_0_3.mp4\tdialogue_act\t\tquestion\n',
    );
    expect(await textsOf(path)).toEqual([['a, b', '', 'c']]);
  });

  it('are taken in order where none has a name', async () => {
    const path = file('a.jsonl', jsonl({ text: 'a' }, { text: 'b' }, { text: 'c' }));
    expect(await textsOf(path)).toEqual([['a', 'b', 'c']]);
  });

  it('are read from result tables of the published scripts, quotes and line breaks included', async () => {
    const path = file(
      'results.csv',
      '\ufeffVideo,Task,Pred,Label\r\nMELD-DA_0_3.mp4,dialogue_act,"a ""b"",\nc",dialogue_act: Question\r\n' +
        'C:\\clips\\MELD-DA_0_2.mp4,dialogue_act,,dialogue act: greeting\r\nMELD-DA_1_0.mp4,dialogue_act,others,others\r\n',
    );
    expect(await textsOf(path)).toEqual([['', 'a "b",\nc', 'others']]);
    const { gold: own, goldFile } = await readAnswerSet({ task, split: 'test', predictions: [path] });
    expect(own.map(({ id, label }) => [id, label])).toEqual([
      ['MELD-DA_0_3', 'question'],
      ['MELD-DA_0_2', 'greeting'],
      ['MELD-DA_1_0', 'others'],
    ]);
    expect(goldFile).toBeNull();
  });

  it('are read from results of ms-swift', async () => {
    const row = (clip: string, response: string, label: string) => ({
      ...{ query: 'What?', response, labels: `dialogue_act: ${label}`, history: [] },
      videos: [`/somewhere/Datasets/MELD-DA/video/${clip}.mp4`],
    });
    const path = file(
      'result.jsonl',
      jsonl(
        row('MELD-DA_1_0', 'c', 'others'),
        row('MELD-DA_0_2', 'a', 'greeting'),
        row('MELD-DA_0_3', 'b', 'question'),
      ),
    );
    expect(await textsOf(path)).toEqual([['a', 'b', 'c']]);
    const unnamed = file(
      'text.jsonl',
      jsonl({ response: 'x', videos: null }, { response: 'y' }, { response: 'z', videos: [] }),
    );
    expect(await textsOf(path, unnamed)).toEqual([
      ['a', 'b', 'c'],
      ['x', 'y', 'z'],
    ]);
  });

  it('are matched to each other where the first carries the gold labels', async () => {
    const first = file(
      'a.csv',
      'Video,Task,Pred,Label\nMELD-DA_0_2,t,greeting,greeting\nMELD-DA_0_3,t,x,question\n',
    );
    const second = file(
      'b.jsonl',
      jsonl({ name: 'MELD-DA_0_3', text: 'question' }, { name: 'MELD-DA_0_2', text: 'y' }),
    );
    const { seeds } = await readAnswerSet({ task, split: 'test', predictions: [first, second] });
    expect(seeds.map(({ texts }) => texts)).toEqual([
      ['greeting', 'x'],
      ['y', 'question'],
    ]);
  });

  it('of files and of gold that are at fault are told all at once, with file and row', async () => {
    const lines = [
      '{"text": 3}',
      '{"name": "MELD-DA_0_2"}',
      '{"name": "", "text": "a"}',
      'no json',
      '{"name": "a", "id": "b", "text": ""}',
      '',
      '{"response": null, "labels": "joy"}',
    ];
    const bad = file(
      'bad.jsonl',
      Buffer.concat([
        Buffer.from(`${lines.join('\n')}\n{"text": "`),
        Buffer.from([0xe9]),
        Buffer.from('"}\n'),
      ]),
    );
    const table = file(
      'bad.csv',
      Buffer.from('Video,Task,Pred,Label\na.mp4,t,caf\u00e9,greeting\nb.mp4,t\nc.mp4,t,x,joy\n', 'latin1'),
    );
    const badGold = file('gold.tsv', 'id\tutterance\tdialogue_act\n0_2\tHi.\tjoy\n');
    const error = await read([bad, table], { gold: badGold }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'MMLA_ROWS_INVALID' });
    const { faults } = error as { faults: Error[] };
    const told = faults.map(({ message }) => message.replaceAll(`${folder}/`, ''));
    expect(told).toEqual([
      expect.stringMatching(/^gold\.tsv, row 2: the label "joy" is none of MELD-DA/),
      expect.stringMatching(/^bad\.jsonl, row 1: its "text" is not text/),
      expect.stringMatching(/^bad\.jsonl, row 2: has neither "text" nor "response"/),
      expect.stringMatching(/^bad\.jsonl, row 3: its name is not text, or empty/),
      expect.stringMatching(/^bad\.jsonl, row 4: the line is not JSON/),
      expect.stringMatching(/^bad\.jsonl, row 5: its name and id differ/),
      expect.stringMatching(/^bad\.jsonl, row 7: its "response" is not text/),
      expect.stringMatching(/^bad\.jsonl, row 7: the label "joy" is none of MELD-DA/),
      expect.stringMatching(/^bad\.jsonl, row 8: is not UTF-8 text/),
      expect.stringMatching(/^bad\.csv, row 2: is not UTF-8 text/),
      expect.stringMatching(/^bad\.csv, row 3: the header names 4 columns/),
      expect.stringMatching(/^bad\.csv, row 4: the label "joy" is none of MELD-DA/),
    ]);
  });

  it('with names that do not fit are told all at once', async () => {
    const path = file(
      'a.jsonl',
      jsonl(
        { name: 'MELD-DA_0_2', text: '' },
        { name: 'MELD-DA_9_9', text: '' },
        { name: 'MELD_0_2', text: '' },
      ),
    );
    const message = await messageOf(read([path]));
    expect(message).toContain(
      'a.jsonl, row 2: the name "MELD-DA_9_9" is that of no sample of test.tsv, where they are called like MELD-DA_0_2',
    );
    expect(message).toContain('a.jsonl, row 3: the sample "MELD-DA_0_2" is already that of row 1');
    expect(message).toContain(
      'a.jsonl: has no prediction for 2 of the 3 samples of test.tsv: MELD-DA_0_3, MELD-DA_1_0',
    );
  });

  it.each([
    [
      'that are too few',
      jsonl({ text: 'a' }, { text: 'b' }),
      'has 2 predictions without names, and test.tsv 3',
    ],
    [
      'of which some have names',
      jsonl({ text: 'a' }, { name: 'MELD-DA_0_2', text: 'b' }),
      'row 1: has no name, and 1 other rows have one',
    ],
    [
      'whose labels are others than the gold ones',
      'Video,Pred,Label\nMELD-DA_0_2,a,question\nMELD-DA_0_3,b,question\nMELD-DA_1_0,c,others\n',
      'row 2: says that MELD-DA_0_2 is labelled "question", and test.tsv that it is "greeting"',
    ],
    ['that are none', '', 'It is empty'],
    ['in UTF-16', Buffer.from('{"text": "a"}\n', 'utf16le'), 'It is not UTF-8 text'],
    ['of another format', 'name,answer\na,b\n', 'It begins with "name,answer'],
    ['of a table without rows', 'Video,Task,Pred,Label\n', 'there is no prediction in it'],
  ])('%s are refused', async (_, content, message) => {
    expect(await messageOf(read([file('a', content)]))).toContain(message);
  });

  it('without gold labels need a file of them', async () => {
    const path = file('a.jsonl', jsonl({ name: 'MELD-DA_0_2', text: '' }));
    await expect(readAnswerSet({ task, split: 'test', predictions: [path] })).rejects.toMatchObject({
      code: 'MMLA_NO_GOLD',
    });
  });

  it('at fault are all named, many as they are', async () => {
    const path = file('a.jsonl', `no json\n${'{no\n'.repeat(59)}`);
    const message = await messageOf(read([path]));
    expect(message.match(/a\.jsonl, row \d+:/g)).toHaveLength(60);
    expect(message).not.toMatch(/\.[;.]/);
  });

  it('are 100,000 as well as a few', async () => {
    const rows = Array.from({ length: 100_000 }, (_, i) => `{"name":"MELD-DA_${i}_0","text":"others"}`);
    const { predictions, faults } = await readMmlaPredictions(file('a.jsonl', rows.join('\n')), task);
    expect([predictions.length, faults.length]).toEqual([100_000, 0]);
  });
});

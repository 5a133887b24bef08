import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StoredPromptKind } from '../../../src/data/mmla/prompts.ts';
import { storedAnswer, storedPrompt } from '../../../src/data/mmla/prompts.ts';
import { formatOf, readGold, readMmlaFile } from '../../../src/data/mmla/read-file.ts';
import type { MmlaTaskKey } from '../../../src/data/mmla/tasks.ts';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import type { InputError } from '../../../src/errors.ts';
import { jsonLines } from '../../support/json-lines.ts';
import { swiftRow } from '../../support/mmla-files.ts';
import { folderForFile } from '../../support/temporary-folder.ts';

const folder = folderForFile();

let files = 0;
async function read(key: MmlaTaskKey, content: string | Uint8Array) {
  // No ending: formats are told by content.
  const file = join(folder, `file-${++files}`);
  await writeFile(file, content);
  const { records, faults, format } = await readMmlaFile({ file, task: mmlaTask(key), split: 'test' });
  expect(faults.every((fault) => fault.file === file)).toBe(true);
  return { file, format, records, faults: faults.map(({ row, message }) => `${row}: ${message}`) };
}

const asked = (key: MmlaTaskKey, text: string, label: string, kind: StoredPromptKind) => {
  const task = mmlaTask(key);
  return {
    conversations: [
      { value: storedPrompt(task, text, kind), from: 'human' },
      { value: storedAnswer(task, label, kind), from: 'gpt' },
    ],
  };
};

describe('one sample in every layout', () => {
  const text = 'He says: "now"\nBased on the text?';
  const record = {
    id: 'MELD-DA_0_2',
    text,
    task: 'MELD-DA',
    label: 'question',
    split: 'test',
    clip: 'MELD_0_2',
  };
  const media = '/mnt/Datasets/MELD-DA/video/MELD-DA_0_2.mp4';
  const of = (layout: StoredPromptKind['layout']) =>
    asked('MELD-DA', text, 'question', { layout, split: 'train' });

  it.each<[string, string, object]>([
    ['LLaMA-Factory JSON (', JSON.stringify([{ id: 7, videos: [media], ...of('llamafactory') }]), { media }],
    ['LLaVA-NeXT JSON', JSON.stringify([{ id: 7, ...of('llava'), images: media }], null, 2), { media }],
    ['VideoLLaMA2 JSON', JSON.stringify([{ id: 7, video: media, ...of('videollama2') }]), { media }],
    [
      'LLaMA-Factory text JSON',
      JSON.stringify([{ id: 7, video: 'MELD_0_2.mp4', ...of('llamafactory-text') }]),
      { id: 'MELD_0_2' },
    ],
    ['LLaMA-Factory text JSON', JSON.stringify([{ id: '0_2', ...of('llamafactory-text') }]), {}],
    [
      'zero-shot JSON',
      JSON.stringify([
        {
          id: 0,
          video: 'MELD-DA_0_2.mp4',
          conversations: [
            { from: 'human', value: text },
            { from: 'gpt', value: 'question' },
          ],
        },
      ]),
      { media: 'MELD-DA_0_2.mp4' },
    ],
    [
      'ms-swift JSONL',
      jsonLines([swiftRow('MELD-DA', text, 'question', 'MELD-DA_0_2')]),
      { media: '/data/MELD-DA/video/MELD-DA_0_2.mp4' },
    ],
  ])('%s', async (name, content, expected) => {
    const { file, format, records, faults } = await read('MELD-DA', content);
    expect(faults).toEqual([]);
    expect(format.startsWith(name)).toBe(true);
    expect(records).toEqual([{ ...record, ...expected, origin: `${file}, row 1` }]);
  });

  it('released TSV', async () => {
    const { file, format, records, faults } = await read(
      'MELD-DA',
      '\u{FEFF}id\tutterance\tspeaker\tdialogue_act\r\n0_2\tHe says: "now"?\tRoss\tQuestion\r\nMELD_0_3\tHi\tJoey\tgreeting\r\n',
    );
    expect(faults).toEqual([]);
    expect(format).toMatch(/^released TSV/);
    expect(records).toEqual([
      { ...record, text: 'He says: "now"?', origin: `${file}, row 2` },
      {
        ...record,
        id: 'MELD_0_3',
        clip: 'MELD_0_3',
        text: 'Hi',
        label: 'greeting',
        origin: `${file}, row 3`,
      },
    ]);
  });
});

describe('quotes of a TSV', () => {
  it('belong to the utterance unless they are doubled, as programs write cells with quotes', async () => {
    const cells = [
      ['"Sure."', '"Sure."'],
      ['"Go," he said, "now"', '"Go," he said, "now"'],
      ['"He said ""no"""', 'He said "no"'],
      ['5" of rain', '5" of rain'],
      ['"', '"'],
    ];
    const rows = cells.map(([cell], i) => `S05_E01_${i}\t${cell}\tjoke`);
    const { records } = await read('MIntRec', ['id\tutterance\tintent', ...rows].join('\n'));
    expect(records.map(({ text }) => text)).toEqual(cells.map(([, text]) => text));
  });

  it('may hold line breaks and tabs, as programs write them, and swallow no other row', async () => {
    const lines = [
      'id\tintent\tutterance',
      'S1\tjoke\t"He said',
      'or asked:\t""why"""',
      'S2\tcare\t"Never closed',
      'S3\tjoke\tWell"',
      'S4\tjoke\t"a\tb"',
      'S5\tjoke\t"a\tb',
      'S6\tjoke\tGood"',
    ];
    const { records, faults } = await read('MIntRec', lines.join('\r\n'));
    expect(records.map(({ id, text, origin }) => [id, text, origin.replace(/^.*, /s, '')])).toEqual([
      ['MIntRec_S1', 'He said\nor asked:\t"why"', 'row 2'],
      ['MIntRec_S2', '"Never closed', 'row 4'],
      ['MIntRec_S3', 'Well"', 'row 5'],
      ['MIntRec_S4', 'a\tb', 'row 6'],
      ['MIntRec_S6', 'Good"', 'row 8'],
    ]);
    expect(faults).toEqual(['7: has 4 cells, and the header names 3 columns']);
  });

  it('go where all cells have them', async () => {
    const { records } = await read('MIntRec', '"id"\t"utterance"\t"intent"\n"S1"\t"Sure."\t"Agree"\n');
    expect(records).toMatchObject([{ id: 'MIntRec_S1', text: 'Sure.', label: 'agree' }]);
  });
});

describe('the labels of a TSV', () => {
  it.each([
    ['communication_behavior', 'change'],
    ['talk_type', 'Change'],
    ['label', 'talk_type: change'],
  ])('may stand under %s', async (column, label) => {
    const { records, faults } = await read('AnnoMi-client', `${column}\tutterance\tid\n${label}\tHi\t1_2\n`);
    expect(faults).toEqual([]);
    expect(records).toMatchObject([{ id: 'AnnoMi-client_1_2', text: 'Hi', label: 'change' }]);
  });

  it('are those of the task where there are several', async () => {
    const table = 'id\tutterance\tsentiment\temotion\tlabel\n0_1\tHi\tpositive\tjoy\t3\n';
    expect((await read('MELD', table)).records).toMatchObject([{ label: 'joy' }]);
  });
});

describe('spellings', () => {
  it.each<[MmlaTaskKey, string, string, string, string]>([
    ['AnnoMi-client', 'AnnoMI-client_116_163', 'neutral', 'Neutral', 'AnnoMi_116_163'],
    ['AnnoMi-therapist', 'AnnoMi-therapist_116_164', 'therapist_input', 'THERAPIST_INPUT', 'AnnoMi_116_164'],
    ['MUStARD', 'MUSTARD_1_70', 'sincere', 'Sincere', 'MUStARD_1_70'],
    ['MOSI', 'MOSI_c7UH_rxdZv4$_$24', 'positive', 'positive', 'MOSI_c7UH_rxdZv4$_$24'],
    ['IEMOCAP-DA', 'IEMOCAP_Ses05F_impro01_F000', 'others', 'others', 'IEMOCAP_Ses05F_impro01_F000'],
    ['MIntRec2.0', 'MIntRec2.0_9_1', 'ask for help', 'Ask for help', 'MIntRec2.0_9_1'],
    ['Ch-sims', 'somebody_else', 'neutral', ' Neutral ', 'Ch-sims_somebody_else'],
  ])('%s: %s', async (key, stem, label, gold, clip) => {
    const row = { ...swiftRow(key, 'x', label, stem), response: `${mmlaTask(key).taskKey}: ${gold}` };
    const { records, faults } = await read(key, jsonLines([row]));
    expect(faults).toEqual([]);
    expect(records).toMatchObject([{ id: stem, label, clip }]);
  });
});

describe('faults, all at once and with their rows', () => {
  const good = swiftRow('MELD', 'hello', 'joy', 'MELD_1_1');

  it('of JSONL', async () => {
    const bytes = Buffer.from(jsonLines([swiftRow('MELD', 'caf\u00e9', 'joy', 'MELD_1_9')]));
    const latin1 = Buffer.concat([
      bytes.subarray(0, bytes.indexOf(0xc3)),
      Buffer.of(0xe9),
      bytes.subarray(bytes.indexOf(0xc3) + 2),
    ]);
    const { query, ...noQuery } = good;
    const { records, faults } = await read(
      'MELD',
      Buffer.concat([
        Buffer.from(
          `{"query": \n\n${jsonLines([
            good,
            { ...good, response: 'emotion: bored' },
            { ...good, videos: ['/x/MELD_1_3.mp4', 'y'] },
            swiftRow('MELD', ' ', 'joy', 'MELD_1_4'),
            noQuery,
            { ...good, query: 'What now?', response: 7 },
            swiftRow('MELD', 'a', 'joy', 'MIntRec_1_1'),
            { ...good, query: 'What now?' },
            { ...swiftRow('IEMOCAP', 'a', 'sad', 'MELD_3_3') },
          ])}`,
        ),
        latin1,
        Buffer.from(jsonLines([{ ...good, videos: ['c:\\data\\MELD_1_2.mp4'] }])),
      ]),
    );
    expect(records.map(({ id }) => id)).toEqual(['MELD_1_1', 'MELD_1_2']);
    expect(faults).toEqual([
      expect.stringMatching(/^1: the line is not JSON/),
      '4: the label "emotion: bored" is none of MELD: neutral, surprise, fear, sadness, joy, anger, disgust',
      '4: the sample MELD_1_1 is already that of row 3',
      '5: "videos" is not a list of one path',
      '6: the utterance is empty',
      '7: has no "query"',
      '8: "response" is not text',
      '9: MIntRec_1_1 is a clip of MIntRec, and those of MELD are clips of MELD',
      '10: its prompt has no utterance between "says:" and "Based on the text": "What now?"',
      expect.stringMatching(/^11: its prompt offers the labels angry, .*: it belongs to IEMOCAP$/),
      '12: is not UTF-8 text. Convert it to UTF-8.',
    ]);
  });

  it('of JSON arrays', async () => {
    const kind = { layout: 'llamafactory', split: 'dev' } as const;
    const entry = (n: number, text = 'hi') => ({
      videos: [`/v/MELD_1_${n}.mp4`],
      ...asked('MELD', text, 'joy', kind),
    });
    const text = JSON.stringify([
      'x',
      entry(2),
      { ...entry(3), videos: undefined },
      { ...entry(4), conversations: [{ from: 'gpt', value: 'x' }] },
      { ...entry(5), videos: [] },
      { ...entry(6), conversations: undefined },
      entry(7, 'XX'),
      entry(2),
    ]);
    const bytes = Buffer.from(text);
    bytes[bytes.indexOf('XX')] = 0xe9;
    const { records, faults } = await read('MELD', bytes);
    expect(records.map(({ id }) => id)).toEqual(['MELD_1_2']);
    expect(faults).toEqual([
      '1: is not a JSON object',
      '3: has no "videos"',
      '4: "conversations" is not a turn of "human" and one of "gpt", each with a text as "value"',
      '5: "videos" is not one path',
      '6: has no "conversations"',
      expect.stringMatching(/^7: is not UTF-8 text, first at ".*says: .*Based/),
      '8: the sample MELD_1_2 is already that of row 2',
    ]);
    const torn = await read('MELD', JSON.stringify([entry(1), entry(2)]).slice(0, -9));
    expect(torn.faults).toEqual([expect.stringMatching(/^null: it is not JSON \(/)]);
  });

  it('of TSV', async () => {
    const { records, faults } = await read(
      'MELD',
      Buffer.from(
        'id\tutterance\temotion\n0_1\tcaf\u00e9\tjoy\n0_2\ta\tb\tjoy\n\n0_3\t\tglee\n\tx\tjoy\n0_4\tx\tfear\n',
        'latin1',
      ),
    );
    expect(records.map(({ id }) => id)).toEqual(['MELD_0_4']);
    expect(faults).toEqual([
      '2: is not UTF-8 text, first at "0_1\\tcaf\u{FFFD}\\tjoy"; convert the file to UTF-8',
      '3: has 4 cells, and the header names 3 columns',
      '5: the label "glee" is none of MELD: neutral, surprise, fear, sadness, joy, anger, disgust',
      '5: the utterance is empty',
      '6: nothing names the sample: there is neither a clip nor a number',
    ]);
  });

  it('of a whole file that another task has, once', async () => {
    const rows = [1, 2, 3].map((n) => swiftRow('MELD', 'a', 'joy', `MELD_1_${n}`));
    expect((await read('MIntRec', jsonLines(rows))).faults).toEqual([
      'null: each of its 3 prompts asks for the emotion and not for the intent: it belongs to MELD',
    ]);
    expect((await read('MIntRec', 'id\tutterance\temotion\n1\ta\tjoy\n')).faults).toEqual([
      '1: there is no column intent for MIntRec; it has emotion: is it a file of another task?',
    ]);
  });

  it('of one clip under two names', async () => {
    const rows = ['MELD-DA_0_2', 'MELD_0_2'].map((stem) => swiftRow('MELD-DA', 'a', 'answer', stem));
    expect((await read('MELD-DA', jsonLines(rows))).faults).toEqual([
      '2: the sample MELD_0_2 is already that of row 1',
    ]);
  });

  it('of a file without samples', async () => {
    expect((await read('MELD', 'id\tutterance\temotion\n')).faults).toEqual([
      'null: there is no sample in it',
    ]);
  });

  it('become one error where there must be none', async () => {
    const file = join(folder, 'gold');
    await writeFile(file, jsonLines([good, good, { ...good, response: 'glee' }]));
    const error = await readGold(file, mmlaTask('MELD')).catch((thrown: InputError) => thrown);
    expect(error).toMatchObject({ code: 'MMLA_ROWS_INVALID' });
    expect((error as InputError).faults).toHaveLength(3);
    expect((error as InputError).message).toContain(
      `${file}, row 2: the sample MELD_1_1 is already that of row 1`,
    );
    await writeFile(file, jsonLines([good]));
    const [record, ...others] = await readGold(file, mmlaTask('MELD'));
    expect(others).toEqual([]);
    expect(record).not.toHaveProperty('split');
    expect(record).toMatchObject({ id: 'MELD_1_1', label: 'joy' });
  });
});

describe('recognition', () => {
  it.each([
    ['', /It is empty\. .*known: released TSV .*; ms-swift JSONL .*; LLaMA-Factory JSON .*MUStARD/],
    ['a,b\n1,2\n', /It begins with "a,b\\n1,2\\n"/],
    [
      '[{"conversations":[{"from":"human","value":"<video>What?"},{"from":"gpt","value":"x"}],"video":"a"}]',
      /It begins/,
    ],
    [Buffer.from('id\tutterance\temotion\n', 'utf16le'), /It is not UTF-8 text/],
  ])('says what it looked for: %s', async (content, message) => {
    const error = await read('MELD', content).catch((thrown: InputError) => thrown);
    expect(error).toMatchObject({ code: 'MMLA_FORMAT_UNKNOWN', message: expect.stringMatching(message) });
  });

  it('refuses what could be either of two', () => {
    const any = (name: string) => ({
      name,
      recognises: () => true,
      read: async () => ({ records: [], faults: [] }),
    });
    expect(() => formatOf({ file: 'x', text: 'y' }, [any('one'), any('two')])).toThrow(
      /^x looks like more than one format: one; two/,
    );
  });

  it('needs no good first row', async () => {
    const good = swiftRow('MELD', 'a', 'joy', 'MELD_1_1');
    const { records, faults } = await read('MELD', jsonLines([{ query: 'x' }, good]));
    expect(records).toHaveLength(1);
    expect(faults).toEqual(['1: has no "response"; has no "videos"']);
  });
});

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { MmlaFormat, ReadResult } from '../../../src/data/mmla/format.ts';
import type { MmlaSplit } from '../../../src/data/mmla/tasks.ts';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import { annomiFormat, majorityLabel } from '../../../src/data/mmla/upstream/annomi.ts';
import { dialogueActOfTag, emotydaFormat } from '../../../src/data/mmla/upstream/emotyda.ts';
import { decodeMacRomanOrUtf8, mendMacRoman } from '../../../src/data/mmla/upstream/mac-roman.ts';
import { meldFormat } from '../../../src/data/mmla/upstream/meld.ts';
import { mustardFormat } from '../../../src/data/mmla/upstream/mustard.ts';
import { folderForFile, writeBelow } from '../../support/temporary-folder.ts';

const fixture = (name: string) => path.resolve('test/fixtures/mmla-upstream', name);
const formats = [meldFormat, emotydaFormat, annomiFormat, mustardFormat];

const folder = folderForFile();

const file = (name: string, content: string | Uint8Array) => writeBelow(folder, name, content);

const read = (format: MmlaFormat, at: string, task: string, split?: MmlaSplit): Promise<ReadResult> =>
  format.read({ file: at, task: mmlaTask(task), ...(split !== undefined && { split }) });
const short = ({ records }: ReadResult) => records.map(({ id, label, text }) => [id, label, text]);
const faultsOf = ({ faults }: ReadResult) => faults.map(({ row, message }) => `${row}: ${message}`);

describe('which format a file is of', () => {
  const owners: [string, MmlaFormat][] = [
    ['meld/train_sent_emo.csv', meldFormat],
    ['emotyda/MELD.csv', emotydaFormat],
    ['emotyda/MELD-mac-roman.csv', emotydaFormat],
    ['emotyda/iemocap_session1.csv', emotydaFormat],
    ['annomi/AnnoMI-full.csv', annomiFormat],
    ['mustard/sarcasm_data.json', mustardFormat],
  ];
  it.each(owners)('%s', async (name, owner) => {
    const text = new TextDecoder().decode(await readFile(fixture(name)));
    expect(formats.filter((format) => format.recognises({ file: 'x', text }))).toEqual([owner]);
    // The beginning is enough, as are a byte order mark and other ends of lines.
    const other = `\ufeff${text.slice(0, 900).replaceAll('\r\n', '\n').replaceAll('\n', '\r\n')}`;
    if (owner !== mustardFormat) expect(owner.recognises({ file: 'x', text: other })).toBe(true);
  });

  it('is none for files of MMLA itself', async () => {
    const swift = await readFile(fixture('mmla/MELD-DA/dev.jsonl'), 'utf8');
    for (const text of [swift, 'id\tutterance\temotion\n', '[{"id":0}]', '', '{"1_60": {"query": 1}}']) {
      expect(formats.some((format) => format.recognises({ file: 'x', text }))).toBe(false);
    }
  });

  it('is refused for a task that is not made of it', async () => {
    for (const [name, format] of owners) {
      const { records, faults } = await read(format, fixture(name), 'MOSI');
      expect(records).toEqual([]);
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatchObject({ row: null, message: expect.stringContaining('MOSI is not') });
    }
  });
});

describe('MELD', () => {
  it.each([
    ['train', ['MELD_0_0', 'MELD_0_1', 'MELD_0_3', 'MELD_1038_0']],
    ['dev', ['MELD_1039_0', 'MELD_1152_1']],
    ['test', ['MELD_1153_0', 'MELD_1432_12']],
  ] as const)('numbers the dialogues of %s as MMLA does', async (split, ids) => {
    const { records, faults } = await read(meldFormat, fixture(`meld/${split}_sent_emo.csv`), 'MELD');
    expect(faults).toEqual([]);
    expect(records.map(({ id }) => id)).toEqual(ids);
    expect(new Set(records.map((record) => record.split))).toEqual(new Set([split]));
  });

  it('gives whole records', async () => {
    const at = fixture('meld/train_sent_emo.csv');
    const { records } = await read(meldFormat, at, 'MELD');
    expect(records[1]).toEqual({
      id: 'MELD_0_1',
      text: 'She said "never", and left…',
      task: 'MELD',
      label: 'sadness',
      split: 'train',
      clip: 'MELD_0_1',
      origin: `${at}, row 3`,
    });
  });

  it('takes the split from the request where the name does not tell, and not against it', async () => {
    const table = await readFile(fixture('meld/train_sent_emo.csv'));
    const at = file('table.csv', table);
    expect((await read(meldFormat, at, 'MELD', 'dev')).records[0]).toMatchObject({
      id: 'MELD_1039_0',
      split: 'dev',
    });
    const named = await read(meldFormat, fixture('meld/train_sent_emo.csv'), 'MELD', 'test');
    expect(named.records).toEqual([]);
    expect(faultsOf(named)).toEqual(['null: this is the train split by its name, and it is read as test']);
    const { records, faults } = await read(meldFormat, at, 'MELD');
    expect(records).toEqual([]);
    expect(faults).toEqual([
      { file: at, row: null, message: expect.stringContaining('train_sent_emo.csv, dev_sent_emo.csv') },
    ]);
  });

  it('tells all faults and keeps the other rows', async () => {
    const header = 'Utterance,Emotion,Sentiment,Dialogue_ID,Utterance_ID';
    const at = file(
      'dev_sent_emo.csv',
      Buffer.from(
        [
          header,
          'Fine.,joy,positive,0,0',
          'Hm.,hapy,positive,0,1',
          'Oh.,joy,positive,0,0',
          ' ,joy,positive,0,2',
          'Oh.,joy,positive,a,2',
          'Too,many,cells,0,0,3',
          'Caf\xe9.,joy,positive,0,4',
          'Good.,joy,positive,0,5',
        ].join('\n'),
        'latin1',
      ),
    );
    const result = await read(meldFormat, at, 'MELD');
    expect(result.records.map(({ id }) => id)).toEqual(['MELD_1039_0', 'MELD_1039_5']);
    expect(faultsOf(result)).toEqual([
      '3: the Emotion "hapy" is none of neutral, joy, surprise, anger, sadness, disgust, fear',
      '4: dialogue and utterance are those of row 2',
      '5: the Utterance is empty',
      '6: Dialogue_ID and Utterance_ID are not whole numbers',
      '7: the header names 5 columns, but the row has 6 cells',
      '8: the utterance has bytes that are no UTF-8',
    ]);
  });
});

describe('EMOTyDA', () => {
  it('knows a tag for each label of both tasks', () => {
    for (const task of ['MELD-DA', 'IEMOCAP-DA']) {
      expect([...dialogueActOfTag.values()].toSorted()).toEqual(mmlaTask(task).labels.toSorted());
    }
  });

  it('reads MELD.csv: every tag, one with a space behind it, and mends its signs', async () => {
    const at = fixture('emotyda/MELD.csv');
    const result = await read(emotydaFormat, at, 'MELD-DA');
    expect(result.faults).toEqual([]);
    expect(short(result)).toEqual([
      ['MELD-DA_0_0', 'greeting', 'Morning, you two!'],
      ['MELD-DA_0_1', 'question', 'Where’d the ladder go?'],
      ['MELD-DA_0_2', 'answer', 'It’s in the shed—behind the boat.'],
      ['MELD-DA_0_3', 'statement-opinion', '‘Tis too steep, I’d say.'],
      ['MELD-DA_1_0', 'statement-non-opinion', 'I sold the boat…'],
      ['MELD-DA_1_1', 'apology', 'I’m sorry about the café.'],
      ['MELD-DA_1_2', 'command', 'Hand me that rope.'],
      ['MELD-DA_1_3', 'agreement', 'Quite so.'],
      ['MELD-DA_1_4', 'disagreement', 'No, it is not.'],
      ['MELD-DA_2_0', 'acknowledge', 'Thank you for the rope.'],
      ['MELD-DA_2_1', 'backchannel', 'Mm-hm.'],
      ['MELD-DA_2_2', 'others', 'Oof!'],
      ['MELD-DA_2_3', 'statement-non-opinion', 'He said “wait” twice.'],
      ['MELD-DA_1038_17', 'question', 'Are you there?'],
    ]);
    expect(result.records[0]).toMatchObject({ clip: 'MELD_0_0', task: 'MELD-DA', origin: `${at}, row 2` });
    expect(result.records[0]).not.toHaveProperty('split');
    expect((await read(emotydaFormat, at, 'MELD-DA', 'dev')).records[0]).toMatchObject({ split: 'dev' });
  });

  it('reads the same signs from Mac Roman', async () => {
    const at = fixture('emotyda/MELD-mac-roman.csv');
    const bytes = await readFile(at);
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(bytes)).toThrow();
    expect(bytes.includes(Buffer.from([0xc2, 0x92]))).toBe(true);
    expect(short(await read(emotydaFormat, at, 'MELD-DA')).map(([, , text]) => text)).toEqual([
      'Where’d the ladder go?',
      'Café again…',
      'A genuine café and so on…',
      'Plain.',
    ]);
  });

  it('mends what one wrong reading broke, and nothing else', () => {
    expect(mendMacRoman('¬íd ¬ë ¬ì ¬î ¬Ö ¬ó ¬ñ √© √≥')).toBe('’d ‘ “ ” … — – é ó');
    expect(mendMacRoman('I\u0092m')).toBe('I’m');
    const whole = 'Plain, café, “quoted…” – ¬ √2, ¬p';
    expect(mendMacRoman(whole)).toBe(whole);
    // UTF-8 of the code U+0092, of which a reader of Mac Roman makes the two signs.
    expect(decodeMacRomanOrUtf8(Uint8Array.of(0x49, 0xc2, 0x92, 0x6d))).toBe('I’m');
    expect(decodeMacRomanOrUtf8(Uint8Array.of(0x49, 0xc2, 0x92, 0x6d, 0x8e))).toBe('I’mé');
  });

  it('reads sessions of IEMOCAP and drops a turn that is there twice alike', async () => {
    const result = await read(emotydaFormat, fixture('emotyda/iemocap_session1.csv'), 'IEMOCAP-DA');
    expect(result.faults).toEqual([]);
    expect(short(result)).toEqual([
      ['IEMOCAP-DA_Ses01F_impro01_F000', 'question', 'May I see the menu?'],
      ['IEMOCAP-DA_Ses01F_impro01_M000', 'answer', 'Here, take mine.'],
      ['IEMOCAP-DA_Ses01F_impro01_F001', 'acknowledge', '[LAUGHTER] So kind.'],
    ]);
    expect(result.records[0]!.clip).toBe('IEMOCAP_Ses01F_impro01_F000');
  });

  it('keeps the first of turns that contradict each other, and tells the others', async () => {
    const result = await read(emotydaFormat, fixture('emotyda/iemocap_contradiction.csv'), 'IEMOCAP-DA');
    expect(short(result)).toEqual([['IEMOCAP-DA_Ses02F_impro02_F000', 'question', 'Shall we?']]);
    const message = 'Ses02F_impro02_F000 is row 2 already, with another utterance or act; the first is kept';
    expect(faultsOf(result)).toEqual([`3: ${message}`, `4: ${message}`]);
  });

  it('tells unknown tags, bad numbers, empty utterances and missing columns', async () => {
    const at = file(
      'acts.csv',
      'TURN,UTTERANCE,DA\nSes01F_impro01_F000,Hm.,x\nSes01F_impro01_F001,Hm.,Q\nimpro01,Hm.,b\nSes01F_impro01_F002, ,b\n',
    );
    const result = await read(emotydaFormat, at, 'IEMOCAP-DA');
    expect(result.records).toEqual([]);
    const tags = 'g, q, ans, o, s, ap, c, ag, dag, a, b, oth';
    expect(faultsOf(result)).toEqual([
      `2: the DA "x" is none of ${tags}`,
      `3: the DA "Q" is none of ${tags}`,
      '4: the TURN is not like Ses01F_impro01_F000',
      '5: the utterance is empty',
    ]);
    const wrong = await read(emotydaFormat, at, 'MELD-DA');
    expect(wrong.records).toEqual([]);
    expect(faultsOf(wrong)).toEqual([
      expect.stringMatching(/^null: the file, row 1: column "Utterance" is missing; .*"Dialogue Act"/),
    ]);
  });
});

describe('labels in capitals and columns in quotes', () => {
  it.each<[MmlaFormat, string, string]>([
    [
      meldFormat,
      'MELD',
      '"Utterance","Emotion","Sentiment","Dialogue_ID","Utterance_ID"\nHi.,Joy,POSITIVE,0,2\n',
    ],
    [emotydaFormat, 'MELD-DA', '"Utterance","Dialogue_ID","Utterance_ID","Dialogue Act"\nHi.,0,2,ag \n'],
    [
      emotydaFormat,
      'MELD-DA',
      'Utterance,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Dialogue Act\nHi.,joy,positive,0,2,ag\n',
    ],
    [
      annomiFormat,
      'AnnoMi-client',
      '"transcript_id","utterance_id","interlocutor","utterance_text","annotator_id","main_therapist_behaviour","client_talk_type"\n0,2,client,Hi.,0,n/a,Change\n',
    ],
  ])('are read', async (format, key, content) => {
    const { file: at, text } = { file: file('t.csv', content), text: content };
    expect(formats.filter((one) => one.recognises({ file: at, text }))).toEqual([format]);
    const { records, faults } = await read(format, at, key, 'train');
    expect(faults).toEqual([]);
    const label = { MELD: 'joy', 'MELD-DA': 'agreement' }[key] ?? 'change';
    expect(records).toMatchObject([{ id: `${key}_0_2`, text: 'Hi.', label }]);
  });
});

describe('AnnoMI', () => {
  it('may have one annotator for all and no column of them', async () => {
    const header =
      'transcript_id,utterance_id,interlocutor,utterance_text,main_therapist_behaviour,client_talk_type';
    const at = file(
      'dataset.csv',
      `${header}\n0,0,client,Good.,n/a,change\n0,1,client,Bad.,n/a,neutral\n0,1,client,Bad.,n/a,neutral\n`,
    );
    const result = await read(annomiFormat, at, 'AnnoMi-client');
    expect(short(result)).toEqual([['AnnoMi-client_0_0', 'change', 'Good.']]);
    expect(faultsOf(result)).toEqual(['4: the annotator has judged 0_1 in an earlier row']);
  });

  it('takes the label of most annotators of the client', async () => {
    const result = await read(annomiFormat, fixture('annomi/AnnoMI-full.csv'), 'AnnoMi-client');
    expect(result.faults).toEqual([]);
    expect(short(result)).toEqual([
      ['AnnoMi-client_0_1', 'neutral', 'By bus, mostly.'],
      ['AnnoMi-client_0_3', 'change', 'I could walk on Mondays.'],
      ['AnnoMi-client_0_5', 'sustain', 'I like the bus.'],
      ['AnnoMi-client_116_1', 'neutral', 'Hi.'],
    ]);
    expect(result.records[1]).toMatchObject({
      clip: 'AnnoMi_0_3',
      origin: expect.stringMatching(/, row 7$/),
    });
  });

  it('takes the label of most annotators of the therapist', async () => {
    const result = await read(annomiFormat, fixture('annomi/AnnoMI-full.csv'), 'AnnoMi-therapist');
    expect(result.faults).toEqual([]);
    expect(short(result)).toEqual([
      ['AnnoMi-therapist_0_0', 'question', 'How do you get to work?'],
      ['AnnoMi-therapist_0_2', 'reflection', 'So, the bus it is.'],
      ['AnnoMi-therapist_0_6', 'therapist_input', 'Half an hour a day is advised.'],
      ['AnnoMi-therapist_116_0', 'other', 'Hello again.'],
    ]);
  });

  it('breaks ties by who came first', () => {
    expect(majorityLabel(['b', 'a', 'a', 'b', 'c'])).toBe('b');
    expect(majorityLabel(['c', 'a', 'a', 'b', 'b'])).toBe('a');
    expect(majorityLabel(['c'])).toBe('c');
  });

  it('tells the faults of rows and leaves their utterances out', async () => {
    const header =
      'transcript_id,utterance_id,interlocutor,utterance_text,annotator_id,main_therapist_behaviour,client_talk_type';
    const at = file(
      'annomi.csv',
      [
        header,
        '0,0,client,Good.,0,n/a,change',
        '0,1,client,Bad.,0,n/a,change',
        '0,1,client,Bad.,1,n/a,n/a',
        '0,2,client,Bad.,0,n/a,change',
        '0,2,client,Worse.,1,n/a,change',
        '0,3,client,Bad.,0,n/a,change',
        '0,3,client,Bad.,0,n/a,neutral',
        '0,4,nurse,Bad.,0,n/a,change',
        '0,5a,client,Bad.,0,n/a,change',
      ].join('\n'),
    );
    const result = await read(annomiFormat, at, 'AnnoMi-client');
    expect(short(result)).toEqual([['AnnoMi-client_0_0', 'change', 'Good.']]);
    expect(faultsOf(result)).toEqual([
      '4: the client_talk_type "n/a" is none of neutral, change, sustain',
      '6: the text of 0_2 is another one than in row 5',
      '8: annotator 0 has judged 0_3 in an earlier row',
      '9: the interlocutor "nurse" is neither client nor therapist',
      '10: transcript_id and utterance_id are not whole numbers',
    ]);
  });
});

describe('MUStARD', () => {
  it('reads clips by name', async () => {
    const at = fixture('mustard/sarcasm_data.json');
    const result = await read(mustardFormat, at, 'MUStARD');
    expect(result.faults).toEqual([]);
    expect(short(result)).toEqual([
      ['MUStARD_1_60', 'sarcastic', 'What a joy it is to queue.'],
      ['MUStARD_2_123', 'sincere', 'The bus leaves at noon.'],
      ['MUStARD_1_70', 'sarcastic', '- Now? - "No", next year.'],
    ]);
    expect(result.records[2]).toMatchObject({ clip: 'MUStARD_1_70', origin: `${at}, row 3` });
  });

  it('tells clips that lack something, and what is no such file', async () => {
    const bad = file(
      'clips.json',
      '{"1_1": {"utterance": "Good.", "sarcasm": false}, "1_2": {"utterance": "", "sarcasm": "no"}, "a b": 3}',
    );
    const result = await read(mustardFormat, bad, 'MUStARD');
    expect(short(result)).toEqual([['MUStARD_1_1', 'sincere', 'Good.']]);
    expect(faultsOf(result)).toEqual([
      '2: clip "1_2": its "utterance" is no text',
      '2: clip "1_2": its "sarcasm" is neither true nor false',
      '3: clip "a b": the name is not of letters, digits and underscores',
      '3: clip "a b": its "utterance" is no text',
      '3: clip "a b": its "sarcasm" is neither true nor false',
    ]);
    for (const [name, text, message] of [
      ['twice.json', '{"1_1": {"utterance": "A"}, "1_1": {}}', 'the key "1_1" occurs twice'],
      ['torn.json', '{"1_1": {"utterance"', 'the file is not JSON'],
      ['list.json', '[]', 'the file holds no JSON object'],
    ] as const) {
      const { records, faults } = await read(mustardFormat, file(name, text), 'MUStARD');
      expect(records).toEqual([]);
      expect(faults).toEqual([expect.objectContaining({ row: null })]);
      expect(faults[0]!.message).toContain(message);
    }
  });
});

it('a file that is not there is an error, not a fault', async () => {
  for (const [format, task] of [
    [meldFormat, 'MELD'],
    [emotydaFormat, 'MELD-DA'],
    [annomiFormat, 'AnnoMi-client'],
    [mustardFormat, 'MUStARD'],
  ] as const) {
    await expect(read(format, path.join(folder, 'train_sent_emo.csv'), task)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  }
});

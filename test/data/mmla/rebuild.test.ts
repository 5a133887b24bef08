import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { locateMmla } from '../../../src/data/mmla/locate.ts';
import { readGold, readMmlaFile } from '../../../src/data/mmla/read-file.ts';
import { rebuildTrainSplit, writeSwiftFile } from '../../../src/data/mmla/rebuild.ts';
import type { MmlaRecord } from '../../../src/data/mmla/records.ts';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import { dialogueActOfTag, emotydaFormat } from '../../../src/data/mmla/upstream/emotyda.ts';
import { run } from '../../e2e/workspace.ts';
import { folderForFile } from '../../support/temporary-folder.ts';

const fixtures = path.resolve('test/fixtures/mmla-upstream');
const table = (name: string) => path.join(fixtures, 'emotyda', name);
const mmla = path.join(fixtures, 'mmla');
const task = mmlaTask('MELD-DA');

/** Spec: rows of the published train split by tag. */
const publishedTags = {
  s: 2096,
  q: 1430,
  ans: 899,
  o: 766,
  oth: 430,
  g: 340,
  ag: 312,
  dag: 202,
  c: 200,
  ap: 124,
  b: 121,
  a: 72,
};

const folder = folderForFile();

const recordOf = (number: string, label: string, prefix = 'MELD-DA'): MmlaRecord => ({
  id: `${prefix}_${number}`,
  text: `Line ${number}.`,
  task: 'MELD-DA',
  label,
  clip: `MELD_${number}`,
  origin: `x, row ${number}`,
});

/** As many samples as were published, dev and test among them. */
function publishedSources() {
  const dev = Array.from({ length: 999 }, (_, i) => recordOf(`0_${i}`, 'greeting', 'MELD'));
  const test = Array.from({ length: 1998 }, (_, i) => recordOf(`1_${i}`, 'question'));
  const train = Object.entries(publishedTags).flatMap(([tag, rows], act) =>
    Array.from({ length: rows }, (_, i) => recordOf(`${2 + act}_${i}`, dialogueActOfTag.get(tag)!)),
  );
  return { dev, test, upstream: [...test, ...train, ...dev] };
}

describe('rebuildTrainSplit', () => {
  it('leaves out what dev and test have, whatever their clips are called', async () => {
    const { records: upstream } = await emotydaFormat.read({ file: table('MELD.csv'), task });
    const { dev, test } = await locateMmla(mmla, task);
    const held = { dev: await readGold(dev!, task, 'dev'), test: await readGold(test!, task, 'test') };
    // The dev file calls its clips as MELD does.
    expect(held.dev.map(({ id }) => id)).toEqual(['MELD_0_0']);
    const { records, deviations, labels, published } = rebuildTrainSplit(task, { upstream, ...held });
    expect(records.map(({ id }) => id)).toEqual(
      upstream
        .map(({ id }) => id)
        .filter((id) => !['MELD-DA_0_0', 'MELD-DA_1_0', 'MELD-DA_1038_17'].includes(id)),
    );
    expect(records.every(({ split }) => split === 'train')).toBe(true);
    expect(labels.map(({ label, rows }) => [label, rows])).toEqual(
      task.labels.map((label) => [label, label === 'greeting' ? 0 : 1]),
    );
    expect(published).toBe(6992);
    expect(deviations).toEqual([
      'dev has 1 sample, published are 999',
      'test has 2 samples, published are 1998',
      'train has 11 rows, published are 6992',
      expect.stringMatching(
        /^labels have other numbers of rows: greeting 0 \(published 340\), question 1 \(/,
      ),
    ]);
  });

  it('finds no deviation where all numbers are the published ones', () => {
    const { records, labels, deviations } = rebuildTrainSplit(task, publishedSources());
    expect(deviations).toEqual([]);
    expect(records).toHaveLength(6992);
    expect(Object.fromEntries(labels.map(({ label, rows }) => [label, rows]))).toEqual(
      Object.fromEntries(
        Object.entries(publishedTags).map(([tag, rows]) => [dialogueActOfTag.get(tag), rows]),
      ),
    );
  });

  it('tells whatever is not as published', () => {
    const { dev, test, upstream } = publishedSources();
    const deviationsOf = (change: Partial<ReturnType<typeof publishedSources>>) =>
      rebuildTrainSplit(task, { dev, test, upstream, ...change }).deviations;
    expect(deviationsOf({ dev: [recordOf('99_9', 'greeting'), ...dev.slice(1)] })).toEqual([
      '1 dev sample not in the tables: MELD-DA_99_9',
      'train has 6993 rows, published are 6992',
      'labels have other numbers of rows: greeting 341 (published 340)',
    ]);
    expect(deviationsOf({ test: test.map((one, i) => (i < 7 ? { ...one, label: 'others' } : one)) })).toEqual(
      [
        '7 test samples with another label in the tables: MELD-DA_1_0, MELD-DA_1_1, MELD-DA_1_2, MELD-DA_1_3, MELD-DA_1_4 and 2 more',
      ],
    );
    expect(deviationsOf({ upstream: [...upstream, upstream[0]!] })).toEqual([
      '1 sample in the tables more than once: MELD-DA_1_0',
    ]);
  });

  it('counts 6,592 rows of IEMOCAP-DA, of whose labels no numbers are known', () => {
    const iemocap = mmlaTask('IEMOCAP-DA');
    const all = Array.from({ length: 9418 }, (_, i) => recordOf(`0_${i}`, 'others'));
    const { deviations, records } = rebuildTrainSplit(iemocap, {
      upstream: all,
      dev: all.slice(0, 942),
      test: all.slice(942, 942 + 1884),
    });
    expect(deviations).toEqual([]);
    expect(records).toHaveLength(6592);
  });

  it('refuses other tasks', () => {
    expect(() => rebuildTrainSplit(mmlaTask('MELD'), publishedSources())).toThrow(
      expect.objectContaining({ code: 'MMLA_NOT_REBUILDABLE' }),
    );
  });
});

describe('writeSwiftFile', () => {
  it('writes what is read back as it was, and no file over another one', async () => {
    const { records } = await emotydaFormat.read({ file: table('MELD.csv'), task, split: 'train' });
    const file = path.join(folder, 'written.jsonl');
    await writeSwiftFile(file, task, records);
    const back = await readMmlaFile({ file, task, split: 'train' });
    expect(back.format).toContain('ms-swift');
    expect(back.faults).toEqual([]);
    const bare = (record: MmlaRecord) => ({ ...record, media: undefined, origin: undefined });
    expect(back.records.map(bare)).toEqual(records.map(bare));
    expect(back.records[1]!.media).toBe('MELD-DA/video/MELD-DA_0_1.mp4');
    // As the released files are, byte for byte.
    const released = await readFile(path.join(mmla, 'MELD-DA/dev.jsonl'), 'utf8');
    const [first] = (await readFile(file, 'utf8')).split('\n');
    expect({ ...JSON.parse(first!), videos: [] }).toEqual({ ...JSON.parse(released), videos: [] });
    await expect(writeSwiftFile(file, task, records)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
  });
});

describe('affectgpt data rebuild-mmla', () => {
  const rebuild = (...options: string[]) => run('data', 'rebuild-mmla', ...options);
  const small = (output: string, ...options: string[]) =>
    rebuild(
      '--task',
      'MELD-DA',
      '--upstream',
      table('MELD.csv'),
      '--mmla',
      mmla,
      '--output',
      output,
      ...options,
    );

  it('writes a split that is as published', async () => {
    const { dev, test, upstream } = publishedSources();
    const root = path.join(folder, 'whole');
    await mkdir(path.join(root, 'MELD-DA'), { recursive: true });
    await writeSwiftFile(path.join(root, 'MELD-DA/dev.jsonl'), task, dev);
    await writeSwiftFile(path.join(root, 'MELD-DA/test.jsonl'), task, test);
    const tagOf = new Map([...dialogueActOfTag].map(([tag, label]) => [label, tag]));
    const rows = upstream.map(({ clip, text, label }) => {
      const [, dialogue, utterance] = clip.split('_');
      return `${text},${dialogue},${utterance},${tagOf.get(label)}\n`;
    });
    const csv = path.join(root, 'MELD.csv');
    await writeFile(csv, `Utterance,Dialogue_ID,Utterance_ID,Dialogue Act\n${rows.join('')}`);
    const output = path.join(root, 'MELD-DA/train.jsonl');
    const given = ['--task', 'MELD-DA', '--upstream', csv, '--mmla', root, '--output', output];
    const { exitCode, out, err } = await rebuild(...given);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    expect(out).toContain('MELD-DA train: 6992 rows, published 6992\n');
    expect(out).toMatch(/ statement-non-opinion +2096 {2}published 2096\n/);
    expect(out).not.toContain('not as published');
    expect(await readGold(output, task, 'train')).toHaveLength(6992);
    // It is found beside the other two from now on.
    expect(await locateMmla(root, task)).toHaveProperty('train', output);
  });

  it('writes another one only with --partial', async () => {
    const output = path.join(folder, 'partial.jsonl');
    const refused = await small(output);
    expect(refused.exitCode).toBe(1);
    expect(refused.err).toContain('MMLA_REBUILD_DIFFERS');
    expect(refused.out).toContain('not as published: train has 11 rows, published are 6992');
    expect(existsSync(output)).toBe(false);
    const written = await small(output, '--partial', '--json');
    expect(written.exitCode).toBe(0);
    expect(JSON.parse(written.out)).toMatchObject({
      rebuild: 'MELD-DA',
      rows: 11,
      published: 6992,
      labels: expect.arrayContaining([{ label: 'greeting', rows: 0, published: 340 }]),
      deviations: expect.arrayContaining(['dev has 1 sample, published are 999']),
      faults: [],
      output,
    });
    expect(await readGold(output, task, 'train')).toHaveLength(11);
    expect((await small(output, '--partial')).err).toContain('OUTPUT_EXISTS');
  });

  it('takes several tables; bad rows end it, or are left out with --partial', async () => {
    const output = path.join(folder, 'iemocap.jsonl');
    const files = ['iemocap_session1.csv', 'iemocap_session5.csv', 'iemocap_contradiction.csv'].map(table);
    const given = ['--task', 'IEMOCAP-DA', '--upstream', ...files, '--mmla', mmla, '--output', output];
    const refused = await rebuild(...given);
    expect(refused.exitCode).toBe(2);
    expect(refused.err).toContain('MMLA_ROWS_INVALID');
    expect(refused.err).toContain('iemocap_contradiction.csv, row 4');
    const { out } = await rebuild(...given, '--partial');
    expect(out).toContain('iemocap_contradiction.csv, row 3: Ses02F_impro02_F000 is row 2 already');
    const back = await readGold(output, mmlaTask('IEMOCAP-DA'), 'train');
    expect(back.map(({ clip }) => clip)).toEqual([
      'IEMOCAP_Ses01F_impro01_F000',
      'IEMOCAP_Ses01F_impro01_M000',
      'IEMOCAP_Ses05M_script03_2_F040',
      'IEMOCAP_Ses02F_impro02_F000',
    ]);
  });

  it('never goes on without both held-out splits, or with faults in them', async () => {
    const root = path.join(folder, 'half/MELD-DA');
    await mkdir(root, { recursive: true });
    await writeFile(path.join(root, 'dev.jsonl'), await readFile(path.join(mmla, 'MELD-DA/dev.jsonl')));
    const given = ['--task', 'MELD-DA', '--upstream', table('MELD.csv'), '--mmla', path.dirname(root)];
    const missing = await rebuild(...given, '--output', path.join(folder, 'no.jsonl'), '--partial');
    expect(missing.exitCode).toBe(2);
    expect(missing.err).toContain('MMLA_SPLIT_MISSING');
    await writeFile(path.join(root, 'test.jsonl'), '{"query": "x", "response": "y", "videos": ["a.mp4"]}\n');
    const faulty = await rebuild(...given, '--output', path.join(folder, 'no.jsonl'), '--partial');
    expect(faulty.exitCode).toBe(2);
    expect(faulty.err).toContain('MMLA_ROWS_INVALID');
    expect(existsSync(path.join(folder, 'no.jsonl'))).toBe(false);
  });

  it('says which tasks it takes', async () => {
    const { exitCode, err } = await rebuild(
      ...['--task', 'MOSI', '--upstream', 'x', '--mmla', 'y', '--output', 'z'],
    );
    expect(exitCode).toBe(2);
    expect(err).toContain('--task takes MELD-DA or IEMOCAP-DA, not "MOSI"');
  });
});

import { existsSync } from 'node:fs';
import { mkdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readManifest } from '../../../src/data/manifest.ts';
import { type BenchmarkKey, benchmarkDatasets } from '../../../src/eval/mer-unibench/datasets.ts';
import { readBenchmarkRecords, truthsOfRecords } from '../../../src/eval/mer-unibench/records.ts';
import { run } from '../../e2e/workspace.ts';
import { layBenchmarkSet } from '../../support/benchmark-root.ts';
import { folderForFile } from '../../support/temporary-folder.ts';

const root = folderForFile();
const keys = Object.keys(benchmarkDatasets) as BenchmarkKey[];
let made = 0;
const newRoot = () => path.join(root, String(made++));

const check = (dataset: string, folder: string, ...more: string[]) =>
  run('data', 'check', '--dataset', dataset, '--root', folder, ...more);

interface Report {
  readonly ok: boolean;
  readonly manifest: string | null;
  readonly splits: readonly { split: string; samples: number; expected: number }[];
  readonly findings: readonly {
    part: string;
    kind: string;
    needed: boolean;
    count: number;
    examples: string[];
  }[];
}

async function report(dataset: string, folder: string, ...more: string[]) {
  const { exitCode, out, err } = await check(dataset, folder, '--json', ...more);
  return { exitCode, err, ...(JSON.parse(out) as Report) };
}

describe('data check of a complete set', () => {
  // The training tables of OV-MERD are checked as well; see below.
  it.each(keys.filter((key) => key !== 'ovmerd'))('finds %s whole and writes its manifest', async (key) => {
    const folder = newRoot();
    const set = await layBenchmarkSet(folder, key);
    const manifest = path.join(folder, 'written', 'manifest.jsonl');
    const found = await report(key, folder, '--partial', '--write-manifest', manifest);
    expect(found).toMatchObject({ exitCode: 0, ok: true, manifest });
    // Fewer samples than published, and an empty list of words, are told.
    expect(found.findings.every(({ needed }) => !needed)).toBe(true);
    expect(found.findings).toContainEqual({
      ...{ part: 'labels', kind: 'count', needed: false, count: 5 },
      examples: [`test: 5 of ${benchmarkDatasets[key].count}`],
    });
    const records = await readManifest(manifest);
    expect(records.map(({ name }) => name)).toEqual(set.names);
    const { layout } = benchmarkDatasets[key];
    expect(records[1]).toMatchObject({
      video: set.at(layout.videos(set.names[1]!)[0]),
      audio: set.at(layout.audio(set.names[1]!)),
      face: set.at(layout.face(set.names[1]!)),
      subtitle: '1, spoken',
      split: 'test',
    });
    // Evaluation reads the same from the layout.
    const direct = await readBenchmarkRecords(key, folder);
    expect(direct.map(({ origin: _, ...record }) => record)).toEqual(
      records.map(({ origin: _, ...record }) => record),
    );
    expect(truthsOfRecords(benchmarkDatasets[key], records).of.size).toBe(5);
  });

  it('writes what the samples are labelled with', async () => {
    const folder = newRoot();
    const labelled = async (key: BenchmarkKey) => {
      await layBenchmarkSet(folder, key);
      const records = await readBenchmarkRecords(key, folder);
      return records.map(({ labels, valence, sentiment }) => ({ labels, valence, sentiment }));
    };
    const [joy, , fear] = await labelled('meld');
    expect([joy!.labels, fear!.labels]).toEqual([['joy'], ['fear']]);
    expect((await labelled('cmumosi')).slice(0, 3)).toEqual([
      { valence: 1.2, sentiment: 'positive' },
      { valence: -1.6, sentiment: 'negative' },
      { valence: 0, sentiment: 'neutral' },
    ]);
    expect((await labelled('ovmerdplus')).map(({ labels }) => labels)).toEqual([
      ['happy', 'excited'],
      ['angry', 'sad'],
      ['worried'],
      ['neutral'],
      ['surprised', 'scared'],
    ]);
  });

  it('takes several splits', async () => {
    const folder = newRoot();
    const set = await layBenchmarkSet(folder, 'meld');
    const manifest = path.join(folder, 'all.jsonl');
    const found = await report(
      'meld',
      folder,
      ...['--split', 'train, val,test', '--partial', '--write-manifest', manifest],
    );
    expect(found.splits.map(({ split, samples }) => [split, samples])).toEqual([
      ['train', 2],
      ['val', 2],
      ['test', 5],
    ]);
    const records = await readManifest(manifest);
    expect(new Set(records.map(({ name }) => name))).toEqual(new Set([...set.others, ...set.names]));
    expect(records.map(({ split }) => split).slice(0, 5)).toEqual(['train', 'train', 'val', 'val', 'test']);
  });

  it('divides IEMOCAP by its sessions', async () => {
    const folder = newRoot();
    await layBenchmarkSet(folder, 'iemocapfour');
    const train = await readBenchmarkRecords('iemocapfour', folder, 'train');
    expect(train.map(({ name }) => name[4])).toEqual(['1', '2', '3', '4']);
    await expect(readBenchmarkRecords('iemocapfour', folder, 'val')).rejects.toMatchObject({
      code: 'BENCHMARK_SPLIT_UNKNOWN',
    });
  });

  it('finds a video under another ending, and leaves out what is not wanted', async () => {
    const folder = newRoot();
    const set = await layBenchmarkSet(folder, 'cmumosi');
    await rename(set.at('subvideo', 'cmumosi_0.mp4'), set.at('subvideo', 'cmumosi_0.avi'));
    await rm(set.at('openface_face'), { recursive: true });
    const manifest = path.join(folder, 'manifest.jsonl');
    const argv = ['--partial', '--without', 'face', '--write-manifest', manifest];
    expect(await report('cmumosi', folder, ...argv)).toMatchObject({ exitCode: 0 });
    const [first] = await readManifest(manifest);
    expect(first).toMatchObject({ video: set.at('subvideo', 'cmumosi_0.avi') });
    expect(first).not.toHaveProperty('face');
  });
});

describe('data check of a set with faults', () => {
  it('names all of them in one report, and writes nothing', async () => {
    const folder = newRoot();
    const set = await layBenchmarkSet(folder, 'mer2023');
    await unlink(set.at('video', 'mer2023_1.mp4'));
    await writeFile(set.at('audio', 'mer2023_2.wav'), '');
    await rm(set.at('openface_face'), { recursive: true });
    await writeFile(set.at('video', 'stranger.mp4'), 'x');
    await writeFile(set.at('video', '.hidden'), 'x');
    await writeFile(
      set.at('transcription-engchi-polish.csv'),
      'name,english\nmer2023_0,\nmer2023_1,Yes\nmer2023_2,Yes\nmer2023_3,Yes\n',
    );
    const manifest = path.join(folder, 'manifest.jsonl');
    const found = await report('mer2023', folder, '--write-manifest', manifest);
    expect(found).toMatchObject({ exitCode: 1, ok: false, manifest: null });
    expect(existsSync(manifest)).toBe(false);
    expect(found.err).toMatch(/^error\[DATA_INCOMPLETE\]: .*6 faults.*manifest\.jsonl was not written\.\n$/);
    const told = found.findings.map(({ part, kind, needed, count, examples }) =>
      [needed ? 'fault' : 'note', part, kind, count, examples[0]].join(' '),
    );
    expect(told).toEqual([
      'fault folder missing 1 openface_face',
      'fault labels count 5 test: 5 of 411',
      'fault subtitle missing 1 mer2023_4',
      'note subtitle empty 1 mer2023_0',
      'fault video missing 1 video/mer2023_1.mp4',
      'fault audio empty 1 audio/mer2023_2.wav',
      'fault face missing 5 openface_face/mer2023_0.npy',
      'note video orphan 1 video/stranger.mp4',
    ]);
    const { out, exitCode } = await check('mer2023', folder);
    expect(exitCode).toBe(1);
    expect(out).toContain('test: 5 samples, published are 411');
    expect(out).toContain('FAULT face missing (5): openface_face/mer2023_0.npy,');
    expect(out).toMatch(/Get it from https:/);
  });

  it('says that labels are missing or no labels of this set', async () => {
    const folder = newRoot();
    const set = await layBenchmarkSet(folder, 'sims');
    await writeFile(set.at('label.npz'), 'no archive');
    const unreadable = await report('sims', folder, '--partial');
    expect(unreadable).toMatchObject({ exitCode: 1 });
    expect(unreadable.findings).toContainEqual(
      expect.objectContaining({ part: 'labels', kind: 'unreadable', needed: true }),
    );
    await unlink(set.at('label.npz'));
    const missing = await report('sims', folder, '--split', 'train,test', '--partial');
    expect(missing.findings.filter(({ part, kind }) => part === 'labels' && kind === 'missing')).toEqual([
      { part: 'labels', kind: 'missing', needed: true, count: 1, examples: ['label.npz'] },
    ]);
    const nothing = await report('sims', path.join(folder, 'nowhere'));
    expect(nothing.exitCode).toBe(1);
    expect(nothing.findings.map(({ part, kind }) => `${part} ${kind}`)).toEqual([
      'folder missing',
      'labels missing',
      'subtitle missing',
    ]);
  });

  it('does without labels that are not public', async () => {
    const folder = newRoot();
    const set = await layBenchmarkSet(folder, 'mer2025ov');
    await unlink(set.at('track2_test.csv'));
    const found = await report('mer2025ov', folder, '--partial');
    expect(found.exitCode).toBe(0);
    expect(found.findings).toContainEqual(
      expect.objectContaining({ part: 'labels', kind: 'missing', needed: false }),
    );
    expect((await readBenchmarkRecords('mer2025ov', folder))[0]).not.toHaveProperty('labels');
  });

  it('refuses names that lead elsewhere', async () => {
    const folder = newRoot();
    const set = await layBenchmarkSet(folder, 'ovmerdplus');
    await writeFile(set.at('ovlabel.csv'), 'name,openset\n../../outside,[happy]\n');
    const found = await report('ovmerdplus', folder, '--partial');
    expect(found.findings[0]).toMatchObject({ part: 'labels', kind: 'unreadable' });
    expect(found.findings[0]!.examples[0]).toMatch(/"\.\.\/\.\.\/outside" holds a slash/);
  });
});

describe('data check of a set to train on', () => {
  it('checks labels and descriptions, and writes both', async () => {
    const folder = newRoot();
    const set = await layBenchmarkSet(folder, 'ovmerd');
    const missing = await report('ovmerd', folder, '--partial');
    expect(missing.exitCode).toBe(1);
    expect(missing.findings.filter(({ needed }) => needed)).toEqual([
      {
        part: 'descriptions',
        kind: 'missing',
        needed: true,
        count: 1,
        examples: ['track3_train_ovmerd.csv'],
      },
    ]);
    await writeFile(set.at('track3_train_ovmerd.csv'), 'name,reason\novmerd_0,In the text there is joy.\n');
    await mkdir(set.at('openface_face', 'stranger'));
    const manifest = path.join(folder, 'manifest.jsonl');
    const found = await report('ovmerd', folder, '--partial', '--write-manifest', manifest);
    expect(found).toMatchObject({ exitCode: 0, manifest });
    expect(found.findings.at(-1)).toMatchObject({ kind: 'orphan', examples: ['openface_face/stranger'] });
    const [first, , , fourth] = await readManifest(manifest);
    expect(first).toMatchObject({
      labels: ['happy', 'excited'],
      description: 'In the text there is joy.',
      face: set.at('openface_face', 'ovmerd_0', 'ovmerd_0.npy'),
    });
    expect(first).not.toHaveProperty('split');
    expect(fourth!.labels).toEqual(['neutral']);
  });

  it('reads the utterances of MELD', async () => {
    const folder = newRoot();
    await mkdir(folder);
    const header = 'Utterance,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n';
    for (const split of ['train', 'dev', 'test']) {
      await writeFile(path.join(folder, `${split}_sent_emo.csv`), `${header}Hello,joy,positive,0,0\n`);
    }
    const manifest = path.join(folder, 'manifest.jsonl');
    expect(await report('meld-text', folder)).toMatchObject({ exitCode: 1 });
    const found = await report('meld-text', folder, '--partial', '--write-manifest', manifest);
    expect(found).toMatchObject({ exitCode: 0 });
    expect(found.splits.map(({ expected }) => expected)).toEqual([9989, 1109, 2610]);
    expect((await readManifest(manifest)).map(({ name, split }) => [name, split])).toEqual([
      ['train_dia0_utt0', 'train'],
      ['dev_dia0_utt0', 'dev'],
      ['test_dia0_utt0', 'test'],
    ]);
    const missing = await report('meld-text', path.join(folder, 'nowhere'));
    expect(missing.findings).toEqual([
      expect.objectContaining({ part: 'labels', kind: 'missing', needed: true }),
    ]);
  });
});

describe('usage of data check', () => {
  it.each([
    [['--dataset', 'mosi', '--root', root], /no data set "mosi".*cmumosi/],
    [['--dataset', 'meld', '--root', root, '--split', 'dev'], /no split "dev".*test, train, val/],
    [['--dataset', 'meld', '--root', root, '--split', ','], /names no split/],
    [['--dataset', 'meld', '--root', root, '--without', 'text'], /video, audio, face, not "text"/],
    [['--dataset', 'ovmerd', '--root', root, '--split', 'test'], /leave out --split/],
    [['--dataset', 'meld-text', '--root', root, '--without', 'face'], /leave out --without/],
    [['--root', root], /dataset/],
  ])('%j ends with 2', async (argv, message) => {
    const { exitCode, err, out } = await run('data', 'check', ...argv);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(message);
  });

  it('does not overwrite a manifest', async () => {
    const folder = newRoot();
    await layBenchmarkSet(folder, 'sims');
    const manifest = path.join(folder, 'manifest.jsonl');
    await writeFile(manifest, 'mine\n');
    const { exitCode, err } = await check('sims', folder, '--partial', '--write-manifest', manifest);
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^error\[OUTPUT_EXISTS\]/);
  });
});

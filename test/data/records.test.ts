import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inputModes } from '../../model/modes.ts';
import { parseOpensetLabels, readDataset } from '../../src/data/datasets.ts';
import { readManifest } from '../../src/data/manifest.ts';
import { splitRecords } from '../../src/data/read-records.ts';
import { featureSources, findFileFaults } from '../../src/data/records.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();
const at = (name: string): string => join(folder, name);
const jsonl = async (name: string, rows: readonly unknown[]): Promise<string> => {
  await writeFile(at(name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return at(name);
};

describe('manifests', () => {
  it('may bring questions and answers of their own, and need nothing else then', async () => {
    const row = { name: 'a', question: 'How, exactly?', answer: 'mood: good' };
    const file = await jsonl('questions.jsonl', [row]);
    await writeFile(at('questions.csv'), 'name,question,answer\na,"How, exactly?",mood: good\n');
    expect(await readManifest(file)).toEqual([{ ...row, origin: `${file}, row 1` }]);
    expect(await readManifest(at('questions.csv'))).toEqual([
      { ...row, origin: `${at('questions.csv')}, row 2` },
    ]);
  });

  it('are the same as JSONL and as CSV', async () => {
    const file = await jsonl('own.jsonl', [
      { name: 'a', video: 'clips/a.mp4', labels: ['sad', 'tired'], subtitle: 'I, er …', valence: -1.5 },
      { id: 'b', audio: '/sound/b.wav', face: null, description: 'He smiles.', split: 'test' },
    ]);
    await writeFile(
      at('own.csv'),
      'id,video,audio,labels,subtitle,valence,description,split\r\na,clips/a.mp4,,sad; tired,"I, er …",-1.5,,\r\nb,,/sound/b.wav,,,,He smiles.,test\r\n',
    );
    const records = await readManifest(file);
    expect(records).toEqual([
      {
        name: 'a',
        video: at('clips/a.mp4'),
        labels: ['sad', 'tired'],
        subtitle: 'I, er …',
        valence: -1.5,
        origin: `${file}, row 1`,
      },
      {
        name: 'b',
        audio: resolve('/sound/b.wav'),
        description: 'He smiles.',
        split: 'test',
        origin: `${file}, row 2`,
      },
    ]);
    const withoutOrigin = (list: typeof records) => list.map(({ origin: _, ...rest }) => rest);
    const fromCsv = await readManifest(at('own.csv'));
    expect(withoutOrigin(fromCsv)).toEqual(withoutOrigin(records));
    expect(fromCsv[1]!.origin).toBe(`${at('own.csv')}, row 3`);
    expect(splitRecords(records, 'train').heldOut.map(({ name }) => name)).toEqual(['b']);
    expect(splitRecords(records, null).train).toHaveLength(2);
  });

  it('with faults list every bad row', async () => {
    const file = await jsonl('bad.jsonl', [
      { name: 'a', video: 'a.mp4' },
      { video: 'b.mp4' },
      { name: 'c', labels: ['sad'] },
      { name: 'a', subtitle: 'again' },
      { name: 'd', vidoe: 'd.mp4', subtitle: '' },
      { name: 'e', video: 'e.mp4', valence: 'much', labels: 3 },
    ]);
    const error = await readManifest(file).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'MANIFEST_INVALID', exitCode: 2 });
    const { message } = error as Error;
    expect(message).toContain(file);
    for (const part of [
      'row 2: has no name',
      'row 3: has none of video, audio, face and subtitle',
      'row 4: the name "a" is already that of row 1',
      'row 5: unknown key "vidoe"',
      'row 6: labels',
      'row 6: valence has to be a number',
    ]) {
      expect(message).toContain(part);
    }
    await expect(readManifest(at('own.txt'))).rejects.toMatchObject({ code: 'MANIFEST_KIND' });
    await writeFile(at('nothing.jsonl'), '\n');
    await expect(readManifest(at('nothing.jsonl'))).rejects.toMatchObject({ code: 'MANIFEST_EMPTY' });
  });

  it('say which files are missing for the chosen inputs', async () => {
    await writeFile(at('there.wav'), 'x');
    const file = await jsonl('files.jsonl', [
      { name: 'a', audio: 'there.wav', video: 'gone.mp4' },
      { name: 'b', subtitle: 'only words' },
    ]);
    const records = await readManifest(file);
    expect((await findFileFaults(records, inputModes.textonly)).size).toBe(0);
    const sound = await findFileFaults(records, inputModes.audioonly);
    expect([...sound.keys()]).toEqual(['b']);
    expect(sound.get('b')![0]).toContain(`${file}, row 2: sample "b" gives no audio or video`);
    const faces = await findFileFaults(records, inputModes.multiface_audio_face_text);
    expect(faces.get('a')).toEqual([expect.stringContaining(at('gone.mp4'))]);
    const { sources } = featureSources(records[0]!, inputModes.face);
    expect(sources.map(({ kind, column }) => [kind, column])).toEqual([
      ['face', 'video'],
      ['audio', 'audio'],
    ]);
  });
});

describe('published data sets', () => {
  const root = () => at('dataset');

  it('that are not there say everything that is missing', async () => {
    const error = (await readDataset('mercaptionplus', root()).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'DATASET_MISSING' });
    for (const part of [
      'track2_train_mercaptionplus.csv',
      'track3_train_mercaptionplus.csv',
      'openface_face',
    ]) {
      expect(error.message).toContain(join(root(), 'mer2025-dataset', part));
    }
    await expect(readDataset('mercaption', root())).rejects.toMatchObject({ code: 'DATASET_UNKNOWN' });
  });

  it('give the records that a manifest would', async () => {
    const set = join(root(), 'mer2025-dataset');
    for (const name of ['video', 'audio', 'openface_face']) await mkdir(join(set, name), { recursive: true });
    const tables = {
      'track2_train_mercaptionplus.csv': 'name,openset\ns_1,"[sad, \'very tired\']"\ns_2,[]\n',
      'track3_train_mercaptionplus.csv': 'name,reason\ns_1,"In the text, …"\ns_3,Because.\n',
      'subtitle_chieng.csv': 'name,chinese,english\ns_1,好,Fine.\ns_3,,\n',
    };
    for (const [name, text] of Object.entries(tables)) await writeFile(join(set, name), text);
    expect(await readDataset('mercaptionplus', root())).toEqual([
      {
        name: 's_1',
        video: join(set, 'video', 's_1.mp4'),
        audio: join(set, 'audio', 's_1.wav'),
        face: join(set, 'openface_face', 's_1', 's_1.npy'),
        subtitle: 'Fine.',
        labels: ['sad', 'very tired'],
        description: 'In the text, …',
        origin: `${join(set, 'track2_train_mercaptionplus.csv')}, row 2`,
      },
      expect.objectContaining({ name: 's_2', subtitle: '', labels: ['neutral'] }),
      expect.objectContaining({ name: 's_3', subtitle: '', description: 'Because.' }),
    ]);
    await writeFile(
      join(set, 'track2_train_mercaptionplus.csv'),
      'name,openset\ns_1,[a]\ns_1,[b]\n../x,[c]\n',
    );
    await expect(readDataset('mercaptionplus', root())).rejects.toThrow(/row 3.*row 2.*row 4.*slash/s);
  });

  it('split labels at quotes and commas, and take one bracket off', () => {
    expect(parseOpensetLabels(`['a b', "c", d]`)).toEqual(['a b', 'c', 'd']);
    expect(parseOpensetLabels('[[a]]')).toEqual(['[a]']);
    expect(parseOpensetLabels('')).toEqual([]);
  });
});

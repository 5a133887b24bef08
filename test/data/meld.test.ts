import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDataset } from '../../src/data/datasets.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const header =
  'Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime';
const row = (utterance: string, emotion: string, sentiment: string, dialogue: string, at: string) =>
  `1,"${utterance}",Joey,${emotion},${sentiment},${dialogue},${at},4,7,"00:20:57,256","00:21:00,049"`;
const table = (...rows: string[]) => [header, ...rows, ''].join('\r\n');

const root = folderForFile();

async function write(place: string, files: Record<string, string>) {
  const folder = join(root, place);
  await mkdir(folder, { recursive: true });
  for (const [split, text] of Object.entries(files)) {
    await writeFile(join(folder, `${split}_sent_emo.csv`), text);
  }
  return folder;
}

describe('meld-text', () => {
  it('reads three splits in the order of the files, texts as they are', async () => {
    const folder = await write('repository/data/MELD', {
      train: table(
        row('No, ""I\u0092m"" {fine}.', 'joy', 'positive', '0', '0'),
        row(' x ', 'fear', 'negative', '0', '3'),
      ),
      dev: table(row('Oh.', 'neutral', 'neutral', '0', '0')),
      test: table(row('Hm’m', 'anger', 'negative', '11', '2')),
    });
    const records = await readDataset('meld-text', join(root, 'repository'));
    expect(records.map(({ name }) => name)).toEqual([
      'train_dia0_utt0',
      'train_dia0_utt3',
      'dev_dia0_utt0',
      'test_dia11_utt2',
    ]);
    expect(records[0]).toEqual({
      name: 'train_dia0_utt0',
      subtitle: 'No, "I\u0092m" {fine}.',
      labels: ['joy'],
      sentiment: 'positive',
      split: 'train',
      origin: `${join(folder, 'train_sent_emo.csv')}, row 2`,
    });
    expect(records[1]!.subtitle).toBe(' x ');
  });

  it('names every bad row, missing columns and missing files', async () => {
    const good = table(row('a', 'joy', 'positive', '0', '0'));
    const folder = await write('bad', {
      train: table(
        row('a', 'joy', 'positive', '0', '0'),
        row('b', 'hapy', 'positive', '0', '0'),
        row(' ', 'joy', 'good', 'x', '1'),
      ),
      dev: good,
      test: good,
    });
    const error = (await readDataset('meld-text', folder).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'DATASET_INVALID' });
    for (const part of [
      'train_sent_emo.csv, row 3: dialogue and utterance are those of row 2',
      'row 3: the Emotion "hapy" is none of neutral',
      'row 4: Dialogue_ID and Utterance_ID are not whole numbers',
      'row 4: the Utterance is empty',
      'row 4: the Sentiment "good"',
    ]) {
      expect(error.message).toContain(part);
    }
    await write('bad', { train: 'Utterance,Emotion\na,joy\n' });
    await expect(readDataset('meld-text', folder)).rejects.toMatchObject({
      code: 'CSV_BAD_HEADER',
      message: expect.stringMatching(/"Sentiment" is missing.*"Dialogue_ID" is missing/),
    });
    await expect(readDataset('meld-text', join(root, 'nowhere'))).rejects.toMatchObject({
      code: 'DATASET_MISSING',
      message: expect.stringContaining(join('nowhere', 'meld', 'train_sent_emo.csv')),
    });
  });
});

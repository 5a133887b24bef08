import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { InputError } from '../errors.ts';
import { readMeldTable } from './meld-table.ts';
import type { SampleRecord } from './records.ts';
import { listFaults } from './records.ts';

const splits = ['train', 'dev', 'test'] as const;
const fileOf = (split: string): string => `${split}_sent_emo.csv`;
/** Where the files may lie below `data.root`: there, or as the published repository has them. */
const places = ['.', 'meld', 'MELD', join('data', 'MELD')];

/** Utterances of each published split. */
export const meldCounts = { train: 9989, dev: 1109, test: 2610 } as const satisfies Record<
  (typeof splits)[number],
  number
>;

export const meldSource = 'https://github.com/declare-lab/MELD (data/MELD)';

async function meldFolder(root: string): Promise<string> {
  for (const place of places) {
    const status = await stat(join(root, place, fileOf('train'))).catch(() => undefined);
    if (status?.isFile()) return resolve(root, place);
  }
  throw new InputError(
    'DATASET_MISSING',
    `The data set "meld-text" is not there: ${places.map((place) => join(root, place, fileOf('train'))).join(', ')} do not exist. ` +
      `Get ${splits.map(fileOf).join(', ')} from ${meldSource} and set data.root to their folder.`,
  );
}

/**
 * Reads the utterances of MELD (Poria et al. 2019) with their emotion and sentiment, all three splits, in the order of
 * the files. Texts stay as they are, signs that an earlier conversion broke included.
 *
 * @param root folder of `train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv`
 * @returns names like `train_dia0_utt3`
 * @throws InputError `DATASET_MISSING`, `DATASET_INVALID` (all bad rows), and those of `readCsv`
 */
export async function readMeldText(root: string): Promise<SampleRecord[]> {
  const folder = await meldFolder(root);
  const faults: string[] = [];
  const records: SampleRecord[] = [];
  for (const split of splits) {
    const file = join(folder, fileOf(split));
    for (const { row, dialogue, utterance, text, emotion, sentiment, faults: found } of await readMeldTable(
      file,
    )) {
      faults.push(...found.map((fault) => `${fileOf(split)}, row ${row}: ${fault}`));
      records.push({
        name: `${split}_dia${dialogue}_utt${utterance}`,
        subtitle: text,
        labels: [emotion],
        sentiment,
        split,
        origin: `${file}, row ${row}`,
      });
    }
  }
  if (faults.length > 0) {
    throw new InputError('DATASET_INVALID', `The tables of "meld-text" have faults: ${listFaults(faults)}.`);
  }
  return records;
}

import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { locateMmla } from '../../../src/data/mmla/locate.ts';
import { readGold, readMmlaFile } from '../../../src/data/mmla/read-file.ts';
import { rebuildTrainSplit } from '../../../src/data/mmla/rebuild.ts';
import type { MmlaRecord } from '../../../src/data/mmla/records.ts';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import { emotydaFormat } from '../../../src/data/mmla/upstream/emotyda.ts';
import { meldFormat } from '../../../src/data/mmla/upstream/meld.ts';
import { isMissing, publishedFiles } from '../../support/published-files.ts';

const counts = (records: readonly MmlaRecord[]): Record<string, number> => {
  const found: Record<string, number> = {};
  for (const { label } of records) found[label] = (found[label] ?? 0) + 1;
  return found;
};

const { emotyda, meld, mmla } = publishedFiles;
const meldFile = (split: string) => path.join(meld, `${split}_sent_emo.csv`);
const splits = ['train', 'dev', 'test'] as const;

describe.skipIf(isMissing('MELD as published (AFFECTGPT_MELD)', ...splits.map(meldFile)))(
  'MELD as published',
  () => {
    const task = mmlaTask('MELD');

    it('has the rows, ids and labels that MMLA has', async () => {
      const all: MmlaRecord[] = [];
      for (const split of splits) {
        const { records, faults } = await meldFormat.read({ file: meldFile(split), task });
        expect(faults).toEqual([]);
        expect(records).toHaveLength(task.counts[split]);
        all.push(...records);
      }
      expect(new Set(all.map(({ id }) => id)).size).toBe(9989 + 1109 + 2610);
      const of = (split: string) => all.filter((record) => record.split === split);
      const dialogues = (split: string) => of(split).map(({ id }) => Number(id.split('_')[1]));
      expect(Math.max(...dialogues('train'))).toBe(1038);
      expect(Math.min(...dialogues('dev'))).toBe(1039);
      expect(Math.max(...dialogues('dev'))).toBe(1152);
      expect(of('test')[0]!.id).toBe('MELD_1153_0');
      expect(counts(of('test'))).toEqual({
        neutral: 1256,
        joy: 402,
        anger: 345,
        surprise: 281,
        sadness: 208,
        disgust: 68,
        fear: 50,
      });
    });

    it('is recognised by its content', async () => {
      expect((await readMmlaFile({ file: meldFile('dev'), task })).format).toBe(meldFormat.name);
    });
  },
);

const sessions = [1, 2, 3, 4, 5].map((n) => `iemocap_session${n}.csv`);

describe.each([
  ['MELD-DA', ['MELD.csv'], 9989, 6992],
  ['IEMOCAP-DA', sessions, 9418, 6592],
] as const)('EMOTyDA for %s', (key, names, all, train) => {
  const task = mmlaTask(key);
  const files = names.map((name) => path.join(emotyda, name));
  const heldOut = ['dev', 'test'].map((split) => path.join(mmla, key, `${split}.jsonl`));
  const noTables = isMissing(`EMOTyDA for ${key} (AFFECTGPT_EMOTYDA)`, ...files);
  const readTables = async () => {
    const records: MmlaRecord[] = [];
    for (const file of files) records.push(...(await emotydaFormat.read({ file, task })).records);
    return records;
  };

  it.skipIf(noTables)('has the published number of utterances', async () => {
    const records = await readTables();
    expect(records).toHaveLength(all);
    // No sign is left of the conversion that broke them.
    expect(records.filter(({ text }) => /[¬√\u0080-\u009f]/.test(text)).map(({ text }) => text)).toEqual([]);
  });

  it.skipIf(noTables || isMissing(`the train split of ${key} (AFFECTGPT_MMLA)`, ...heldOut))(
    'gives the published train split',
    async () => {
      const { dev, test } = await locateMmla(mmla, task);
      const rebuilt = rebuildTrainSplit(task, {
        upstream: await readTables(),
        dev: await readGold(dev!, task, 'dev'),
        test: await readGold(test!, task, 'test'),
      });
      expect(rebuilt.deviations).toEqual([]);
      expect(rebuilt.records).toHaveLength(train);
    },
  );
});

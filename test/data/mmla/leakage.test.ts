import { describe, expect, it } from 'vitest';
import { excludeSharedClips, leakageReport } from '../../../src/data/mmla/leakage.ts';
import { readMmlaTask } from '../../../src/data/mmla/locate.ts';
import type { MmlaRecord } from '../../../src/data/mmla/records.ts';
import { type MmlaSplit, mmlaTask } from '../../../src/data/mmla/tasks.ts';
import { isMissing, publishedFiles } from '../../support/published-files.ts';

function samples(
  key: string,
  split: MmlaSplit,
  ...said: readonly (readonly [string, string])[]
): MmlaRecord[] {
  const task = mmlaTask(key);
  return said.map(([number, text], i) => ({
    ...{ id: `${key}_${number}`, text, task: task.key, label: task.labels[0]!, split },
    ...{ clip: `${task.clips}_${number}`, origin: `rows, row ${i + 1}` },
  }));
}

const meldTrain = samples('MELD', 'train', ['0_0', 'Yeah'], ['0_1', 'No!'], ['0_2', 'Go on']);
const meldTest = samples('MELD', 'test', ['9_0', 'yeah'], ['9_1', 'No'], ['9_2', 'GO ON.'], ['9_3', 'Oh']);
const actsTrain = samples('MELD-DA', 'train', ['1_0', 'Hi']);
const actsDev = samples('MELD-DA', 'dev', ['0_2', 'Go on'], ['1_1', 'Hi']);
const actsTest = samples('MELD-DA', 'test', ['0_0', 'Yeah'], ['0_1', 'No!'], ['2_0', 'Hi']);
const all = [...meldTrain, ...meldTest, ...actsTrain, ...actsDev, ...actsTest];

const { mmla } = publishedFiles;

describe.skipIf(isMissing('what published splits of MMLA share (AFFECTGPT_MMLA)', mmla))(
  'of the published files',
  () => {
    it.each([
      ['MIntRec', 4.3],
      ['MUStARD', 4.3],
      ['Ch-sims', 0.4],
    ])('%s: %s percent of the test texts are in train or dev, and no clip', async (key, expected) => {
      const { records } = await readMmlaTask(mmla, mmlaTask(key));
      const { clips, texts } = leakageReport(records);
      expect(clips).toEqual([]);
      const test = texts.find(({ heldOut }) => heldOut.split === 'test')!;
      expect(test.against).toEqual(['train', 'dev']);
      expect(Math.round(1000 * test.fraction) / 10).toBe(expected);
    });
  },
);

describe('leakageReport', () => {
  it('tells clips that held-out splits share, within tasks and across', () => {
    expect(leakageReport(all).clips).toEqual([
      {
        heldOut: { task: 'MELD-DA', split: 'dev' },
        training: { task: 'MELD', split: 'train' },
        ...{ shared: 1, samples: 2, fraction: 1 / 2 },
      },
      {
        heldOut: { task: 'MELD-DA', split: 'test' },
        training: { task: 'MELD', split: 'train' },
        ...{ shared: 2, samples: 3, fraction: 2 / 3 },
      },
    ]);
    const repeated = [...meldTrain, ...samples('MELD', 'dev', ['0_0', 'x'])];
    expect(leakageReport(repeated).clips).toMatchObject([
      { heldOut: { task: 'MELD', split: 'dev' }, training: { task: 'MELD', split: 'train' }, shared: 1 },
    ]);
  });

  it('tells texts that earlier splits of the task have, in lower case, other marks than a final full stop and all', () => {
    expect(leakageReport(all).texts).toEqual([
      {
        ...{ heldOut: { task: 'MELD', split: 'test' }, against: ['train'] },
        ...{ shared: 2, samples: 4, fraction: 1 / 2 },
      },
      {
        ...{ heldOut: { task: 'MELD-DA', split: 'dev' }, against: ['train'] },
        ...{ shared: 1, samples: 2, fraction: 1 / 2 },
      },
      {
        ...{ heldOut: { task: 'MELD-DA', split: 'test' }, against: ['train', 'dev'] },
        ...{ shared: 1, samples: 3, fraction: 1 / 3 },
      },
    ]);
  });

  it('says nothing of records without a split', () => {
    const unknown = all.map(({ split: _, ...record }) => record);
    expect(leakageReport(unknown)).toEqual({ clips: [], texts: [] });
  });
});

describe('excludeSharedClips', () => {
  it('takes held-out clips from what is trained on, whichever task asks about them', () => {
    const { kept, excluded } = excludeSharedClips([...meldTrain, ...actsTrain], [...actsTest, ...meldTest]);
    expect(kept.map(({ id }) => id)).toEqual(['MELD_0_2', 'MELD-DA_1_0']);
    expect(excluded.map(({ id }) => id)).toEqual(['MELD_0_0', 'MELD_0_1']);
  });

  it('keeps the same number of another set', () => {
    const other = samples('UR-FUNNY', 'train', ['0_0', 'x']);
    expect(excludeSharedClips(other, actsTest)).toEqual({ kept: other, excluded: [] });
  });
});

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mmlaPublishedTables } from '../../../scripts/make-mmla-published.ts';
import { paperTasks } from '../../../src/data/mmla/tasks.ts';
import { microAverage } from '../../../src/eval/mmla/leaderboard/averages.ts';
import { floorRows, testLabelCounts } from '../../../src/eval/mmla/leaderboard/baselines.ts';
import { boardEntries, leaderboardSamples } from '../../../src/eval/mmla/leaderboard/board.ts';
import { textFloors } from '../../../src/eval/mmla/leaderboard/published/floors.ts';
import { itBoard, itFigure5, itTable8 } from '../../../src/eval/mmla/leaderboard/published/it.ts';
import { seedsIt, seedsSft } from '../../../src/eval/mmla/leaderboard/published/seeds.ts';
import { sftBoard, sftFigure4 } from '../../../src/eval/mmla/leaderboard/published/sft.ts';
import {
  zeroShotBoard,
  zeroShotMisread,
  zeroShotTable6,
} from '../../../src/eval/mmla/leaderboard/published/zero-shot.ts';
import { publishedRows, referenceLines } from '../../../src/eval/mmla/leaderboard/published.ts';
import { isMissing, publishedFiles } from '../../support/published-files.ts';

const rowOf = (model: string, method: string, vintage: string) => {
  const row = publishedRows.find(
    (one) => one.model === model && one.method === method && one.vintage === vintage,
  );
  if (row === undefined) throw new Error(`no row ${model} ${method} ${vintage}`);
  return row;
};
const micro = (model: string, method: string, vintage: string) =>
  microAverage(rowOf(model, method, vintage).cells, 'ACC')!;
const difference = (model: string, method: string, vintage: string) =>
  boardEntries([rowOf(model, method, vintage)], 'ACC')[0]!.disagreement;

describe('the published leaderboards', () => {
  it('count 15,713 answers', () => {
    expect(leaderboardSamples).toBe(15_713);
  });

  it.each([
    ['VideoLLaMA2-7B', '42.82'],
    ['LLaVA-Video-7B', '43.32'],
    ['LLaVA-OV-7B', '40.65'],
    ['MiniCPM-V-2.6-8B', '37.03'],
    ['LLaVA-Video-72B', '51.64'],
    ['GPT-4o', '52.60'],
  ])('come out of Table 6, to two decimals: %s %s', (model, score) => {
    const average = micro(model, 'zero-shot', 'revised');
    expect(average.value.toFixed(2)).toBe(score);
    expect(average).toMatchObject({ tasks: 12, of: 12, isDoubtful: false });
    expect(rowOf(model, 'zero-shot', 'revised').published!.toFixed(2)).toBe(score);
  });

  it('come out of the bars of Figures 4 and 5, for all 18 rows, to 0.03', () => {
    const rows = publishedRows.filter(({ vintage }) => vintage === 'first');
    expect(rows).toHaveLength(18);
    for (const row of rows) {
      expect(Math.abs(row.published! - microAverage(row.cells, 'ACC')!.value)).toBeLessThanOrEqual(0.03);
    }
    expect(boardEntries(rows, 'ACC').every(({ disagreement }) => disagreement === undefined)).toBe(true);
  });

  it('disagree with Table 8 in four rows and with Table 6 in LLaVA-OV-72B, and both are given', () => {
    const four = { 'Llama-3-8B': 65.98, 'Qwen2-VL-7B': 66.09, 'InternLM2.5-7B': 63.94, 'Qwen2-7B': 64.46 };
    for (const [model, score] of Object.entries(four)) {
      expect(micro(model, 'it', 'revised').value.toFixed(2)).toBe(String(score));
      expect(rowOf(model, 'it', 'revised').published).toBe(itBoard[model]);
      expect(difference(model, 'it', 'revised')).toBeCloseTo(itBoard[model]! - score, 2);
      expect(rowOf(model, 'it', 'first').published).toBe(itBoard[model]);
    }
    expect(micro('LLaVA-OV-72B', 'zero-shot', 'revised').value.toFixed(2)).toBe('51.71');
    expect(difference('LLaVA-OV-72B', 'zero-shot', 'revised')).toBeCloseTo(52.44 - 51.71, 2);
    expect(difference('GPT-4o', 'zero-shot', 'revised')).toBeUndefined();
  });

  it('give the means over three seeds as Table 5 does', () => {
    expect(micro('Qwen2-VL-7B', 'sft', 'seeds').value.toFixed(2)).toBe('67.69');
    expect(micro('Qwen2-VL-7B', 'it', 'seeds').value.toFixed(2)).toBe('65.50');
    const { MOSI } = rowOf('Qwen2-VL-7B', 'it', 'seeds').cells;
    expect(MOSI).toMatchObject({ metrics: { F1: 77.11 }, deviations: { F1: 10.65, ACC: 2.77 } });
    expect(rowOf('Qwen2-VL-7B', 'sft', 'seeds').published).toBeUndefined();
  });

  it('have the rows of Table 7 that can be read, with their score', () => {
    const { cells, published } = rowOf('Qwen2-0.5B', 'sft', 'revised');
    expect(published).toBe(62.8);
    expect(cells['MIntRec2.0']?.metrics.ACC).toBe(55.83);
    expect(cells['AnnoMi-client']?.metrics.ACC).toBe(62.98);
    expect(cells.MELD).toBeUndefined();
    expect(micro('Qwen2-1.5B', 'sft', 'revised')).toMatchObject({ tasks: 10, of: 12 });
  });

  it('keep misread numbers as they were read, with their mark, in averages too', () => {
    const misread = rowOf('InternLM2.5-7B', 'zero-shot', 'revised');
    expect(misread.cells['UR-FUNNY']).toMatchObject({
      ...{ metrics: { F1: 88.13 }, doubts: { F1: 'misread, likely 58.13' } },
    });
    expect(microAverage(misread.cells, 'F1')!.isDoubtful).toBe(true);
    expect(microAverage(misread.cells, 'WF1')!.isDoubtful).toBe(false);
    const lost = rowOf('GPT-4o', 'zero-shot', 'revised').cells['UR-FUNNY']!;
    expect(lost.metrics).toEqual({ ACC: 73.11, WF1: 73.11, WP: 73.12 });
    expect(Object.keys(lost.doubts!)).toEqual(['F1', 'R', 'P']);
    // The cell that holds the number that cannot be.
    expect(rowOf('LLaVA-Video-72B', 'zero-shot', 'revised').cells.IEMOCAP).toMatchObject({
      ...{ metrics: { P: 44.119 }, doubts: { P: 'misread' } },
    });
  });

  it('name the table or figure and the vintage of every row', () => {
    expect(publishedRows).toHaveLength(17 + 11 + 2 + 1 + 7 + 7 + 1);
    for (const { source, vintage, modality, parameters, model } of publishedRows) {
      expect(source).toMatch(vintage === 'first' ? /Figure [45]/ : /Table [5-8]/);
      expect(modality).toMatch(/^(text|video)$/);
      expect(parameters === null).toBe(model === 'GPT-4o');
    }
    expect(referenceLines).toHaveLength(12);
  });
});

describe('floors', () => {
  it('the most frequent test label of each task comes to 34.28', () => {
    const [majority] = floorRows;
    expect(microAverage(majority!.cells, 'ACC')!.value.toFixed(2)).toBe('34.28');
    const printed = { ACC: 48.12, F1: 9.28, P: 6.87, R: 14.29, WF1: 31.27, WP: 23.16 };
    for (const [metric, value] of Object.entries(printed)) {
      expect(majority!.cells.MELD!.metrics[metric as 'ACC']).toBeCloseTo(value, 2);
    }
  });

  it('label counts are of the labels and sizes of the registry', () => {
    for (const { key, labels, counts } of paperTasks) {
      expect(Object.keys(testLabelCounts[key]).sort()).toEqual([...labels].sort());
      expect(Object.values(testLabelCounts[key]).reduce((a, b) => a + b)).toBe(counts.test);
    }
  });

  it('TF-IDF is over ten tasks, so it has no score', () => {
    const [, tfidf] = floorRows;
    expect(microAverage(tfidf!.cells, 'ACC')).toMatchObject({ tasks: 10, of: 12 });
    expect(tfidf!.cells.MIntRec!.metrics).toEqual({ ACC: 57.08, WF1: 55.28, F1: 50.93 });
    expect(boardEntries([tfidf!], 'ACC')[0]).toMatchObject({ score: undefined, place: undefined });
  });
});

const file = publishedFiles.mmlaNumbers;

describe.skipIf(isMissing('the source of the committed tables (AFFECTGPT_MMLA_NUMBERS)', file))(
  'the committed tables',
  () => {
    it('are what the script makes of the file', () => {
      expect(mmlaPublishedTables(JSON.parse(readFileSync(file, 'utf8')))).toEqual({
        'zero-shot': { zeroShotTable6, zeroShotMisread, zeroShotBoard },
        sft: { sftFigure4, sftBoard },
        it: { itFigure5, itTable8, itBoard },
        seeds: { seedsSft, seedsIt },
        floors: { textFloors },
      });
    });
  },
);

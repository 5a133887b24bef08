import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openGrouping } from '../../src/eval/mer-unibench/grouping.ts';
import { WHEELS } from '../../src/eval/mer-unibench/tables.ts';
import { isMissing, publishedFiles } from '../support/published-files.ts';
import { succeed } from './workspace.ts';

const { merUnibench: data, merUnibenchNumbers: numbersFile } = publishedFiles;
const missing = isMissing('the published numbers of MER-UniBench', data, numbersFile);

interface Numbers {
  readonly mapping: {
    readonly wheel_labels: number;
    readonly format_words: number;
    readonly level2_words: number;
  };
  readonly word_map_level1_wheels1to5: Record<string, string[]>;
  readonly affectgpt_released_predictions_per_epoch: Record<
    'mer2023' | 'cmumosi',
    { epoch: number; main: number; second: number }[]
  >;
  readonly affectgpt_hit_rate_per_wheel_best_epoch: {
    mer2023: {
      epoch: number;
      N_total: number;
      wheels: {
        wheel: number;
        N_scored: number;
        hit: number;
        mscore: number;
        preds_mapped_to_empty: number;
      }[];
    };
  };
  readonly ovmerd332_released_mllm_outputs_vs_MERTools_check_openset: Record<
    string,
    { F: number; P: number; R: number; f12: number[] }
  >;
  readonly sentiment_scored_N: Record<string, number>;
  readonly paper_table12_affectgpt: { mer2023: number; cmumosi: [number, number] };
}

interface Printed {
  readonly best: string;
  readonly checkpoints: {
    name: string;
    score: number;
    n: number;
    nScored: number;
    metrics: Record<string, number> & { twelve?: number[] };
    perWheel: Record<string, number>[];
  }[];
}

const tolerance = 1e-9;
function expectClose(actual: number | undefined, expected: number): void {
  expect(Math.abs(actual! - expected)).toBeLessThan(tolerance);
}

const epochOf = (name: string): number => Number(/^checkpoint_(\d+)_loss_/.exec(name)![1]);

describe.skipIf(missing)('the published numbers, through the command', () => {
  const numbers: Numbers = missing ? undefined! : JSON.parse(readFileSync(numbersFile, 'utf8'));

  async function score(
    key: string,
    predictions: string,
    labels: string,
    ...more: string[]
  ): Promise<Printed> {
    const { out } = await succeed(
      ...['eval', 'mer-unibench', '--dataset', key, '--protocol', 'paper', '--json'],
      ...['--predictions', join(data, predictions), '--labels', join(data, labels), ...more],
    );
    return JSON.parse(out) as Printed;
  }

  it('MER2023, all epochs', async () => {
    const { best, checkpoints } = await score(
      'mer2023',
      'predictions/mer2023',
      'labels/mer2023-label-6way.npz',
    );
    const expected = numbers.affectgpt_released_predictions_per_epoch.mer2023;
    expect(checkpoints.map(({ name }) => epochOf(name))).toEqual(expected.map(({ epoch }) => epoch));
    expected.forEach(({ main, second }, i) => {
      expectClose(checkpoints[i]!.score, main);
      expectClose(checkpoints[i]!.metrics.hit, main);
      expectClose(checkpoints[i]!.metrics.mscore, second);
    });
    const { epoch, N_total: n, wheels } = numbers.affectgpt_hit_rate_per_wheel_best_epoch.mer2023;
    expect(epochOf(best)).toBe(epoch);
    const chosen = checkpoints.find(({ name }) => name === best)!;
    expect(chosen.n).toBe(n);
    expect((100 * chosen.score).toFixed(2)).toBe(numbers.paper_table12_affectgpt.mer2023.toFixed(2));
    wheels.forEach(({ wheel, N_scored, hit }, i) => {
      expect(chosen.perWheel[i]).toMatchObject({ wheel, level: 1, nScored: N_scored });
      expectClose(chosen.perWheel[i]!.score, hit);
    });
  });

  it('MER2023, the rest of what is known of each wheel', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'affectgpt-published-'));
    afterAll(() => rm(folder, { recursive: true, force: true }));
    await score('mer2023', 'predictions/mer2023', 'labels', '--output', folder);
    const report = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'));
    const [set] = report.sets;
    const chosen = (set.checkpoints as { name: string; perWheel: Record<string, number>[] }[]).find(
      ({ name }) => name === set.best,
    )!;
    const { wheels } = numbers.affectgpt_hit_rate_per_wheel_best_epoch.mer2023;
    wheels.forEach(({ mscore, preds_mapped_to_empty: empty }, i) => {
      expectClose(chosen.perWheel[i]!.mscore, mscore);
      expect(chosen.perWheel[i]!.nEmptyPredictions).toBe(empty);
    });
  });

  it('CMU-MOSI, all epochs', async () => {
    const { best, checkpoints } = await score('cmumosi', 'predictions', 'labels');
    const expected = numbers.affectgpt_released_predictions_per_epoch.cmumosi;
    expect(checkpoints.map(({ name }) => epochOf(name))).toEqual(expected.map(({ epoch }) => epoch));
    expected.forEach(({ main, second }, i) => {
      expectClose(checkpoints[i]!.metrics.waf, main);
      expectClose(checkpoints[i]!.metrics.acc, second);
      expect(checkpoints[i]!.nScored).toBe(numbers.sentiment_scored_N.cmumosi);
    });
    expect(epochOf(best)).toBe(40);
    const chosen = checkpoints.find(({ name }) => name === best)!;
    expect(
      [chosen.metrics.waf, chosen.metrics.acc].map((value) => Number((100 * value!).toFixed(2))),
    ).toEqual(numbers.paper_table12_affectgpt.cmumosi);
  });

  it.each(['Chat-UniVi', 'SALMONN'])('OV-MERD, %s: F, P, R and all twelve values', async (model) => {
    const { checkpoints } = await score(
      ...(['ovmerd', `ovmerd/${model}`, 'ovmerd/check-openset.csv', '--all-levels'] as const),
    );
    expect(checkpoints).toHaveLength(3);
    for (const { name, score: main, metrics } of checkpoints) {
      const expected = numbers.ovmerd332_released_mllm_outputs_vs_MERTools_check_openset[`${model}/${name}`]!;
      expectClose(main, expected.F);
      expectClose(metrics.f, expected.F);
      expectClose(metrics.precision, expected.P);
      expectClose(metrics.recall, expected.R);
      expect(metrics.twelve).toHaveLength(12);
      expected.f12.forEach((value, i) => {
        expectClose(metrics.twelve![i], value);
      });
    }
  });

  it('the word map, exactly', () => {
    const grouping = openGrouping('published');
    const { wheelWords, forms, synonyms } = grouping;
    const { wheel_labels, format_words, level2_words } = numbers.mapping;
    expect([wheelWords.size, forms.size, synonyms.size]).toEqual([wheel_labels, format_words, level2_words]);
    const words = Object.keys(numbers.word_map_level1_wheels1to5);
    expect(words).toHaveLength(65);
    const mapped = words.map((word) => [word, WHEELS.map((wheel) => grouping.centre(word, wheel, 1) ?? '')]);
    expect(Object.fromEntries(mapped)).toEqual(numbers.word_map_level1_wheels1to5);
  });
});

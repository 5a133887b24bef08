import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { run, succeed } from '../support/command-output.ts';

const positive = z.number().positive();

/** What every benchmark prints, in this order; others may follow. */
const contract = z.looseObject({
  bench: z.literal('train-step'),
  size: z.literal('s'),
  engine: z.literal('onnxruntime'),
  threads: z.literal(1),
  dtype: z.literal('float32'),
  median_ms: positive,
  min_ms: positive,
  tokens_per_s: positive,
  peak_rss_mb: z.int().min(50),
  machine: z.string().min(3),
  commit: z.string().min(1),
});

describe('affectgpt bench', () => {
  it('prints one line of JSON with the keys that every benchmark has, first, and a profile where asked for', async () => {
    const argv = [
      'bench',
      'train-step',
      '--size',
      's',
      '--runs',
      '2',
      '--threads',
      '1',
      '--json',
      '--profile',
    ];
    const { out } = await succeed(...argv);
    expect(out).toMatch(/^\{.*\}\n$/);
    const result = contract.parse(JSON.parse(out));
    expect(Object.keys(result).slice(0, 11)).toEqual(Object.keys(contract.shape));
    expect(result.min_ms).toBeLessThanOrEqual(result.median_ms);
    expect(result.tokens_per_s).toBeCloseTo((384 * 1000) / result.median_ms, 1);
    const rates = z
      .looseObject({ gflops_per_s: positive, roof_gflops_per_s: positive, roof_share: positive })
      .parse(result);
    expect(rates.gflops_per_s).toBeCloseTo(2_742_878_208 / result.median_ms / 1e6, 0);
    expect(rates.roof_share).toBeCloseTo(rates.gflops_per_s / rates.roof_gflops_per_s, 2);
    const line = z.looseObject({ op: z.string(), ms: z.number(), share: z.number() });
    const { profile } = z.looseObject({ profile: z.record(z.string(), z.array(line)) }).parse(result);
    const rows = profile['bench-s.step']!;
    expect(rows.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 1);
    expect(rows.some((row) => typeof row.gflops_per_s === 'number')).toBe(true);
  }, 120_000);

  it.each([
    [['bench'], 'Say what to measure: train-step, encode, generate'],
    [['bench', 'train-step', '--size', 'xl'], 'Choices: "s", "m", "l"'],
    [['bench', 'train-step', '--runs', '0'], '--runs is a whole number of 1 or more'],
    [['bench', 'train-step', '--threads', '1.5'], '--threads is a whole number of 1 or more'],
    [['bench', 'train-step', '--encoder', 'clip'], 'encoder'],
    [['bench', 'encode', '--profile', '--engine', 'wasm'], '--profile needs the engine onnxruntime'],
  ])('%j is a wrong command line', async (argv, message) => {
    const { exitCode, err } = await run(...argv);
    expect(exitCode).toBe(2);
    expect(err).toContain('error[USAGE]');
    expect(err).toContain(message);
  });
});

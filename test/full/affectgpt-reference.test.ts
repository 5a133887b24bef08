import { describe, expect, it } from 'vitest';
import { createEngine, type EngineName } from '../../src/engine/engines.ts';
import { affectGptHandler } from '../parity/affectgpt.ts';
import type { Comparison, Golden } from '../parity/handler.ts';
import { fixturePath, readJson } from '../support/fixture.ts';

const folder = fixturePath('affectgpt_reference');

/** Compares all variants, or some of them, and what else the folder holds. */
async function compare(type: EngineName, variants?: readonly string[]): Promise<Comparison[]> {
  const golden = (await readJson(`${folder}/golden.json`)) as Golden & { variants: Record<string, unknown> };
  const chosen = Object.entries(golden.variants).filter(([name]) => variants?.includes(name) ?? true);
  const engine = await createEngine({ type });
  const part = { ...golden, variants: Object.fromEntries(chosen) };
  return affectGptHandler({ folder, golden: part, tensors: {} }, engine);
}

const missesOf = (comparisons: readonly Comparison[]): Comparison[] =>
  comparisons.filter((comparison) => !comparison.ok);

// On onnxruntime, test/parity compares the same in every run of the tests.
describe('results of the published code', () => {
  it('are those of the engine cpu', async () => {
    const names = ['attention-attention', 'qformer-qformer', 'none-mean', 'image-patches-token'];
    const comparisons = await compare('cpu', names);
    expect(comparisons.length).toBeGreaterThan(1000);
    // The files of the variants that were left out belong to nothing.
    const others = (misses: Comparison[]) =>
      misses.filter(({ tensor }) => !/^variant-[a-z-]+\.safetensors$/.test(tensor));
    expect(others(missesOf(comparisons))).toEqual([]);
  });

  it('are those of the engine wasm, gradients within three times their tolerance', async () => {
    const comparisons = await compare('wasm');
    expect(comparisons.length).toBeGreaterThan(2000);
    // wasm adds up one number after the other: its products over a vocabulary of 151,680 are less exact.
    const misses = missesOf(comparisons);
    expect(misses.length).toBeLessThanOrEqual(60);
    const far = misses.filter(
      ({ tensor, maxAbsError, tolerance }) => !tensor.includes(' grad/') || !(maxAbsError <= 3 * tolerance),
    );
    expect(far).toEqual([]);
  });
});

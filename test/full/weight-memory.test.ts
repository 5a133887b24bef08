import path from 'node:path';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();

/** Megabytes by which the peak rises, and those of the weights in float32. */
async function measure(leanBytes: number): Promise<{ raised: number; weights: number }> {
  const script = path.resolve('test/support/weight-memory.ts');
  const { stdout } = await execa('node', ['--import', 'tsx', script, folder, String(leanBytes)], {
    env: { AFFECTGPT_WEIGHTS_CACHE: path.join(folder, 'cache') },
  });
  return JSON.parse(stdout) as { raised: number; weights: number };
}

describe('frozen weights that are used forwards and backwards', () => {
  it('are held once where memory goes before time, and more often where it does not', async () => {
    const first = await measure(0); // Makes the widened file.
    const lean = await measure(0);
    const fast = await measure(Number.POSITIVE_INFINITY);
    expect(lean.raised).toBeLessThan(1.25 * lean.weights);
    expect(first.raised).toBeLessThan(1.6 * first.weights);
    expect(fast.raised).toBeGreaterThan(1.25 * fast.weights);
  });
});

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { QuickstartResult } from '../../src/quickstart/report.ts';
import { runQuickstart } from '../../src/quickstart/run.ts';
import { quickstartScale } from '../../src/quickstart/stages.ts';

const silent = { write: () => true };
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('the quickstart over three seeds', () => {
  it('combines face and voice: better than each alone, at chance when they are shuffled', async () => {
    const results: QuickstartResult[] = [];
    for (const seed of [1, 2, 3]) {
      const folder = await mkdtemp(join(tmpdir(), 'quickstart-'));
      await rm(folder, { recursive: true });
      results.push(await runQuickstart({ folder, seed, scale: quickstartScale, stream: silent }));
      const page = await readFile(join(folder, 'quickstart.html'), 'utf8');
      expect(page.match(/<figure/g)).toHaveLength(12);
      await rm(folder, { recursive: true });
    }
    const accuracy = (of: (result: QuickstartResult) => number) => mean(results.map(of));
    const all = accuracy(({ evaluated }) => evaluated.all.accuracy);
    const table = results.map(({ seed, evaluated, shuffled, seconds, peakMemoryMb }) => {
      const shares = Object.fromEntries(Object.entries(evaluated).map(([name, e]) => [name, e.accuracy]));
      return { seed, ...shares, shuffled: shuffled.accuracy, seconds: Math.round(seconds), peakMemoryMb };
    });
    console.table(table);
    expect(results).toHaveLength(3);
    expect(all).toBeGreaterThanOrEqual(0.85);
    for (const name of ['audio', 'face', 'text'] as const) {
      expect(all - accuracy(({ evaluated }) => evaluated[name].accuracy), name).toBeGreaterThanOrEqual(0.15);
    }
    // 1 in 6, and the margin that 360 clips leave to chance.
    expect(accuracy(({ shuffled }) => shuffled.accuracy)).toBeLessThan(1 / 6 + 0.06);
    for (const { peakMemoryMb } of results) expect(peakMemoryMb).toBeLessThan(4096);
  });
});

import { describe, expect, it } from 'vitest';
import { makeWorkspace } from '../e2e/workspace.ts';
import { type Growth, growth, type LeakRun, leaksIn, measureLeaks, type Quantity } from '../support/leaks.ts';

const { config } = await makeWorkspace();

/**
 * What may grow per step in so short a run: objects and open files not at all, memory by what the compiler of V8 and the
 * arenas still take after twelve steps. Measured without a leak: heap up to 4 kB, buffers up to 1 kB, native up to 60 kB;
 * test/full/leaks.test.ts has narrower bounds.
 */
const bounds: Growth = {
  ...{ tensors: 0, engineTensors: 0, engineSessions: 0, files: 0.1 },
  ...{ heap: 24e3, buffers: 16e3, native: 160e3 },
};
const held = async (run: Pick<LeakRun, 'work' | 'steps'> & Partial<LeakRun>) =>
  growth(await measureLeaks({ config, engine: 'onnxruntime', accumulation: 1, every: 3, ...run }), 12, 1);

describe('what a process holds', () => {
  it('stays the same from training step to training step, and from answer to answer', async () => {
    const [trained, answered] = await Promise.all([
      held({ work: 'train', accumulation: 2, steps: 36 }),
      held({ work: 'generate', steps: 36 }),
    ]);
    expect(leaksIn(trained, bounds)).toEqual([]);
    expect(leaksIn(answered, bounds)).toEqual([]);
  }, 600_000);

  it('would be seen to grow', async () => {
    const grown = await held({ work: 'train', steps: 24, leaky: true });
    const found = leaksIn(grown, bounds).map((leak) => leak.split(':')[0]);
    expect(found).toEqual(Object.keys(bounds).toSorted(inOrder));
  }, 600_000);
});

const order: readonly Quantity[] = [
  ...(['tensors', 'engineTensors', 'engineSessions', 'heap', 'buffers', 'native', 'files'] as const),
];
const inOrder = (a: string, b: string): number => order.indexOf(a as Quantity) - order.indexOf(b as Quantity);

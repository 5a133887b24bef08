import { describe, expect, it } from 'vitest';
import { formatSpikes, SpikeWatch, spikeThreshold } from '../../train/spikes.ts';

describe('spikes', () => {
  it('are what is above the median plus 8 median deviations of the last 100 steps', () => {
    const values = Array.from({ length: 21 }, (_, i) => i + 1);
    // Median 11; deviations 0, 1, 1, ... 10, 10, of which the middle one is 5.
    expect(spikeThreshold(values)).toBe(11 + 8 * 5);
    expect(spikeThreshold([...Array(50).fill(1000), ...Array(100).fill(2)])).toBeCloseTo(2 + 8 * 0.02);
    expect(spikeThreshold(values.slice(2))).toBeUndefined();
  });

  it('are counted by step and hardly move the threshold', () => {
    const watch = new SpikeWatch();
    const usual = (i: number) => ({ loss: 2 + 0.1 * (i % 3), gradNorm: 1 + 0.1 * (i % 5) });
    for (let i = 0; i < 40; i++) expect(watch.observe(usual(i))).toEqual([]);
    const first = watch.observe({ loss: 50, gradNorm: 1 });
    expect(first).toMatchObject([{ what: 'loss', value: 50 }]);
    expect(watch.observe({ loss: 50, gradNorm: 90 }).map(({ what }) => what)).toEqual(['loss', 'gradNorm']);
    expect(watch.observe(usual(1))).toEqual([]);
    expect(watch.steps).toBe(2);
    expect(formatSpikes(first, 41)).toMatch(/^Spike in step 41: loss 50\.00 is above \d/);
  });
});

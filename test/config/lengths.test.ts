import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { mergeLayers } from '../../src/config/merge.ts';
import { configuredSchedule, learningRateAt } from '../../train/schedule.ts';

const config = (train: object) => parseConfig({ data: { manifest: 'a' }, train, output: 'x' });
const cosine = (more: object) => ({ schedule: { type: 'warmup-cosine', ...more } });

describe('steps and epochs', () => {
  it('replace one another when inherited', () => {
    const inEpochs = mergeLayers({ train: { steps: 10, seed: 1 } }, { train: { epochs: 3 } });
    expect(inEpochs).toEqual({ train: { epochs: 3, seed: 1 } });
    expect(mergeLayers(inEpochs, { train: { steps: 7 } })).toEqual({ train: { steps: 7, seed: 1 } });
  });

  it('have to make sense together with what counts steps, as far as their number is known', () => {
    expect(() => config({ steps: 10, validation: { every: 20 } })).toThrow(/train\.validation\.every: 20/);
    expect(config({ epochs: 3, steps: 10, validation: { every: 20 } }).train.epochs).toBe(3);
    expect(() => config({ epochs: 0 })).toThrow(/train\.epochs/);
  });
});

describe('a share of warm-up', () => {
  it('is that of all steps, rounded up', () => {
    const { train } = config({ steps: 21, ...cosine({ warmupRatio: 0.1 }) });
    const schedule = configuredSchedule(train);
    expect(schedule).toEqual({
      ...{ type: 'warmup-cosine', lr: 1e-5, warmupSteps: 3, warmupLr: 0, minLr: 0, steps: 21 },
    });
    expect([1, 4].map((step) => learningRateAt(step, schedule))).toEqual([0, 1e-5]);
    expect(configuredSchedule(config({ steps: 21, ...cosine({ warmupSteps: 5 }) }).train)).toMatchObject({
      warmupSteps: 5,
    });
  });

  it('and a number of steps exclude one another', () => {
    expect(() => config(cosine({ warmupRatio: 0.1, warmupSteps: 5 }))).toThrow(
      /train\.schedule\.warmupRatio: 0\.1, and warmupSteps is 5/,
    );
    expect(() => config(cosine({ warmupRatio: 1 }))).toThrow(/warmupRatio/);
    const base = { train: cosine({ warmupSteps: 5 }) };
    expect(mergeLayers(base, { train: cosine({ warmupRatio: 0.2 }) })).toEqual({
      train: cosine({ warmupRatio: 0.2 }),
    });
  });
});

import { describe, expect, it } from 'vitest';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { splitRecords } from '../../src/data/read-records.ts';
import type { SampleRecord } from '../../src/data/records.ts';
import { planValidation } from '../../train/validation/plan.ts';

type Settings = Partial<NonNullable<Config['train']['validation']>>;
const location = { manifest: '/clips/rows.jsonl' };
const records = Array.from(
  { length: 40 },
  (_, i): SampleRecord => ({
    ...{ name: `clip-${i}`, origin: `row ${i}`, subtitle: 'so', labels: ['sad'] },
    split: i < 10 ? 'train' : i < 30 ? 'dev' : 'test',
  }),
);

function plan(settings: Settings, of: readonly SampleRecord[] = records, labelType = 'ovlabel', seed = 42) {
  const config = configSchema.parse({
    data: { manifest: location.manifest, labelType },
    train: { seed, validation: { ...settings } },
    output: 'run',
  });
  return planValidation(config, splitRecords(of, config.data.trainSplit), location)!;
}
const names = (settings: Settings, ...more: [(readonly SampleRecord[])?, string?, number?]) =>
  plan(settings, ...more).records.map(({ name }) => name);

describe('the samples of validations', () => {
  it('are all held-out ones, or those of one split, in the order of the data', () => {
    expect(names({})).toEqual(records.slice(10).map(({ name }) => name));
    expect(names({ split: 'test' })).toEqual(records.slice(30).map(({ name }) => name));
  });

  it('depend on the seed and on their names, not on their order nor on how many are taken', () => {
    const eight = names({ samples: 8 });
    expect(eight).toHaveLength(8);
    expect(eight).not.toEqual(names({}).slice(0, 8));
    expect(names({ samples: 8 }, undefined, undefined, 43)).not.toEqual(eight);
    expect(names({ samples: 8 }, records.toReversed()).toReversed()).toEqual(eight);
    expect(names({ samples: 20 })).toEqual(expect.arrayContaining(eight));
    // A sample more takes the place of one, or of none.
    const more: SampleRecord = { ...records[20]!, name: 'one more' };
    const kept = names({ samples: 8 }, [...records, more]).filter((name) => eight.includes(name));
    expect(kept.length).toBeGreaterThanOrEqual(7);
  });

  it('are answered in part, more of them the more are asked for', () => {
    const { answered, records: taken } = plan({ samples: 12, answers: 3 });
    expect(answered).toHaveLength(3);
    expect(taken.map(({ name }) => name)).toEqual(expect.arrayContaining([...answered]));
    expect(plan({ samples: 12, answers: 30 }).answered).toHaveLength(12);
    expect(plan({ samples: 30, answers: 5 }).answered).toEqual(expect.arrayContaining([...answered]));
  });

  it('have a mark that changes with whatever changes the results', () => {
    const mark = (...of: Parameters<typeof plan>) => plan(...of).set;
    const first = mark({ samples: 12, answers: 3 });
    expect(mark({ samples: 12, answers: 3, patience: 2, metric: 'emotionF', every: 7 })).toBe(first);
    const relabelled = records.map((record) => ({ ...record, labels: ['happy'] }));
    const others = [
      mark({ samples: 11, answers: 3 }),
      mark({ samples: 12, answers: 4 }),
      mark({ samples: 12, answers: 3, maxNewTokens: 9 }),
      mark({ samples: 12, answers: 3 }, relabelled),
    ];
    expect(new Set([first, ...others]).size).toBe(5);
    // Nothing is generated.
    expect(mark({ maxNewTokens: 9 })).toBe(mark({}));
  });

  it('are refused where there are none', () => {
    const refused = (message: RegExp) =>
      expect.objectContaining({
        code: 'VALIDATION_SAMPLES_NONE',
        message: expect.stringMatching(message),
      });
    expect(() => plan({ split: 'train' })).toThrow(refused(/split "train".*held out are: dev, test/));
    expect(() => plan({}, records.slice(0, 10))).toThrow(refused(/nothing is held out/));
  });

  it('of tasks give the metrics of tasks, and need no answers for the share that is right token for token', () => {
    const own = records.map((record): SampleRecord => ({ ...record, question: '?', answer: 'x: sad' }));
    const ofTask = own.map((record) => ({ ...record, task: 'MELD' }));
    expect(plan({ answers: 4, metric: 'taskAccuracy' }, ofTask, 'own').answered).toHaveLength(4);
    expect(() => plan({ answers: 4, metric: 'taskAccuracy' }, own, 'own')).toThrow(
      /There are: loss, exactMatch, teacherForcedExactMatch\./,
    );
    expect(() => plan({ metric: 'taskInvalid' }, ofTask, 'own')).toThrow(/answers is 0/);
    expect(plan({ metric: 'teacherForcedExactMatch' }).answered).toEqual([]);
  });

  it.each([
    ['ovlabel', 'sentimentAccuracy', /answered do not give.*There are: loss, exactMatch, emotionF/],
    [
      'sentiment',
      'emotionF',
      /There are: loss, exactMatch, sentimentAccuracy, sentimentWeightedF1, teacherForcedExactMatch\./,
    ],
    ['description', 'emotionRecall', /There are: loss, exactMatch, teacherForcedExactMatch\./],
  ] as const)('with %s refuse the metric %s, and say which there are', (labelType, metric, message) => {
    const known = records.map(
      ({ labels, ...record }): SampleRecord => ({
        ...record,
        ...(labelType === 'description' ? {} : { labels: labels! }),
        description: 'why',
        sentiment: 'negative',
      }),
    );
    expect(() => plan({ answers: 4, metric }, known, labelType)).toThrow(
      expect.objectContaining({
        code: 'VALIDATION_METRIC_UNDEFINED',
        message: expect.stringMatching(message),
      }),
    );
  });
});

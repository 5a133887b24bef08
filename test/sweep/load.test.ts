import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadSweep, selectPoints } from '../../src/sweep/load.ts';
import { pointId } from '../../src/sweep/point-id.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();

await writeFile(
  join(folder, 'base.yaml'),
  'data: { manifest: clips.jsonl }\nlora: { rank: 16 }\ntrain: { seed: 7 }\noutput: run\n',
);

/** A sweep of the text, with base and output where it gives none. */
async function sweepOf(text: string, set: readonly string[] = []) {
  const given = /^output:/m.test(text) ? text : `${text}\noutput: out\n`;
  await writeFile(join(folder, 'sweep.yaml'), `base: base.yaml\n${given}`);
  return loadSweep({ config: 'sweep.yaml', folder, set });
}

const ids = async (text: string, set?: readonly string[]) =>
  (await sweepOf(text, set)).points.map(({ id }) => id);

/** The message of the error that a sweep is refused with. */
async function refusal(text: string, set?: readonly string[]): Promise<string> {
  const error = await sweepOf(text, set).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'SWEEP_INVALID', exitCode: 2 });
  return (error as Error).message;
}

describe('points of a sweep', () => {
  it('are the product of the grid, the last axis changing fastest, each with every seed', async () => {
    expect(await ids('grid: { lora.rank: [8, 16], fusion.audio: [mean, attention] }\nseeds: [1, 2]')).toEqual(
      [
        'fusion.audio=mean,lora.rank=8,seed=1',
        'fusion.audio=mean,lora.rank=8,seed=2',
        'fusion.audio=attention,lora.rank=8,seed=1',
        'fusion.audio=attention,lora.rank=8,seed=2',
        'fusion.audio=mean,lora.rank=16,seed=1',
        'fusion.audio=mean,lora.rank=16,seed=2',
        'fusion.audio=attention,lora.rank=16,seed=1',
        'fusion.audio=attention,lora.rank=16,seed=2',
      ],
    );
  });

  it('have the configuration that their values give, over set, over the base', async () => {
    const { points } = await sweepOf(
      'set: { train.steps: 30, lora.alpha: 4 }\ngrid: { lora.rank: [8, 16] }\nseeds: [3]',
    );
    const [first] = points;
    expect(first!.config).toMatchObject({
      lora: { rank: 8, alpha: 4 },
      train: { steps: 30, seed: 3 },
      output: join('out', 'points', 'lora.rank=8,seed=3'),
    });
  });

  it('move together in zip, whose items multiply', async () => {
    const text = `
zip:
  - { lora.rank: [8, 32], lora.alpha: [16, 64] }
  - { model.frames: [4, 8], train.batchSize: [6, 3] }`;
    const { points, axes } = await sweepOf(text);
    expect(axes.map(({ name }) => name)).toEqual([
      'lora.rank + lora.alpha',
      'model.frames + train.batchSize',
    ]);
    expect(points.map(({ config }) => [config.lora.rank, config.lora.alpha, config.model.frames])).toEqual([
      [8, 16, 4],
      [8, 16, 8],
      [32, 64, 4],
      [32, 64, 8],
    ]);
    expect(points[0]!.id).toBe('lora.alpha=16,lora.rank=8,model.frames=4,seed=7,train.batchSize=6');
  });

  it('take several keys from one labelled value, and are excluded by its label', async () => {
    const text = `
grid:
  adapter:
    - { label: none, set: { train.parts.decoder: frozen } }
    - { label: r8, set: { lora.rank: 8 } }
    - { label: r32, set: { lora.rank: 32, lora.alpha: 64 } }
  model.frames: [4, 8]
exclude:
  - { adapter: r32, model.frames: 4 }`;
    const { points } = await sweepOf(text);
    expect(points.map(({ setting }) => setting)).toEqual([
      'adapter=none,model.frames=4',
      'adapter=none,model.frames=8',
      'adapter=r8,model.frames=4',
      'adapter=r8,model.frames=8',
      'adapter=r32,model.frames=8',
    ]);
    expect(points.at(-1)!.config).toMatchObject({ lora: { rank: 32, alpha: 64 }, model: { frames: 8 } });
    expect(points[0]!.config.train.parts.decoder).toBe('frozen');
  });

  it('keep their names when the grid grows', async () => {
    const small = await ids('grid: { lora.rank: [8], fusion.audio: [mean] }\nseeds: [7]');
    const large = await ids(
      'grid: { fusion.audio: [attention, mean], lora.rank: [4, 8, 16] }\nseeds: [6, 7]',
    );
    expect(large).toEqual(expect.arrayContaining(small));
    // Without seeds it is the seed of the base.
    expect(await ids('grid: { lora.rank: [8], fusion.audio: [mean] }')).toEqual(small);
  });

  it('are chosen by name and pattern', async () => {
    const sweep = await sweepOf('grid: { lora.rank: [8, 16] }\nseeds: [1, 2]');
    const chosen = (...only: string[]) => selectPoints(sweep, only).map(({ id }) => id);
    expect(chosen('*seed=1')).toEqual(['lora.rank=8,seed=1', 'lora.rank=16,seed=1']);
    expect(chosen('lora.rank=8,seed=2', '*=16,seed=2')).toEqual([
      'lora.rank=8,seed=2',
      'lora.rank=16,seed=2',
    ]);
    expect(() => chosen('loraXrank=8*')).toThrow(/"loraXrank=8\*": no point of sweep\.yaml is named/);
  });
});

describe('names of points', () => {
  it('are safe as file names and differ where values do', () => {
    const id = (value: unknown) => pointId({ key: value });
    expect(id('openai/clip-vit')).toMatch(/^key=openai-clip-vit~[0-9a-f]{6}$/);
    expect(id('openai-clip-vit')).toBe('key=openai-clip-vit');
    expect(id('a/b')).not.toBe(id('a\\b'));
    expect(id(null)).toBe('key=null');
    expect(id(1e-5)).toBe('key=0.00001');
    expect(id({ type: 'constant' })).not.toBe(id({ type: 'warmup-cosine' }));
    expect(id('x'.repeat(300)).length).toBeLessThan(100);
    const long = pointId(
      Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`axis.number${i}`, 'value'])),
    );
    expect(long.length).toBeLessThanOrEqual(160);
  });
});

describe('the point that others are compared with', () => {
  it('is the one that equals the base, else the first, else what is asked for', async () => {
    expect((await sweepOf('grid: { lora.rank: [8, 16] }')).compare).toBe('lora.rank=16');
    expect((await sweepOf('grid: { lora.rank: [8, 32] }')).compare).toBe('lora.rank=8');
    expect((await sweepOf('grid: { lora.rank: [8, 16] }\ncompare: { lora.rank: 8 }')).compare).toBe(
      'lora.rank=8',
    );
  });
});

describe('--set', () => {
  it('sets keys of the sweep file, and configuration keys of all points', async () => {
    const sweep = await sweepOf('grid: { lora.rank: [8, 16] }', ['output=elsewhere', 'train.steps=5']);
    expect(sweep.output).toBe('elsewhere');
    expect(sweep.points.map(({ config }) => config.train.steps)).toEqual([5, 5]);
    expect(sweep.text).toContain('# --set train.steps=5');
  });
});

describe('a sweep that is not valid', () => {
  it('is refused with every error of every point at once, with line and points', async () => {
    const message = await refusal(
      `grid:
  lora.rnk: [8, 16]
  model.frames: [8, many]
  train.batchSize: [0, 2]
set: { trian.steps: 4 }
seeds: [1]`,
    );
    expect(message).toMatch(
      /sweep\.yaml:3 {2}lora\.rnk: unknown key; did you mean "rank"\? \(all 8 points\)/,
    );
    expect(message).toMatch(
      /sweep\.yaml:4 {2}model\.frames: expected whole number.*found "many" \(of 8 points: lora\.rnk=8,model\.frames=many,seed=1,train\.batchSize=0; .*\)/,
    );
    expect(message).toMatch(/sweep\.yaml:5 {2}train\.batchSize: .*found 0 \(of 8 points/);
    expect(message).toMatch(/sweep\.yaml:6 {2}trian: unknown key; did you mean "train"\?/);
    expect(message).toContain('Nothing was started.');
  });

  it.each([
    [
      'an unknown key of its own',
      'gird: { lora.rank: [8] }\nseeds: [1]',
      /:2 {2}gird: unknown key; did you mean "grid"/,
    ],
    [
      'an axis that is no list',
      'grid: { lora.rank: 8 }',
      /grid\.lora\.rank: expected a list of values.*found 8/,
    ],
    [
      'lists of different length',
      'zip: [{ lora.rank: [1, 2], lora.alpha: [1] }]',
      /equal length.*lora\.rank has 2, lora\.alpha has 1/,
    ],
    ['nothing that varies', 'set: { lora.rank: 8 }', /nothing varies/],
    ['a value twice', 'grid: { lora.rank: [8, 8] }', /lora\.rank: 8 is named twice/],
    ['a seed twice', 'seeds: [1, 1]', /a seed is named twice/],
    [
      'a key of two axes',
      'grid: { lora.rank: [8, 16] }\nzip: [{ lora.rank: [1, 2] }]',
      /lora\.rank is an axis twice/,
    ],
    [
      'a key of set and an axis',
      'set: { lora.rank: 4 }\ngrid: { lora.rank: [8, 16] }',
      /lora\.rank is set by lora\.rank and by set/,
    ],
    [
      'seeds and an axis train.seed',
      'grid: { train.seed: [1, 2] }\nseeds: [3]',
      /train\.seed is set by train\.seed and by seeds/,
    ],
    ['an output of points', 'grid: { output: [a, b] }', /"output" is not to be set/],
    [
      'an axis that changes nothing',
      'set: { train.parts.decoder: frozen }\ngrid: { lora.rank: [8, 16], model.frames: [4, 8] }',
      /:3 {2}lora\.rank changes nothing.*adapters are not used/,
    ],
    [
      'points that are the same',
      'grid: { lora.rank: [8, 16], train.parts.decoder: [frozen, lora] }',
      /lora\.rank=8,seed=7,train\.parts\.decoder=frozen and lora\.rank=16,seed=7,train\.parts\.decoder=frozen are the same training/,
    ],
    [
      'an exclusion of no axis',
      'grid: { lora.rank: [8, 16] }\nexclude: [{ lora.rnk: 8 }]',
      /exclude\.0: "lora\.rnk" is no axis; there are: lora\.rank/,
    ],
    [
      'an exclusion of no value',
      'grid: { lora.rank: [8, 16] }\nexclude: [{ lora.rank: 4 }]',
      /lora\.rank is never 4; its values are 8, 16/,
    ],
    [
      'an exclusion of everything',
      'grid: { lora.rank: [8] }\nexclude: [{ lora.rank: 8 }]',
      /exclude leaves no point/,
    ],
    [
      'a comparison with several',
      'grid: { lora.rank: [8, 16], model.frames: [4, 8] }\ncompare: { lora.rank: 8 }',
      /compare: 2 points have them/,
    ],
    ['an unknown figure', 'seeds: [1]\nmetric: accuracy', /"accuracy" is no figure; there are: train\.loss/],
    [
      'a figure that no point gives',
      'seeds: [1]\nmetric: evaluation.accuracy',
      /needs a section evaluation.*1 of 1/,
    ],
    ['a labelled value that sets nothing', 'grid: { x: [{ label: a }] }', /grid\.x: "a" sets nothing/],
  ])('is refused: %s', async (_, text, message) => {
    expect(await refusal(text)).toMatch(message);
  });

  it('names a base that is not there', async () => {
    await writeFile(join(folder, 'lost.yaml'), 'base: nowhere.yaml\nseeds: [1]\noutput: out\n');
    expect(() => loadSweep({ config: 'lost.yaml', folder })).toThrow(
      /There is no configuration "nowhere\.yaml"/,
    );
  });
});

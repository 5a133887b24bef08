import { existsSync } from 'node:fs';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { layBenchmarkSet } from '../support/benchmark-root.ts';
import { jsonLines, parseLines } from '../support/json-lines.ts';
import { makeWorkspace, readLines, run, set, succeed } from './workspace.ts';

const { path, config, rows } = await makeWorkspace();
const trained = path('run');
await succeed('train', '--config', config, ...set({ 'train.steps': 12, 'train.log.every': 12 }));
const root = path('dataset');
const clip = (sample: number) => path('clips', rows[sample % rows.length]!.video as string);
// One emotion, a sentiment, an open vocabulary.
const keys = ['mer2023', 'cmumosi', 'ovmerdplus'] as const;
const laid = new Map(
  await Promise.all(keys.map(async (key) => [key, await layBenchmarkSet(root, key, clip)] as const)),
);
const datasets = keys.flatMap((key) => ['--dataset', key]);
const question = 'Please recognize all possible emotional states of the character.';

const evaluate = (...more: string[]) => run('eval', 'mer-unibench', ...more);
const ofRun = (output: string, ...more: string[]) =>
  evaluate('--checkpoint', trained, '--data-root', root, '--output', output, ...more);

interface SetJson {
  readonly dataset: string;
  readonly extractor: string;
  readonly checkpoints: readonly { name: string; score: number; n: number }[];
  readonly best?: string;
}
const parse = (out: string): SetJson[] => parseLines(out);

const all = path('all');
const first = await ofRun(all, ...datasets, '--json');
const answersOf = (output: string, key: string, name = 'step-000012') =>
  readLines(`${output}/${key}/${name}.jsonl`);

describe('eval mer-unibench --checkpoint', () => {
  it('answers about each set in its published layout, and scores the answers', async () => {
    expect(first.exitCode).toBe(0);
    const sets = parse(first.out);
    expect(sets.map(({ dataset, extractor }) => [dataset, extractor])).toEqual(
      keys.map((key) => [key, 'rules']),
    );
    for (const [i, key] of keys.entries()) {
      expect(sets[i]!.checkpoints).toMatchObject([{ name: 'step-000012', n: 5 }]);
      const answers = await answersOf(all, key);
      expect(answers.map(({ name }) => name)).toEqual(laid.get(key)!.names);
      for (const answer of answers) expect(answer).toMatchObject({ question, text: expect.any(String) });
    }
    expect(first.err).toMatch(/Asking step-000012 about 5 samples of mer2023/);
    for (const file of ['report.json', 'report.md', 'report.html']) {
      expect(existsSync(`${all}/${file}`)).toBe(true);
    }
  });

  it('says what predict says of the manifest that data check writes', async () => {
    const manifest = path('checked', 'cmumosi.jsonl');
    const check = ['data', 'check', '--dataset', 'cmumosi', '--root', root, '--partial'];
    await succeed(...check, '--write-manifest', manifest);
    const predicted = path('predicted.jsonl');
    await succeed('predict', '--checkpoint', trained, '--data', manifest, '--output', predicted);
    expect(await readLines(predicted)).toEqual(await answersOf(all, 'cmumosi'));
    const output = path('of-manifest');
    const ofManifest = ['--checkpoint', trained, '--data', manifest, '--dataset', 'cmumosi'];
    const { out } = await succeed('eval', 'mer-unibench', ...ofManifest, '--output', output, '--json');
    expect(parse(out)[0]).toEqual(parse(first.out)[1]);
    // The same answers as stored ones.
    const stored = ['--predictions', `${output}/cmumosi`, '--labels', laid.get('cmumosi')!.at('label.npz')];
    const again = await succeed(
      ...['eval', 'mer-unibench', '--dataset', 'cmumosi', ...stored, '--extractor', 'rules', '--json'],
    );
    expect(parse(again.out)[0]).toEqual(parse(out)[0]);
  });

  it('trains on the manifest that data check writes', async () => {
    const manifest = path('checked', 'train.jsonl');
    const check = ['data', 'check', '--dataset', 'cmumosi', '--root', root, '--partial'];
    await succeed(...check, '--split', 'train,val,test', '--write-manifest', manifest);
    const output = path('trained-on-manifest');
    const data = { 'data.manifest': manifest, 'data.labelType': 'sentiment', output };
    const { err } = await succeed('train', '--config', config, ...set({ ...data, 'train.steps': 1 }));
    expect(err).toMatch(/1 sample/);
    expect(existsSync(`${output}/checkpoints/step-000001`)).toBe(true);
  });

  it('does not ask again what is answered, and needs no model for it', async () => {
    const file = `${all}/mer2023/step-000012.jsonl`;
    const [kept, ...others] = await readLines(file);
    await writeFile(file, jsonLines([{ ...kept, text: 'kept' }, ...others]));
    // A checkpoint whose tensors are gone: reading it would fail.
    const moved = path('moved');
    await cp(trained, moved, { recursive: true });
    await rm(path('moved', 'checkpoints', 'step-000012', 'affectgpt.safetensors'));
    const argv = ['--checkpoint', moved, '--data-root', root, '--output', all, ...datasets, '--json'];
    const { exitCode, err, out } = await evaluate(...argv);
    expect(exitCode).toBe(0);
    expect(err).toMatch(/mer2023\/step-000012\.jsonl is complete: 5 samples/);
    expect((await readLines(file))[0]).toMatchObject({ text: 'kept' });
    expect(parse(out)[1]).toEqual(parse(first.out)[1]);
  });

  it('refuses answers of other settings, naming both', async () => {
    const file = `${all}/cmumosi/step-000012.jsonl`;
    const before = await readFile(file, 'utf8');
    const one = ['--dataset', 'cmumosi'];
    const { exitCode, err } = await ofRun(all, ...one, '--set', 'generation.maxNewTokens=3');
    expect(exitCode).toBe(2);
    expect(err).toMatch(
      /error\[PREDICTIONS_OTHER_SETTINGS\]: .*cmumosi\/step-000012\.jsonl was begun with other settings .*generation\.maxNewTokens was 16 and is 3\./,
    );
    expect(await readFile(file, 'utf8')).toBe(before);
    await rm(`${all}/cmumosi/settings`, { recursive: true });
    expect((await ofRun(all, ...one)).err).toMatch(/error\[PREDICTIONS_NO_SETTINGS\]/);
  });

  it('takes all checkpoints of a run, the best of which the protocol of the paper picks', async () => {
    const output = path('several');
    const argv = ['--all-checkpoints', '--dataset', 'cmumosi', '--json'];
    const unpicked = await ofRun(output, ...argv);
    expect(unpicked.exitCode).toBe(2);
    expect(unpicked.err).toMatch(/error\[PICK_REQUIRED\]: .*step-000010, step-000012/);
    expect(existsSync(output)).toBe(false);
    const { exitCode, out } = await ofRun(output, ...argv, '--protocol', 'paper');
    expect(exitCode).toBe(0);
    const [json] = parse(out);
    const names = ['step-000010', 'step-000012'];
    expect(json!.checkpoints.map(({ name }) => name)).toEqual(names);
    const best = Math.max(...json!.checkpoints.map(({ score }) => score));
    expect(json!.checkpoints.find(({ name }) => name === json!.best)!.score).toBe(best);
    const folders = names.flatMap((name) => ['--checkpoint', path('run', 'checkpoints', name)]);
    const picked = await evaluate(
      ...folders,
      ...['--data-root', root, '--output', output, '--dataset', 'cmumosi', '--pick', 'step-000010', '--json'],
    );
    expect(parse(picked.out)[0]!.checkpoints.map(({ name }) => name)).toEqual(['step-000010']);
  });

  it('answers greedily unless told otherwise, and asks about other splits', async () => {
    const drawn = ['--set', 'generation.temperature=1', '--set', 'generation.topP=1'];
    const one = ['--dataset', 'cmumosi'];
    const { exitCode } = await ofRun(path('drawn'), ...one, ...drawn, '--set', 'generation.topK=200');
    expect(exitCode).toBe(0);
    expect(await answersOf(path('drawn'), 'cmumosi')).not.toEqual(await answersOf(all, 'cmumosi'));
    const train = await ofRun(path('train-split'), ...one, '--split', 'train', '--json');
    expect(parse(train.out)[0]!.checkpoints[0]!.n).toBe(1);
    const names = (await answersOf(path('train-split'), 'cmumosi')).map(({ name }) => name);
    expect(names).toEqual(['cmumosi_train']);
  });

  it('answers without labels where these are not public, and does not score', async () => {
    const set = await layBenchmarkSet(root, 'mer2025ov', clip);
    await rm(set.at('track2_test.csv'));
    const output = path('unlabelled');
    const { exitCode, out, err } = await ofRun(output, '--dataset', 'mer2025ov');
    expect({ exitCode, out }).toEqual({ exitCode: 0, out: '' });
    expect(err).toMatch(/no labels, so not scored: .*mer2025ov\/step-000012\.jsonl/);
    expect(await answersOf(output, 'mer2025ov')).toHaveLength(5);
    expect(existsSync(`${output}/report.json`)).toBe(false);
  });
});

describe.skipIf(process.platform === 'win32')('an evaluation that is killed', () => {
  const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const output = path('killed');
  const argv = ['eval', 'mer-unibench', '--checkpoint', trained, '--data-root', root, '--output', output];

  it('goes on where it was, without repeating or losing an answer', async () => {
    const child = execa(process.execPath, ['--import', 'tsx', program, ...argv, ...datasets], {
      ...{ reject: false, timeout: 50_000, stdin: 'ignore' },
    });
    // The second set is begun: all of the first and not all of the second are on the disk.
    child.stderr.on('data', (text: Buffer) => {
      if (String(text).includes('about 5 samples of cmumosi')) child.kill('SIGKILL');
    });
    const { signal } = await child;
    expect(signal).toBe('SIGKILL');
    expect(existsSync(`${output}/mer2023/step-000012.jsonl`)).toBe(true);
    expect(existsSync(`${output}/cmumosi/step-000012.jsonl`)).toBe(false);
    // As if it had been killed within its second answer.
    const part = `${output}/cmumosi/step-000012.jsonl.part`;
    const complete = await answersOf(all, 'cmumosi');
    const kept = { ...complete[0], text: 'kept, not asked again' };
    await writeFile(part, `${JSON.stringify(kept)}\n${JSON.stringify(complete[1]).slice(0, 30)}`);
    const { exitCode, err } = await run(...argv, ...datasets);
    expect(exitCode).toBe(0);
    expect(err).toMatch(/mer2023\/step-000012\.jsonl is complete/);
    expect(err).toMatch(/cmumosi\/step-000012\.jsonl\.part holds 1 answers already; 4 remain/);
    expect(await answersOf(output, 'cmumosi')).toEqual([kept, ...complete.slice(1)]);
    expect(await answersOf(output, 'ovmerdplus')).toEqual(await answersOf(all, 'ovmerdplus'));
    expect(existsSync(part)).toBe(false);
  });
});

describe('usage of eval mer-unibench --checkpoint', () => {
  it.each([
    [['--data-root', root], 'USAGE', /--data-root says how answers are generated; give --checkpoint/],
    [['--checkpoint', trained], 'USAGE', /needs either --data-root .* or --data/],
    [['--checkpoint', trained, '--data', 'm.jsonl'], 'USAGE', /describes one set/],
    [['--checkpoint', trained, '--data-root', root, '--labels', root], 'USAGE', /--labels is of answers/],
    [
      ['--checkpoint', trained, '--checkpoint', trained, '--all-checkpoints', '--data-root', root],
      'USAGE',
      /give one --checkpoint/,
    ],
    // All nine sets of the papers, of which this root has three.
    [['--checkpoint', trained, '--data-root', root], 'FILE_NOT_FOUND', /mer2024-dataset-process/],
    [
      ['--checkpoint', trained, '--data-root', root, '--dataset', 'meld', '--split', 'x'],
      'BENCHMARK_SPLIT_UNKNOWN',
      /train, val/,
    ],
    [['--checkpoint', path('nowhere'), '--data-root', root], 'RUN_NOT_FOUND', /nowhere/],
    [
      ['--checkpoint', trained, '--data-root', root, '--extractor', 'local', '--dataset', 'cmumosi'],
      'USAGE',
      /local needs --llm-model/,
    ],
  ])('%j', async (argv, code, message) => {
    const { exitCode, err, out } = await evaluate(...argv);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(new RegExp(`error\\[${code}\\]`));
    expect(err).toMatch(message);
  });

  it('refuses checkpoints of different runs', async () => {
    const other = path('trained-on-manifest');
    const argv = ['--checkpoint', trained, '--checkpoint', other, '--data-root', root];
    const { exitCode, err } = await evaluate(...argv, '--dataset', 'cmumosi');
    expect(exitCode).toBe(2);
    expect(err).toMatch(/error\[CHECKPOINTS_OF_SEVERAL_RUNS\]/);
  });

  it('names samples whose files are not there', async () => {
    const laidSet = laid.get('ovmerdplus')!;
    await rm(laidSet.at('video', 'ovmerdplus_1.mp4'));
    const { exitCode, err } = await ofRun(path('incomplete'), '--dataset', 'ovmerdplus');
    expect(exitCode).toBe(2);
    expect(err).toMatch(/error\[SAMPLES_UNUSABLE\]: 1 of 5 .*no video file .*ovmerdplus_1\.mp4/);
    expect(existsSync(path('incomplete', 'ovmerdplus', 'step-000012.jsonl.part'))).toBe(false);
  });
});

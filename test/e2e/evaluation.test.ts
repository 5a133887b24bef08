import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { jsonLines } from '../support/json-lines.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { writeTinyModels } from '../support/tiny-models.ts';
import { readLines, run, set, succeed } from './workspace.ts';

const folder = folderForFile();
const path = (...names: string[]) => join(folder, ...names);
const { llm } = await writeTinyModels(path('models'));

/** What is said decides the label, so that a few steps teach it. */
const words = { happy: 'garden', sad: 'letter', angry: 'train' };
const labels = ['sad', 'happy', 'sad', 'angry', 'sad', 'happy'] as const;
const rows = ['train', 'test'].flatMap((split) =>
  labels.map((label, i) => ({
    ...{ name: `${split}-${i}`, labels: [label], split },
    subtitle: `We talked about the ${words[label]}${split === 'test' ? ' again' : ''}.`,
  })),
);
await writeFile(path('rows.jsonl'), jsonLines(rows));
const config = path('config.yaml');
await writeFile(
  config,
  `
model: { llm: ${llm}, inputs: textonly }
lora: { rank: 4, alpha: 8, dropout: 0 }
data:
  manifest: ${path('rows.jsonl')}
  labelType: onehot_wo_candidates
  template: { prompt: '{subtitle} =>', answer: ' {label}', begin: false, end: none }
train:
  steps: 24
  batchSize: 6
  optimizer: { lr: 0.02, weightDecay: 0 }
  checkpoint: { every: 12, keep: 2 }
engine: { threads: 1 }
generation: { maxNewTokens: 4 }
evaluation: { before: true }
output: ${path('run')}
`,
);
const trained = await succeed('train', '--config', config);
type Figures = Record<string, unknown> & { metrics: { accuracy: number; weighted: { f1: number } } };
const figures = async (name: string) => JSON.parse(await readFile(path('run', name), 'utf8')) as Figures;

describe('train with an evaluation', () => {
  it('scores the model before and after, and learns', async () => {
    const before = await figures('evaluation-before.json');
    const after = await figures('evaluation.json');
    expect(before).toMatchObject({ method: 'choices', checkpoint: null, split: 'test', limit: null, n: 6 });
    expect(before.choices).toEqual(['sad', 'happy', 'angry']);
    expect(after.checkpoint).toBe(path('run', 'checkpoints', 'step-000024'));
    expect(after.metrics.accuracy).toBe(1);
    expect(before.metrics.accuracy).toBeLessThan(1);
    expect(after.perClass).toEqual(
      [3, 2, 1].map((support, i) => ({
        ...{ label: ['sad', 'happy', 'angry'][i], precision: 1, recall: 1, f1: 1, support },
      })),
    );
    expect(after.confusion).toEqual([
      [3, 0, 0],
      [0, 2, 0],
      [0, 0, 1],
    ]);
    expect(trained.out).toMatch(/^untrained model on 6 samples[^\n]*\n(?:.*\n)*step-000024 on 6 samples/);
    expect(trained.out).toMatch(/accuracy 100\.00 %, weighted F1 100\.00 %/);
    expect(trained.out.endsWith(`${path('run', 'checkpoints', 'step-000024')}\n`)).toBe(true);
  });

  it('keeps the scores of every sample', async () => {
    const lines = await readLines(path('run', 'evaluation.jsonl'));
    expect(lines.map(({ name }) => name)).toEqual(labels.map((_, i) => `test-${i}`));
    for (const [i, line] of lines.entries()) {
      const scores = line.scores as Record<string, number>;
      expect(Object.keys(scores)).toEqual(['sad', 'happy', 'angry']);
      const best = Object.keys(scores).sort((a, b) => scores[b]! - scores[a]!)[0];
      expect(line).toMatchObject({ label: labels[i], chosen: best });
    }
  });

  it('does not score the untrained model again when the run goes on, and does not mind new settings', async () => {
    const kept = await readFile(path('run', 'evaluation-before.json'), 'utf8');
    const more = set({ 'train.steps': 26, 'evaluation.limit': 4 });
    const { out, err } = await succeed('train', '--config', config, ...more);
    expect(err).toContain('24 of 26 steps done');
    expect(out).not.toContain('untrained');
    expect(await readFile(path('run', 'evaluation-before.json'), 'utf8')).toBe(kept);
    expect(await figures('evaluation.json')).toMatchObject({ n: 4, limit: 4 });
  });

  it('refuses to go on with another template', async () => {
    const { exitCode, err } = await run(
      ...['train', '--config', config, ...set({ 'train.steps': 30, 'data.template.end': 'eos' })],
    );
    expect(exitCode).toBe(2);
    expect(err).toMatch(/error\[RESUME_CONFIG_CHANGED\]: .*data\.template\.end was "none" and is now "eos"/);
  });

  it.each<[Record<string, unknown>, string, RegExp]>([
    [{ 'evaluation.split': 'dev' }, 'SAMPLES_NONE', /split "dev".*there are: train, test/],
    [{ 'evaluation.choices': [] }, 'CONFIG_INVALID', /evaluation\.choices/],
    [{ 'evaluation.choices': ['sad', 'happy'] }, 'EVALUATION_UNUSABLE', /label "angry", which is no choice/],
    [
      { 'data.template.prompt': '<AudioHere>' },
      'CONFIG_INVALID',
      /data\.template\.prompt: holds <AudioHere>/,
    ],
    [{ 'data.template.answer': ' yes' }, 'CONFIG_INVALID', /data\.template\.answer: has no \{label\}/],
    [{ 'evaluation.split': 'dev', 'model.llm': path('gone') }, 'NOT_READY', /gone[\s\S]*split "dev"/],
  ])('%j is refused before the first step', async (values, code, message) => {
    const output = path('refused');
    const { exitCode, err } = await run('train', '--config', config, ...set({ output, ...values }));
    expect(err).toContain(`error[${code}]`);
    expect(err).toMatch(message);
    expect(exitCode).toBe(2);
    expect(existsSync(output)).toBe(false);
  });
});

describe('eval choices', () => {
  it('gives what the training gave, and writes it', async () => {
    const { out } = await succeed('eval', 'choices', '--checkpoint', path('run'), '--limit', '4', '--json');
    const { seconds: _, ...now } = JSON.parse(out) as Figures;
    const { seconds: __, ...then } = await figures('evaluation.json');
    expect(now).toEqual(then);
    expect(await figures('evaluation-step-000026-test.json')).toMatchObject(now);
    const lines = await readLines(path('run', 'evaluation-step-000026-test.jsonl'));
    expect(lines).toEqual(await readLines(path('run', 'evaluation.jsonl')));
  });

  it('takes another split, other choices, a checkpoint and a place', async () => {
    const { out } = await succeed(
      ...['eval', 'choices', '--checkpoint', path('run', 'checkpoints', 'step-000024'), '--split', 'train'],
      ...['--limit', '6', '--choices', 'angry, happy,sad,calm', '--output', path('elsewhere')],
    );
    expect(out).toMatch(/^step-000024 on 6 samples of "train", likeliest of 4 choices/);
    expect(out).toMatch(/\n {2}calm +0\.00 +0\.00 +0\.00 +0\n/);
    expect(out.endsWith(`${path('elsewhere.json')}\n`)).toBe(true);
    const [first] = await readLines(path('elsewhere.jsonl'));
    expect(Object.keys(first!.scores as object)).toEqual(['angry', 'happy', 'sad', 'calm']);
  });

  it('works with the published prompts', async () => {
    const output = path('published');
    await succeed(
      ...['train', '--config', config],
      ...set({
        output,
        'train.steps': 1,
        'data.template': null,
        evaluation: null,
        'data.labelType': 'hybird',
      }),
    );
    expect(existsSync(path('published', 'evaluation.json'))).toBe(false);
    const { out } = await succeed('eval', 'choices', '--checkpoint', output, '--json');
    expect(JSON.parse(out)).toMatchObject({ labelType: 'ovlabel', n: 6 });
  });

  it.each([
    [['--split', 'dev'], 'SAMPLES_NONE', /split "dev"/],
    [['--choices', 'sad'], 'CONFIG_INVALID', /evaluation\.choices/],
    [['--limit', '0'], 'CONFIG_INVALID', /evaluation\.limit/],
  ])('%j is refused', async (argv, code, message) => {
    const { exitCode, out, err } = await run('eval', 'choices', '--checkpoint', path('run'), ...argv);
    expect(err).toMatch(new RegExp(`^error\\[${code}\\]: `));
    expect(err).toMatch(message);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
  });

  it('needs to be told what to score by', async () => {
    const { exitCode, err } = await run('eval');
    expect(exitCode).toBe(2);
    expect(err).toContain('Say what to score by');
  });
});

describe('predict with a template', () => {
  it('asks with the same wording, and refuses a question that it has no place for', async () => {
    const argv = ['predict', '--checkpoint', path('run'), '--data', path('rows.jsonl'), '--split', 'test'];
    await succeed(...argv, '--output', path('answers.jsonl'));
    const answers = await readLines(path('answers.jsonl'));
    // Without an end token the label goes on until the limit.
    for (const [i, { text, question, finish }] of answers.entries()) {
      expect(text).toMatch(new RegExp(`^${labels[i]}`));
      expect({ question, finish }).toEqual({ question: '', finish: 'length' });
    }
    const { exitCode, err } = await run(...argv, '--question', 'Why?', '--output', path('x.jsonl'));
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^error\[USAGE\]: .*has no \{question\}/);
  });
});

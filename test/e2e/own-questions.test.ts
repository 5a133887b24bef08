import { describe, expect, it } from 'vitest';
import { makeWorkspace, readLines, readMetrics, readTensorFiles, run, set, succeed } from './workspace.ts';

const workspace = await makeWorkspace();
const { path, config } = workspace;
const colours = ['red', 'green', 'blue', 'red', 'green', 'blue'];
const rows = colours.map((colour, i) => ({
  name: `n${i}`,
  question: `What is the colour of ${i % 3}? Choose from red, green, blue.`,
  answer: `colour: ${colour}`,
  split: i < 4 ? 'train' : 'test',
}));
const manifest = await workspace.writeManifest('own.jsonl', rows);
const settings = {
  'data.manifest': manifest,
  'data.labelType': 'own',
  'data.template': { prompt: '{question}\n', answer: '{label}', begin: false, end: 'eos' },
  'model.inputs': 'textonly',
  'lora.dropout': 0.1,
  'train.steps': 8,
  'train.validation': { every: 4, answers: 2, maxNewTokens: 8, metric: 'exactMatch' },
};
const argv = (output: string, more: Record<string, unknown> = {}) => [
  ...['train', '--config', config],
  ...set({ ...settings, output: path(output), ...more }),
];

describe('samples with their own question and answer', () => {
  it('are trained on, validated and resumed exactly', async () => {
    await succeed(...argv('whole'));
    await succeed(...argv('parts', { 'train.steps': 5 }));
    await succeed(...argv('parts'));
    expect(await readMetrics(path('parts'))).toEqual(await readMetrics(path('whole')));
    const checkpoint = (name: string) => readTensorFiles(path(name, 'checkpoints', 'step-000008'));
    expect(await checkpoint('parts')).toEqual(await checkpoint('whole'));
    const [line] = await readLines(path('whole', 'validation.jsonl'));
    expect(line!.answers).toMatchObject(
      rows.slice(4).map(({ name, question, answer }) => ({ name, question, expected: answer })),
    );
  });

  it('are asked each its own question, or all the one that is given', async () => {
    const predict = (output: string, ...more: string[]) =>
      succeed(
        ...['predict', '--checkpoint', path('whole'), '--data', manifest, '--output', path(output)],
        ...['--max-new-tokens', '4', ...more],
      );
    await predict('own-answers.jsonl');
    const own = await readLines(path('own-answers.jsonl'));
    expect(own.map(({ name, question }) => ({ name, question }))).toEqual(
      rows.map(({ name, question }) => ({ name, question })),
    );
    await predict('one-answer.jsonl', '--question', 'What?');
    expect((await readLines(path('one-answer.jsonl'))).map(({ question }) => question)).toEqual(
      rows.map(() => 'What?'),
    );
    const bare = await workspace.writeManifest('bare.jsonl', [{ name: 'x', subtitle: 'No.' }, rows[0]!]);
    const { exitCode, err } = await run(
      ...['predict', '--checkpoint', path('whole'), '--data', bare, '--output', path('none.jsonl')],
    );
    expect(exitCode).toBe(2);
    expect(err).toMatch(/1 of 2 bring none: .*bare\.jsonl, row 1: sample "x"/);
  });

  it('are scored by the likelihood of their answers', async () => {
    const scores = path('choices');
    await succeed(
      ...['eval', 'choices', '--checkpoint', path('whole'), '--split', 'test', '--output', scores],
    );
    const lines = await readLines(`${scores}.jsonl`);
    expect(lines.map(({ name, label }) => [name, label])).toEqual(
      rows.slice(4).map(({ name, answer }) => [name, answer]),
    );
    expect(Object.keys(lines[0]!.scores as object).sort()).toEqual([
      ...['colour: blue', 'colour: green', 'colour: red'],
    ]);
  });

  it('have to have both, and all that have not are named by row', async () => {
    const { answer: _, ...unanswered } = rows[0]!;
    const { question: __, ...unasked } = rows[1]!;
    const broken = await workspace.writeManifest('broken.jsonl', [
      rows[2]!,
      unanswered,
      { ...unasked, subtitle: 'No.' },
    ]);
    const { exitCode, err } = await run(
      ...argv('broken', { 'data.manifest': broken, 'train.validation': null }),
    );
    expect(exitCode).toBe(2);
    expect(err).toMatch(/2 of 3 samples cannot be used/);
    expect(err).toMatch(/broken\.jsonl, row 2: sample "n0" has no answer for data\.labelType "own"/);
    expect(err).toMatch(/broken\.jsonl, row 3: Sample "n1" has no question of its own/);
  });
});

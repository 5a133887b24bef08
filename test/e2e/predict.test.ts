import { existsSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { uncachedAnswer } from './uncached-answer.ts';
import { makeWorkspace, type Row, readLines, run, set, succeed } from './workspace.ts';

const { path, config, manifest, rows } = await makeWorkspace();
const trained = path('run');
await succeed('train', '--config', config, ...set({ 'train.steps': 12, 'train.log.every': 12 }));

const clip = ({ name }: Row) => path('clips', 'videos', `${name}.mp4`);
const predict = (...more: string[]) => succeed('predict', '--checkpoint', trained, ...more);
const ask = async (row: Row, ...more: string[]) => {
  const { out } = await predict(clip(row), '--subtitle', row.subtitle as string, '--json', ...more);
  return JSON.parse(out) as Record<string, unknown> & { text: string };
};
const all = async (output: string, ...more: string[]) => {
  await predict('--data', manifest, '--output', output, ...more);
  return readLines(output);
};

const answers = await all(path('answers.jsonl'));

describe('predict --data', () => {
  it('writes a line for each sample, in order', async () => {
    expect(answers.map(({ name }) => name)).toEqual(rows.map(({ name }) => name));
    for (const answer of answers) {
      expect(answer).toMatchObject({
        question: 'Please recognize all possible emotional states of the character.',
        text: expect.any(String),
        finish: expect.stringMatching(/^(stop|length)$/),
      });
      expect(answer.tokens).toBeGreaterThan(0);
      expect(answer.tokens).toBeLessThanOrEqual(16);
    }
    expect(new Set(answers.map(({ text }) => text)).size).toBeGreaterThan(2);
    expect(existsSync(path('answers.jsonl.part'))).toBe(false);
  });

  it('asks about one split', async () => {
    expect(await all(path('held-out.jsonl'), '--split', 'test')).toEqual([answers.at(-1)]);
  });

  it('does not overwrite answers', async () => {
    const before = await readFile(path('answers.jsonl'), 'utf8');
    const argv = ['--data', manifest, '--output', path('answers.jsonl')];
    const { exitCode, out, err } = await run('predict', '--checkpoint', trained, ...argv);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(/^error\[OUTPUT_EXISTS\]: [^\n]*answers\.jsonl exists already[^\n]*\n$/);
    expect(await readFile(path('answers.jsonl'), 'utf8')).toBe(before);
  });

  it('goes on with what an interrupted run left', async () => {
    const kept = { ...answers[0], text: 'kept, not asked again' };
    const part = path('continued.jsonl.part');
    await writeFile(part, `${JSON.stringify(kept)}\n${JSON.stringify(answers[1])}\n`);
    // The line that was being written when the process was killed.
    await appendFile(part, JSON.stringify(answers[2]).slice(0, 40));
    expect(await all(path('continued.jsonl'))).toEqual([kept, ...answers.slice(1)]);
    expect(existsSync(part)).toBe(false);
  });

  it('does not mix answers to different questions', async () => {
    await writeFile(path('other.jsonl.part'), `${JSON.stringify({ ...answers[0], question: 'Why?' })}\n`);
    const argv = ['--data', manifest, '--output', path('other.jsonl')];
    const { exitCode, err } = await run('predict', '--checkpoint', trained, ...argv);
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^error\[PREDICTIONS_OTHER_QUESTION\]: [^\n]*other\.jsonl\.part, row 1/);
  });
});

describe('predict --data continued', () => {
  it('does not mix answers of different settings', async () => {
    const part = path('mixed.jsonl.part');
    await writeFile(part, `${JSON.stringify(answers[0])}\n`);
    await writeFile(`${part}.settings.json`, '{"checkpoint": "another"}\n');
    const argv = ['--data', manifest, '--output', path('mixed.jsonl')];
    const { exitCode, err } = await run('predict', '--checkpoint', trained, ...argv);
    expect(exitCode).toBe(2);
    expect(err).toMatch(
      /^error\[PREDICTIONS_OTHER_SETTINGS\]: [^\n]*mixed\.jsonl\.part was begun with other settings [^\n]*checkpoint was "another" and is "[^"]*step-000012"; generation\.maxNewTokens was not there and is 16/,
    );
    expect(await readFile(part, 'utf8')).toBe(`${JSON.stringify(answers[0])}\n`);
  });
});

describe('predict clip.mp4', () => {
  it('answers as among others: neither batch nor padding matters', async () => {
    for (const [i, row] of rows.entries()) {
      const { checkpoint, seed, ...answer } = await ask(row);
      expect(answer).toEqual(answers[i]);
      expect({ checkpoint, seed }).toEqual({
        checkpoint: path('run', 'checkpoints', 'step-000012'),
        seed: 42,
      });
    }
  });

  it('prints the answer alone without --json', async () => {
    const { out, err } = await predict(clip(rows[1]!), '--subtitle', rows[1]!.subtitle as string);
    expect(out).toBe(`${answers[1]!.text}\n`);
    expect(err).toBe('');
  });

  it('takes settings that it reads', async () => {
    const settings = { engine: { threads: 1 }, generation: { maxNewTokens: 2 }, 'data.featureCache': null };
    expect((await ask(rows[0]!, ...set(settings))).tokens).toBeLessThanOrEqual(2);
  });

  it('takes a checkpoint folder, another question and a length', async () => {
    const question = 'Is the person happy?';
    const checkpoint = path('run', 'checkpoints', 'step-000010');
    const { out } = await succeed(
      ...['predict', '--checkpoint', checkpoint, clip(rows[0]!), '--json'],
      ...['--question', question, '--max-new-tokens', '3'],
    );
    const answer = JSON.parse(out) as Record<string, unknown>;
    expect(answer).toMatchObject({ question, checkpoint });
    expect(answer.tokens).toBeLessThanOrEqual(3);
  });

  it('depends on subtitle, picture and sound', async () => {
    const [one, other] = [rows[0]!, rows[3]!];
    const asked = await ask(one, '--max-new-tokens', '24');
    const subtitle = await ask({ ...one, subtitle: other.subtitle }, '--max-new-tokens', '24');
    const media = await ask({ ...other, subtitle: one.subtitle }, '--max-new-tokens', '24');
    expect(subtitle.text).not.toBe(asked.text);
    expect(media.text).not.toBe(asked.text);
  });

  it('draws the same answer under the same seed, alone and among others', async () => {
    const drawn = ['--temperature', '1', '--top-p', '1', '--top-k', '200'];
    const three = await all(path('drawn.jsonl'), ...drawn, '--seed', '3');
    const { checkpoint: _, seed, ...single } = await ask(rows[2]!, ...drawn, '--seed', '3');
    expect(seed).toBe(3);
    expect(single).toEqual(three[2]);
    expect(three).not.toEqual(answers);
    expect(await all(path('drawn-again.jsonl'), ...drawn, '--seed', '4')).not.toEqual(three);
  });
});

describe('the key/value cache', () => {
  it('gives the answers of a decoder that reads everything again for each token', async () => {
    // The longest ones: every token of an answer is one more chance to differ.
    const [longest] = answers.toSorted((a, b) => (b.tokens as number) - (a.tokens as number));
    const { labels: _, ...expected } = longest!;
    expect(expected.tokens).toBeGreaterThan(4);
    const { name, question } = expected as { name: string; question: string };
    expect(await uncachedAnswer(trained, manifest, name, question)).toEqual(expected);
  });
});

describe('usage of predict', () => {
  it.each([
    [['--split', 'nope', '--data', manifest, '--output', path('x.jsonl')], 'SAMPLES_NONE', /split "nope"/],
    [[clip(rows[0]!), '--temperature', '-1'], 'CONFIG_INVALID', /generation\.temperature/],
    [
      [clip(rows[0]!), '--top-p', '1.5', '--max-new-tokens', '0'],
      'CONFIG_INVALID',
      /maxNewTokens[\s\S]*topP/,
    ],
    [[clip(rows[0]!), '--data', manifest], 'USAGE', /either a clip or --data/],
    [['--data', manifest], 'USAGE', /--data needs --output/],
    [[clip(rows[0]!), '--output', path('x.jsonl')], 'USAGE', /--output is of --data/],
    [[clip(rows[0]!), '--split', 'test'], 'USAGE', /--split is of --data/],
    [
      ['--data', manifest, '--output', path('x.jsonl'), '--subtitle', 'one'],
      'USAGE',
      /--subtitle is of a single clip/,
    ],
    [['--data', manifest, '--output', path('x.jsonl'), '--json'], 'USAGE', /--json is of a single clip/],
    [[], 'USAGE', /either a clip or --data/],
    [['nowhere.mp4'], 'CLIP_NOT_FOUND', /nowhere\.mp4/],
    [[path('clips')], 'CLIP_NOT_FOUND', /clips/],
    [
      [clip(rows[0]!), '--subtitle', 'one', '--subtitle', 'two'],
      'USAGE',
      /--subtitle is given more than once/,
    ],
    [[clip(rows[0]!), '--subtitle', 'word '.repeat(1200)], 'PROMPT_TOO_LONG', /has positions for 1024/],
    [[clip(rows[0]!), '--subtitle', '<AudioHere>'], 'PLACEHOLDER_IN_TEXT', /"train-0001": .*<AudioHere>/],
    [['--data', path('nowhere.jsonl'), '--output', path('x.jsonl')], 'FILE_NOT_FOUND', /nowhere\.jsonl/],
    [
      [clip(rows[0]!), '--set', 'lora.rank=8'],
      'CHECKPOINT_MISMATCH',
      /lora_A.* is \[4, 32\], the model has \[8, 32\]/,
    ],
    [
      ['--data', manifest, '--output', path('x.jsonl'), '--set', 'fusion.multi=qformer'],
      'CHECKPOINT_MISMATCH',
      /missing: multi_Qformer/,
    ],
    [
      [clip(rows[0]!), ...set({ 'train.steps': 3, 'engine.threads': 1, data: { manifest: 'm', faces: {} } })],
      'USAGE',
      /--set train\.steps, data\.manifest: prediction does not read that.* It reads model, fusion, lora, engine, compat, generation, data\.template/,
    ],
    [[clip(rows[0]!), '--set', 'generation.topk=8'], 'CONFIG_INVALID', /did you mean "topK"/],
  ])('%j is refused', async (argv, code, message) => {
    const { exitCode, out, err } = await run('predict', '--checkpoint', trained, ...argv);
    expect(err).toMatch(new RegExp(`^error\\[${code}\\]: `));
    expect(err).toMatch(message);
    expect(err).not.toContain('    at ');
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(existsSync(path('x.jsonl.part'))).toBe(false);
  });
});

import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { mmlaAnswer, mmlaPrompt } from '../../../src/data/mmla/prompts.ts';
import { mmlaTaskKeys } from '../../../src/data/mmla/tasks.ts';
import { buildPrompt } from '../../../src/data/prompts.ts';
import { loadTokenizer } from '../../../src/data/tokenizer.ts';
import { type AskedTask, defaultDecoding } from '../../../src/eval/mmla/answer/answerer.ts';
import { openRunAnswerer, type RunAnswererOptions } from '../../../src/eval/mmla/answer/run-answerer.ts';
import { openRun } from '../../../src/predict/open-run.ts';
import { Generator } from '../../../src/runtime/generator.ts';
import { run as command, makeWorkspace, set, succeed } from '../../e2e/workspace.ts';
import { fixturePath } from '../../support/fixture.ts';
import { jsonLines } from '../../support/json-lines.ts';
import { writeReleasedTask } from '../../support/mmla-files.ts';
import { answersTo, askedTask } from './samples.ts';

const { path, config, rows } = await makeWorkspace();
const decoding = { ...defaultDecoding, maxNewTokens: 4 };
const clip = (i: number) => path('clips', rows[i % rows.length]!.video as string);

/** Trains a step on samples of a task of MMLA, which bring their own questions and answers. */
async function train(name: string, settings: Record<string, unknown> = {}): Promise<string> {
  const { task, questions } = askedTask('MUStARD', { count: 4 });
  const manifest = path(`${name}.jsonl`);
  const samples = questions
    .filter(({ prompt }) => !prompt.includes('<FaceHere>'))
    .map(({ name: id, prompt, record }, i) => ({
      ...{ name: id, video: clip(i), subtitle: record.text, question: prompt },
      answer: mmlaAnswer(task, record.label, 'fixed'),
    }));
  await writeFile(manifest, jsonLines(samples));
  const data = { 'data.manifest': manifest, 'data.labelType': 'own', 'model.maxLength': 1024 };
  const all = { output: path(name), 'train.steps': 1, 'train.batchSize': 1, ...data, ...settings };
  await succeed('train', '--config', config, ...set(all));
  return path(name);
}

const text = await train('text', { 'model.inputs': 'textonly' });
const media = await train('media');

const open = async (run: string, more: Partial<RunAnswererOptions> = {}) =>
  openRunAnswerer({ ...(await openRun(run)), decoding, constrained: false, notify: () => {}, ...more });

/** Without the utterance that spells a placeholder, which a prompt with placeholders refuses. */
const asks = (key: string, count = 3): AskedTask => askedTask(key, { count });
const withVideos = (asked: AskedTask): AskedTask => ({
  ...asked,
  questions: asked.questions.map((one, i) => ({ ...one, record: { ...one.record, media: clip(i) } })),
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a run that is asked', () => {
  it('reads the questions of all twelve tasks within the prompt of its training', async () => {
    const tokenizer = await loadTokenizer(path('models', 'llm'));
    const read: string[] = [];
    vi.spyOn(Generator.prototype, 'answer').mockImplementation(async (_, { inputs, attentionMask }) => {
      const [batch, tokens] = attentionMask.shape as [number, number];
      return Array.from({ length: batch }, (__, row) => {
        const at = (i: number) => row * tokens + i;
        const ids = Array.from({ length: tokens }, (___, i) => i)
          .filter((i) => attentionMask.data[at(i)] === 1)
          .map((i) => inputs.inputIds!.data[at(i)]!);
        read.push(tokenizer.decode(ids));
        return { tokens: tokenizer.encode('said'), finish: 'length' as const, stopLength: 0 };
      });
    });
    const answerer = await open(text);
    const expected: string[] = [];
    for (const key of mmlaTaskKeys) {
      const asked = asks(key);
      expect((await answersTo(answerer, asked)).map(({ text: said }) => said)).toEqual([
        'said',
        'said',
        'said',
      ]);
      for (const { record } of asked.questions) {
        expected.push(
          `<|im_start|>${buildPrompt('textonly', record.text, mmlaPrompt(asked.task, record.text, 'fixed'))}`,
        );
      }
    }
    await answerer.dispose();
    expect(read).toEqual(expected);
  });

  it('answers the same each time, with text alone and with the media that it needs', async () => {
    for (const [run, asked] of [
      [text, asks('MELD')],
      [media, withVideos(asks('MELD'))],
    ] as const) {
      const answerer = await open(run);
      const answers = await answersTo(answerer, asked);
      expect(answers.map(({ name, finish }) => [name, finish])).toEqual(
        asked.questions.map(({ name }) => [name, expect.stringMatching(/stop|length/)]),
      );
      expect(await answersTo(answerer, asked)).toEqual(answers);
      expect(answerer.settings).toMatchObject({
        ...{ kind: 'run', template: null, decoding: { maxNewTokens: 4, temperature: 0 } },
        checkpoint: { name: 'step-000001', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      });
      await answerer.dispose();
    }
  });

  it('needs the videos of all samples, even where its training left bad ones out', async () => {
    const { config: saved, checkpoint } = await openRun(media);
    const lenient = { ...saved, data: { ...saved.data, onBadSample: 'skip' as const } };
    const answerer = await open(media, { config: lenient, checkpoint });
    const { questions, ...asked } = asks('MELD');
    const [first, ...others] = withVideos({ ...asked, questions }).questions;
    const gone = { ...first!, record: { ...first!.record, media: join('nowhere', 'clip.mp4') } };
    const bad = { ...asked, questions: [gone, questions[1]!, others[1]!] };
    await expect(answersTo(answerer, bad)).rejects.toMatchObject({
      code: 'SAMPLES_UNUSABLE',
      message: expect.stringMatching(/^2 of 3 samples .*there is no video file nowhere.*"MELD_1" gives no/),
    });
    await answerer.dispose();
  });

  it('without a place for questions is refused', async () => {
    const { config: saved, checkpoint } = await openRun(text);
    const template = { prompt: '{subtitle}', answer: '{label}', begin: false, end: 'eos' as const };
    const other = { ...saved, data: { ...saved.data, template } };
    await expect(open(text, { config: other, checkpoint })).rejects.toMatchObject({
      code: 'MMLA_RUN_WITHOUT_QUESTION',
    });
  });
});

describe('the choice of a run', () => {
  it('takes the label of the highest likelihood, which each label alone has too', async () => {
    const answerer = await open(text, { constrained: true });
    const asked = asks('AnnoMi-therapist');
    const answers = await answersTo(answerer, asked);
    for (const [i, { scores, text: said, finish }] of answers.entries()) {
      expect(Object.keys(scores!)).toEqual([...asked.task.labels]);
      const best = Object.entries(scores!).sort(([, a], [, b]) => b - a)[0]![0];
      expect(said).toBe(mmlaAnswer(asked.task, best, 'fixed'));
      expect(finish).toBe('chosen');
      // The same sample asked alone, about one label at a time: nothing is shared.
      if (i > 0) continue;
      for (const label of asked.task.labels) {
        const alone = {
          ...asked,
          task: { ...asked.task, labels: [label] },
          questions: asked.questions.slice(0, 1),
        };
        const [{ scores: own } = { scores: undefined }] = await answersTo(answerer, alone);
        expect(own![label]).toBeCloseTo(scores![label]!, 3);
      }
    }
    await answerer.dispose();
  });
});

describe('eval mmla --checkpoint', () => {
  const gold = fixturePath('mmla/release/MUStARD/test.tsv');
  const one = ['--task', 'MUStARD', '--gold', gold, '--max-new-tokens', '4'];
  const evaluate = (output: string, ...argv: string[]) =>
    command('eval', 'mmla', ...one, '--output', path(output), ...argv);

  it('answers, and says by which weights', async () => {
    const { exitCode, err } = await evaluate('answers', '--checkpoint', text, '--prompt', 'paper');
    expect(err).toMatch(/Asking text\/step-000001 about \d+ samples of MUStARD/);
    expect(exitCode).toBe(0);
    const report = JSON.parse(await readFile(path('answers', 'report.json'), 'utf8'));
    expect(report.model).toMatchObject({
      name: 'text/step-000001',
      provenance: expect.stringMatching(
        /^checkpoint text\/step-000001 \(sha256 [0-9a-f]{12}\), prompt paper, maxNewTokens 4, temperature 0$/,
      ),
    });
  });

  it('words questions as the training on MMLA did, where nobody says how', async () => {
    const settings = {
      ...{ 'data.manifest': null, 'data.dataset': 'mmla', 'data.root': fixturePath('mmla/release') },
      ...{ 'data.mmla.tasks': ['MUStARD'], 'data.mmla.prompt': 'mmla-text', 'model.inputs': 'textonly' },
    };
    const trained = await train('mmla', settings);
    expect((await evaluate('as-trained', '--checkpoint', trained)).exitCode).toBe(0);
    const report = JSON.parse(await readFile(path('as-trained', 'report.json'), 'utf8'));
    expect(report.model.provenance).toContain('prompt mmla-text');
    // What a leaderboard has to know besides.
    const size = { modality: 'text', parameters: expect.closeTo(0.0000565, 6) };
    expect(report.model).toMatchObject({ ...size, method: 'sft' });
  });

  it('finds videos where the training did', async () => {
    const rows = (split: string) => [`${split}_0\tYes.\tsincere`, `${split}_1\tSure.\tsarcastic`];
    writeReleasedTask(path('released'), 'MUStARD', {
      ...{ train: rows('a'), dev: rows('b'), test: rows('c') },
    });
    await mkdir(path('videos', 'MUStARD', 'video'), { recursive: true });
    for (const id of ['a_0', 'a_1', 'b_0', 'b_1', 'c_0', 'c_1']) {
      await cp(clip(0), path('videos', 'MUStARD', 'video', `MUStARD_${id}.mp4`));
    }
    const trained = await train('with-videos', {
      ...{ 'data.manifest': null, 'data.dataset': 'mmla', 'data.root': path('released') },
      ...{ 'data.mmla.tasks': ['MUStARD'], 'data.mmla.mediaRoot': path('videos') },
    });
    const { err, exitCode } = await command(
      ...['eval', 'mmla', '--checkpoint', trained, '--data-root', path('released')],
      ...['--output', path('of-videos'), '--max-new-tokens', '2'],
    );
    expect(err).toContain('Asking with-videos/step-000001 about 2 samples of MUStARD');
    expect(exitCode).toBe(0);
    const report = JSON.parse(await readFile(path('of-videos', 'report.json'), 'utf8'));
    expect(report.model).toMatchObject({ modality: 'video', method: 'sft' });
  });

  it('asks about the tasks of its training, where none is named, and names a better checkpoint', async () => {
    const settings = {
      ...{ 'data.manifest': null, 'data.dataset': 'mmla', 'data.root': fixturePath('mmla/release') },
      ...{ 'data.mmla.tasks': ['MUStARD', 'MOSI'], 'model.inputs': 'textonly' },
    };
    const trained = await train('two-tasks', settings);
    await writeFile(join(trained, 'checkpoints', 'best'), 'step-000000\n');
    const { err, exitCode } = await command(
      ...['eval', 'mmla', '--checkpoint', trained, '--data-root', fixturePath('mmla/release')],
      ...['--output', path('of-training'), '--max-new-tokens', '2'],
    );
    expect(err).toContain('those that the run was trained on: MUStARD, MOSI.');
    expect(err).toMatch(
      /The checkpoint is step-000001; the best one by validation .* is step-000000: --checkpoint .*two-tasks.checkpoints.best\./,
    );
    expect(exitCode).toBe(0);
    const report = JSON.parse(await readFile(path('of-training', 'report.json'), 'utf8'));
    expect(report.tasks.map(({ task }: { task: string }) => task)).toEqual(['MOSI', 'MUStARD']);
    expect(report.model.method).toBe('it');
  });

  it.each<[string, string[], RegExp]>([
    [text, ['--media-root', 'videos'], /error\[USAGE\]: --media-root .* this model is shown none/],
    [text, ['--set', 'data.onBadSample=skip'], /error\[USAGE\]: --set data\.onBadSample: the evaluation/],
    [text, ['--set', 'generation.temperature=1'], /error\[USAGE\]: --set generation\.temperature/],
    [media, [], /error\[MMLA_MEDIA_MISSING\]: .*--media-root/],
  ])('refuses %s %j', async (run, argv, message) => {
    const { exitCode, err } = await evaluate('refused', '--checkpoint', run, ...argv);
    expect(err).toMatch(message);
    expect(exitCode).toBe(2);
  });
});

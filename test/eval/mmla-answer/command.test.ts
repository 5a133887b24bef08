import { existsSync } from 'node:fs';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readGold } from '../../../src/data/mmla/read-file.ts';
import { mmlaTask, mmlaTaskKeys, mmlaTasks } from '../../../src/data/mmla/tasks.ts';
import { openSafetensors } from '../../../src/io/safetensors.ts';
import { makeClip } from '../../data/make-media.ts';
import { run, succeed } from '../../e2e/workspace.ts';
import { ChatServer, sendError } from '../../support/chat-server.ts';
import { fixturePath } from '../../support/fixture.ts';
import { parseLines, readLines } from '../../support/json-lines.ts';
import { folderForFile } from '../../support/temporary-folder.ts';
import { writeInstructModel } from './samples.ts';

const folder = folderForFile();
const at = (...names: string[]) => join(folder, ...names);
const root = fixturePath('mmla/release');
let server: ChatServer;
beforeAll(async () => {
  server = await ChatServer.start();
});
beforeEach(() => {
  server.reset();
  // The first label that a question lists.
  server.reply = ({ text }) => /labels are: \[([^,\]]+)/.exec(text)?.[1] ?? 'nothing';
});
afterAll(async () => {
  await server.stop();
});

const endpoint = (cache: string) => [
  ...['--llm-url', server.baseUrl, '--llm-model', 'qwen', '--llm-cache', at(cache)],
];
const evaluate = (...argv: string[]) => run('eval', 'mmla', ...argv);
const testFile = (key: string) => join(root, mmlaTask(key).folder, 'test.tsv');

/** How many numbers the weights of a model are, by its file. */
async function writtenSize(model: string): Promise<{ readonly numbers: number }> {
  const { entries } = await openSafetensors(join(model, 'model.safetensors'));
  const sizes = [...entries.values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  return { numbers: sizes.reduce((a, b) => a + b, 0) };
}

interface TaskJson {
  readonly task: string;
  readonly n: number;
  readonly metrics: { readonly ACC: number };
}
const parse = (out: string): TaskJson[] => parseLines(out);

describe('eval mmla of a model', () => {
  it('answers about all twelve tasks, scores that, and says where it comes from', async () => {
    const output = at('all');
    const model = ['--data-root', root, '--output', output, '--system', 'Be brief.'];
    const { out, err } = await succeed('eval', 'mmla', ...endpoint('all-cache'), ...model, '--json');
    const sets = parse(out);
    expect(sets.map(({ task }) => task)).toEqual(mmlaTaskKeys);
    for (const [i, task] of mmlaTasks.entries()) {
      const gold = await readGold(testFile(task.key), task, 'test');
      const answers = await readLines(join(output, `${task.key}.jsonl`));
      expect(answers.map(({ name }) => name)).toEqual(gold.map(({ id }) => id));
      // Always the first label.
      const right = gold.filter(({ label }) => label === task.labels[0]).length;
      expect(sets[i]).toMatchObject({ n: gold.length, metrics: { ACC: right / gold.length } });
    }
    expect(err).toMatch(/Asking qwen about \d+ samples of MIntRec …/);
    const report = JSON.parse(await readFile(join(output, 'report.json'), 'utf8'));
    expect(report.model).toEqual({
      name: 'qwen',
      provenance: `qwen at ${server.baseUrl}, prompt fixed, system "Be brief.", text alone, maxNewTokens 128, temperature 0`,
      // Neither its size nor what it was trained on is known of an endpoint.
      modality: 'text',
    });
    // The same answers as stored ones.
    const stored = await succeed('eval', 'mmla', '--predictions', output, '--gold', root, '--json');
    expect(parse(stored.out)).toEqual(sets);
    // And they are not asked for again.
    server.seen.length = 0;
    const again = await succeed('eval', 'mmla', ...endpoint('no-cache'), ...model, '--json');
    expect(again.out).toBe(out);
    expect(server.seen).toEqual([]);
    const other = await evaluate(...endpoint('all-cache'), ...model.slice(0, 4));
    expect(other.err).toMatch(
      /error\[PREDICTIONS_OTHER_SETTINGS\]: .*model\.system was "Be brief\." and is null/,
    );
  });

  it('sends frames of the videos below the media root', async () => {
    const videos = at('videos', 'MUStARD', 'video');
    await mkdir(videos, { recursive: true });
    const clip = await makeClip(at('clip.mp4'));
    const gold = await readGold(testFile('MUStARD'), mmlaTask('MUStARD'), 'test');
    const [last, ...others] = gold.toReversed();
    for (const { id } of others) await cp(clip, join(videos, `${id}.mp4`));
    const one = ['--task', 'MUStARD', '--gold', testFile('MUStARD'), '--output', at('frames')];
    const media = ['--frames', '2', '--media-root', at('videos')];
    const { exitCode, err } = await evaluate(...endpoint('frames-cache'), ...one, ...media);
    expect(exitCode).toBe(2);
    expect(err).toMatch(new RegExp(`error\\[MMLA_ROWS_INVALID\\]: 1 fault was found: .*${last!.id}`));
    expect(server.seen).toEqual([]);
    await cp(clip, join(videos, `${last!.id}.mp4`));
    await succeed('eval', 'mmla', ...endpoint('frames-cache'), ...one, ...media);
    const report = JSON.parse(await readFile(at('frames', 'report.json'), 'utf8'));
    expect(report.model.modality).toBe('video');
    expect(server.seen).toHaveLength(gold.length);
    const [{ content }] = server.seen[0]!.body.messages as [{ content: { type: string }[] }];
    expect(content.map(({ type }) => type)).toEqual(['image_url', 'image_url', 'text']);
  });

  it('lets a decoder generate, and choose', async () => {
    const model = await writeInstructModel(at('models'));
    const one = ['--model', model, '--task', 'MOSI', '--gold', testFile('MOSI'), '--json'];
    await succeed('eval', 'mmla', ...one, '--output', at('generated'), '--max-new-tokens', '4');
    expect((await readLines(at('generated', 'MOSI.jsonl')))[0]).toMatchObject({
      finish: expect.stringMatching(/^(stop|length)$/),
    });
    const { out } = await succeed('eval', 'mmla', ...one, '--output', at('chosen'), '--constrained');
    expect(out).toContain('"invalid":{"unknown":0,"multi":0}');
    expect(Object.keys((await readLines(at('chosen', 'MOSI.jsonl')))[0]!.scores as object)).toEqual([
      'positive',
      'negative',
    ]);
    const report = JSON.parse(await readFile(at('chosen', 'report.json'), 'utf8'));
    expect(report.model.provenance).toMatch(
      /^llm \(sha256 [0-9a-f]{12}\), prompt fixed, choice likeliest gold answer$/,
    );
    // What a folder was trained on nobody knows.
    const { numbers } = await writtenSize(model);
    expect(report.model).toMatchObject({ modality: 'text', parameters: numbers / 1e9 });
    expect(report.model.method).toBeUndefined();
  });
});

describe.skipIf(process.platform === 'win32')('an evaluation that is killed', () => {
  const program = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

  it('goes on where it was, without asking or losing an answer twice', async () => {
    const output = at('killed');
    const tasks = ['--task', 'MELD', '--task', 'MOSI', '--data-root', root];
    const argv = ['eval', 'mmla', ...endpoint('killed-cache'), ...tasks, '--output', output];
    const wanted = await Promise.all(
      ['MELD', 'MOSI'].map((key) => readGold(testFile(key), mmlaTask(key), 'test')),
    );
    const child = execa(process.execPath, ['--import', 'tsx', program, ...argv, '--llm-concurrency', '1'], {
      ...{ reject: false, timeout: 50_000, stdin: 'ignore' },
    });
    // All of the first task and one of the second are answered.
    const before = wanted[0]!.length + 1;
    server.before = () => {
      if (server.seen.length > before) child.kill('SIGKILL');
      return undefined;
    };
    expect((await child).signal).toBe('SIGKILL');
    expect(existsSync(join(output, 'MELD.jsonl'))).toBe(true);
    expect(existsSync(join(output, 'MOSI.jsonl'))).toBe(false);
    server.before = () => undefined;
    server.seen.length = 0;
    const { err } = await succeed(...argv);
    expect(err).toMatch(/MELD\.jsonl is complete/);
    expect(server.seen.length).toBeLessThan(wanted[1]!.length);
    for (const [i, key] of ['MELD', 'MOSI'].entries()) {
      const answers = await readLines(join(output, `${key}.jsonl`));
      expect(answers.map(({ name }) => name)).toEqual(wanted[i]!.map(({ id }) => id));
    }
  }, 60_000);

  it('says which samples got no answer, and asks these alone', async () => {
    server.faults.push(undefined, sendError(400, 'not this one'));
    const one = ['--task', 'MOSI', '--gold', testFile('MOSI'), '--output', at('refused')];
    const argv = [...endpoint('refused-cache'), ...one, '--llm-concurrency', '1'];
    const { exitCode, err } = await evaluate(...argv);
    expect(exitCode).toBe(2);
    expect(err).toMatch(/error\[MMLA_ANSWERS_MISSING\]: 1 sample got no answer: .*not this one/);
    expect(existsSync(at('refused', 'report.json'))).toBe(false);
    server.seen.length = 0;
    await succeed('eval', 'mmla', ...argv);
    expect(server.seen).toHaveLength(1);
    const gold = await readGold(testFile('MOSI'), mmlaTask('MOSI'), 'test');
    expect((await readLines(at('refused', 'MOSI.jsonl'))).map(({ name }) => name)).toEqual(
      gold.map(({ id }) => id),
    );
  });
});

describe('usage of a model in eval mmla', () => {
  const [model, gold, output] = [
    ['--model', 'somewhere'],
    ['--task', 'MOSI', '--gold', testFile('MOSI')],
    ['--output', at('usage')],
  ];
  const url = ['--llm-url', 'http://localhost:1/v1', '--llm-model', 'm'];
  it.each<[string[], RegExp]>([
    [['--frames', '2', '--predictions', 'x', ...gold], /--frames is of --llm-url/],
    [[...model, ...gold, ...output, '--frames', '2'], /--frames is of --llm-url/],
    [[...model, ...gold, ...output, '--media-root', root], /--media-root is of --checkpoint or --llm-url/],
    [[...model, ...gold, ...output, '--set', 'engine.threads=1'], /--set is of --checkpoint/],
    [[...url, ...gold, ...output, '--constrained'], /--constrained is of --checkpoint or --model/],
    [[...url, ...gold, ...output, '--media-root', root], /this model is shown none/],
    [[...url.slice(0, 2), ...gold, ...output], /--llm-url needs --llm-model/],
    [[...url, ...model, ...gold, ...output], /--model and --llm-url are two models/],
    [['--predictions', 'x', '--prompt', 'paper'], /--prompt says how a model is asked/],
    [['--predictions', 'x', ...model, ...gold, ...output], /--predictions are answers that are there/],
    [[...model, ...gold], /--output DIR/],
    [[...model, ...output], /give --gold with a file, or --data-root/],
    [[...model, ...gold, ...output, '--constrained', '--temperature', '1'], /--temperature says nothing/],
    [[...model, ...gold, ...output, '--temperature', '-1'], /expected is a number from 0/],
    [[...url, ...gold, ...output, '--frames', '0'], /expected is a whole number from 1/],
    [[...gold], /--checkpoint, --model or --llm-url/],
  ])('%j', async (argv, message) => {
    const { exitCode, err } = await evaluate(...argv);
    expect(err).toMatch(/^error\[USAGE\]/);
    expect(err).toMatch(message);
    expect(exitCode).toBe(2);
  });
});

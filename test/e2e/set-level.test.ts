import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { ChatServer, sendError } from '../support/chat-server.ts';
import { run, succeed } from './workspace.ts';

const folder = await mkdtemp(join(tmpdir(), 'affectgpt-set-level-'));
const server = await ChatServer.start();
beforeEach(() => server.reset());
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});
const path = (...names: string[]) => join(folder, ...names);

/** Of each sample what it is labelled with and what was answered. */
type Samples = Readonly<Record<string, readonly [labels: readonly string[], predicted: readonly string[]]>>;

/** Files of these samples, as arguments. */
async function filesOf(name: string, samples: Samples): Promise<string[]> {
  const rows = Object.entries(samples);
  const labels = rows.map(([sample, [words]]) => `${sample},"[${words.join(', ')}]"\n`);
  const answers = rows.map(([sample, [, words]]) => `${JSON.stringify({ name: sample, labels: words })}\n`);
  await writeFile(path(`${name}.csv`), `name,openset\n${labels.join('')}`);
  await writeFile(path(`${name}.jsonl`), answers.join(''));
  return ['--predictions', path(`${name}.jsonl`), '--labels', path(`${name}.csv`)];
}

const evaluate = (...argv: string[]) => ['eval', 'mer-unibench', '--dataset', 'ovmerd', ...argv];

async function reportOf(output: string) {
  const report = JSON.parse(await readFile(path(output, 'report.json'), 'utf8'));
  const [checkpoint] = report.sets[0].checkpoints;
  const samples = Object.fromEntries(
    checkpoint.samples.map((sample: { name: string; setLevel: object }) => [sample.name, sample.setLevel]),
  );
  return { report, checkpoint, samples };
}

// On wheel 1 happy and joy are one group; blorp and blip are on none.
const known: Samples = {
  a: [
    ['Happy', 'sad'],
    ['joy', 'blorp'],
  ],
  b: [['anger'], ['Anger']],
  c: [['worried', 'uneasy'], []],
  d: [['sad', 'blip', 'happy'], ['joy']],
};

describe('--set-level wheel', () => {
  it('scores what was worked out by hand, in all reports', async () => {
    const files = await filesOf('known', known);
    const argv = [...files, '--set-level', 'wheel', '--resamples', '100', '--output', path('wheel')];
    const { out } = await succeed(...evaluate(...argv));
    expect(out).toContain('- set level: groups of wheel 1, level 1, word table corrected\n');
    // a: {happy, sad} and {happy, blorp}; d: {sad, blip, happy} and {happy}.
    // Accuracy_s (1/2 + 1 + 0 + 1) / 4, Recall_s (1/2 + 1 + 0 + 1/3) / 4.
    const row = /\| known +\| +62\.50 \| +45\.83 \| 54\.17 \| +\d+\.\d\d to \d+\.\d\d \| +4 \| +4 \|\n/;
    expect(out).toMatch(row);
    expect(await readFile(path('wheel', 'report.md'), 'utf8')).toMatch(row);
    expect(await readFile(path('wheel', 'report.html'), 'utf8')).toContain(
      '<td>known</td><td class="number">62.50</td><td class="number">45.83</td><td class="number">54.17</td>',
    );
    const { report, checkpoint, samples } = await reportOf('wheel');
    expect(report.setLevel).toBe('groups of wheel 1, level 1, word table corrected');
    const { accuracy, recall, average, n, nScored, interval } = checkpoint.setLevel;
    expect({ accuracy, n, nScored }).toEqual({ accuracy: 0.625, n: 4, nScored: 4 });
    expect(recall).toBeCloseTo(11 / 24, 12);
    expect(average).toBeCloseTo(13 / 24, 12);
    expect(interval).toMatchObject({ confidence: 0.95, resamples: 100 });
    expect(samples).toEqual({
      a: { accuracy: 0.5, recall: 0.5 },
      b: { accuracy: 1, recall: 1 },
      c: { accuracy: 0, recall: 0 },
      d: { accuracy: 1, recall: 1 / 3 },
    });
  });

  it('takes the wheel and the level that are named, and has no interval under paper', async () => {
    // Excited is surprised on wheel 1 and happy on wheel 2; at level 2 they are playful and content there.
    const files = await filesOf('levels', { d: [['happy', 'sad'], ['excited']] });
    const score = async (...more: string[]) => {
      const argv = ['--protocol', 'paper', '--set-level', 'wheel', '--output', path('levels'), ...more];
      await succeed(...evaluate(...files, ...argv));
      const { report, checkpoint } = await reportOf('levels');
      return [report.setLevel, checkpoint.setLevel];
    };
    const nothing = { accuracy: 0, recall: 0, average: 0, n: 1, nScored: 1 };
    const detail = (wheel: number, level: number) =>
      `groups of wheel ${wheel}, level ${level}, word table published`;
    expect(await score()).toEqual([detail(1, 1), nothing]);
    const found = { ...nothing, accuracy: 1, recall: 0.5, average: 0.75 };
    expect(await score('--grouping-wheel', '2')).toEqual([detail(2, 1), found]);
    expect(await score('--grouping-wheel', '2', '--level', '2')).toEqual([detail(2, 2), nothing]);
  });

  it('scores every checkpoint; which is best stays a matter of F', async () => {
    const labels = path('both.csv');
    await writeFile(labels, 'name,openset\na,"[happy, blip]"\n');
    await mkdir(path('both'));
    // F of epoch 2 is the better one since paper drops blorp and blip; Avg of epoch 1 is.
    const answers = { 'epoch-1': ['blip'], 'epoch-2': ['joy', 'blorp', 'blurp'] };
    for (const [name, words] of Object.entries(answers)) {
      await writeFile(path('both', `${name}.jsonl`), `${JSON.stringify({ name: 'a', labels: words })}\n`);
    }
    const argv = ['--predictions', path('both'), '--labels', labels, '--protocol', 'paper'];
    const { out } = await succeed(
      ...evaluate(...argv, '--set-level', 'wheel', '--output', path('both-report')),
    );
    expect(out).toMatch(/\| epoch-1 +\| +100\.00 \| +50\.00 \| 75\.00 \| +– \| +1 \| +1 \|\n/);
    expect(out).toMatch(/\| epoch-2 +\| +33\.33 \| +50\.00 \| 41\.67 \| +– \| +1 \| +1 \|\n/);
    const text = await readFile(path('both-report', 'report.md'), 'utf8');
    expect(text).toMatch(/\| epoch-2 +\| 100\.00 \* \|\n/);
  });

  it('leaves what --json prints as it is', async () => {
    const files = await filesOf('printed', known);
    const argv = [...files, '--resamples', '100', '--json'];
    const plain = await succeed(...evaluate(...argv));
    const with2024 = await succeed(...evaluate(...argv, '--set-level', 'wheel', '--output', path('printed')));
    expect(with2024.out).toBe(plain.out);
    expect(Object.keys(JSON.parse(plain.out).checkpoints[0].metrics)).toEqual(['f', 'precision', 'recall']);
    // A report with it is one that can be compared.
    const { out } = await succeed('eval', 'compare', path('printed'), path('printed'), '--resamples', '100');
    expect(out).toContain('| OV-MERD |');
  });
});

describe('--set-level llm', () => {
  const samples: Samples = {
    ...known,
    e: [
      ['fear', 'sad'],
      ['afraid', 'blue'],
    ],
    f: [
      ['afraid', 'blue'],
      ['fear', 'sad'],
    ],
  };
  const asked = (text: string) => text.slice(text.lastIndexOf('Input: '));
  const endpoint = () => ['--llm-url', server.baseUrl, '--llm-model', 'gpt', '--set-level', 'llm'];

  it('asks for groups as published, once, and says which replies it could not read', async () => {
    server.reply = ({ text }) => {
      if (text.includes('joy') && text.includes('blorp')) {
        return "Output: [['happy', 'joy'],\n ['sad'], ['blorp']]";
      }
      return text.includes('afraid') ? "[['afraid', 'fear']]" : 'I cannot group these.';
    };
    const files = await filesOf('asked', samples);
    const cache = ['--llm-cache', path('replies')];
    const argv = [...files, ...endpoint(), ...cache, '--resamples', '100', '--output', path('llm')];
    const { out, err } = await succeed(...evaluate(...argv));
    expect(out).toMatch(
      /- set level: groups by gpt at http:\/\/127\.0\.0\.1:\d+\/v1, temperature 0, maxTokens 1000\n/,
    );
    // No grouping changes the scores of b and c; e and f are the same question.
    expect(server.seen.map(({ text }) => asked(text)).sort()).toEqual([
      "Input: ['afraid', 'blue', 'fear', 'sad'] Output:",
      "Input: ['blip', 'happy', 'joy', 'sad'] Output:",
      "Input: ['blorp', 'happy', 'joy', 'sad'] Output:",
    ]);
    expect(server.seen[0]!.body).toEqual({
      model: 'gpt',
      messages: [{ role: 'user', content: server.seen[0]!.text }],
      ...{ temperature: 0, max_tokens: 1000 },
    });
    expect(server.seen[0]!.text).toMatch(/^Please assume the role .* Please group the emotions, /);
    const { checkpoint, samples: scores } = await reportOf('llm');
    expect(scores).toEqual({
      a: { accuracy: 0.5, recall: 0.5, groups: [['happy', 'joy'], ['sad'], ['blorp']] },
      b: { accuracy: 1, recall: 1 },
      c: { accuracy: 0, recall: 0 },
      d: { accuracy: 0, recall: 0, groups: [['I cannot group these.']] },
      // {afraid, sad} and {afraid, blue}, either way round.
      e: { accuracy: 0.5, recall: 0.5, groups: [['afraid', 'fear']] },
      f: { accuracy: 0.5, recall: 0.5, groups: [['afraid', 'fear']] },
    });
    expect(checkpoint.setLevel.average).toBeCloseTo(2.5 / 6, 12);
    const findings = checkpoint.findings.filter(({ kind }: { kind: string }) => kind.startsWith('groups-'));
    expect(findings.map(({ kind, of }: { kind: string; of: string[] }) => [kind, of])).toEqual([
      ['groups-unreadable', ['d']],
      ['groups-incomplete', ['e', 'f']],
    ]);
    expect(err).toMatch(
      /asked\.jsonl: set level: samples about which the reply has no group .* \(1\): d\.\n/,
    );
    expect(await readFile(path('llm', 'report.md'), 'utf8')).toMatch(/leaves out words.* \(2\): e, f\./);
    expect((await succeed(...evaluate(...argv))).out).toBe(out);
    expect(server.seen).toHaveLength(3);
  });

  it('says which replies were cut, and may ask another model than the one that extracts', async () => {
    server.finish = 'length';
    server.reply = ({ text }) =>
      text.includes('Please group') ? "[['happy', 'joy" : text.includes('clue a') ? '[joy]' : '[sad]';
    await writeFile(path('clues.jsonl'), '{"name":"a","text":"clue a"}\n');
    await writeFile(path('clues.csv'), 'name,openset\na,[happy]\n');
    const argv = ['--predictions', path('clues.jsonl'), '--labels', path('clues.csv'), '--extractor', 'llm'];
    await succeed(
      ...evaluate(...argv, ...endpoint(), '--grouping-model', 'other', '--protocol', 'paper'),
      ...['--llm-cache', path('clues'), '--output', path('cut')],
    );
    expect(server.seen.map(({ body }) => body.model)).toEqual(['gpt', 'other']);
    const { checkpoint } = await reportOf('cut');
    expect(checkpoint.setLevel.average).toBe(1);
    const kinds = checkpoint.findings.map(({ kind }: { kind: string }) => kind);
    expect(kinds).toContain('groups-cut');
    expect(kinds).not.toContain('groups-incomplete');
  });

  it('names the samples that got no reply', async () => {
    server.faults.push(...Array.from({ length: 3 }, () => sendError(400, 'too long')));
    const files = await filesOf('refused', samples);
    const cache = ['--llm-cache', path('refused')];
    const { exitCode, err } = await run(...evaluate(...files, ...endpoint(), ...cache));
    expect(exitCode).toBe(2);
    expect(err).toMatch(/error\[GROUPING_FAILED\]: .* about 3 texts: .*too long/);
  });
});

describe('what is refused', () => {
  const files = ['--predictions', path('gone'), '--labels', path('gone')];
  const sets = /--set-level is of open vocabularies: ovmerdplus, ovmerd and mer2025ov\./;
  it.each<[readonly string[], RegExp]>([
    [['--dataset', 'meld', '--set-level', 'wheel'], sets],
    [['--dataset', 'sims', '--set-level', 'wheel'], sets],
    [['--dataset', 'ovmerd', '--set-level', 'synonyms'], /wheel, llm|"wheel", "llm"/],
    [['--dataset', 'ovmerd', '--set-level', 'wheel', '--grouping-wheel', '6'], /1, 2, 3, 4, 5/],
    [['--dataset', 'ovmerd', '--grouping-wheel', '2'], /--grouping-wheel is of --set-level wheel/],
    [
      ['--dataset', 'ovmerd', '--set-level', 'wheel', '--grouping-model', 'x'],
      /--grouping-model is of --set-level llm/,
    ],
    [
      ['--dataset', 'ovmerd', '--set-level', 'wheel', '--llm-url', 'http://x/v1'],
      /--llm-url is of the extractor llm/,
    ],
    [['--dataset', 'ovmerd', '--set-level', 'llm', '--llm-model', 'x'], /--set-level llm needs --llm-url/],
    [['--dataset', 'ovmerd', '--set-level', 'llm', '--llm-url', 'http://x/v1'], /or --grouping-model/],
    [
      [
        ...['--dataset', 'ovmerd', '--set-level', 'llm', '--llm-url', 'http://x/v1'],
        ...['--llm-model', 'folder', '--extractor', 'local'],
      ],
      /with --grouping-model/,
    ],
    [['--dataset', 'ovmerd', '--set-level', 'wheel', '--json'], /give --output DIR/],
  ])('%j', async (argv, message) => {
    const { exitCode, out, err } = await run('eval', 'mer-unibench', ...files, ...argv);
    expect(err).toMatch(/^error\[USAGE\]: [^\n]+\n$/m);
    expect(err).toMatch(message);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
  });
});

import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BenchmarkKey, benchmarkDatasets } from '../../src/eval/mer-unibench/datasets.ts';
import { expectedSets } from '../eval/mer-unibench/expected-sets.ts';
import { ChatServer } from '../support/chat-server.ts';
import { fixturePath } from '../support/fixture.ts';
import { jsonLines, parseLines } from '../support/json-lines.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { run, succeed } from './workspace.ts';

const folder = folderForFile();
const path = (...names: string[]) => join(folder, ...names);

const keys = Object.keys(benchmarkDatasets) as BenchmarkKey[];
const nine = keys.filter((key) => benchmarkDatasets[key].inMean);
const fixture = (key: BenchmarkKey, ...names: string[]) => join(fixturePath(`npz/sets/${key}`), ...names);
const evaluate = (...argv: string[]) => ['eval', 'mer-unibench', ...argv];
const filesOf = (key: BenchmarkKey) => [
  ...['--dataset', key, '--predictions', fixture(key, 'predictions')],
  ...['--labels', fixture(key, benchmarkDatasets[key].labelFile)],
];

interface Printed {
  readonly dataset: string;
  readonly metric: string;
  readonly checkpoints: readonly {
    readonly score: number;
    readonly metrics: Record<string, number>;
  }[];
}

async function figures(...argv: string[]): Promise<Printed[]> {
  const { out } = await succeed(...evaluate(...argv, '--json'));
  return parseLines(out);
}

describe.each(keys)('eval mer-unibench --dataset %s', (key) => {
  it.each(['paper', 'strict'] as const)('prints what was worked out by hand, under %s', async (protocol) => {
    const [printed, ...more] = await figures(...filesOf(key), '--protocol', protocol);
    expect(more).toEqual([]);
    const { metric } = benchmarkDatasets[key];
    const best = protocol === 'paper' ? { best: 'checkpoint_000030_loss_0.602' } : {};
    expect(printed).toEqual({
      ...{ benchmark: 'mer-unibench', dataset: key, metric, protocol, extractor: 'stored', seed: 42 },
      wheelTable: protocol === 'paper' ? 'published' : 'corrected',
      checkpoints: [expect.objectContaining({ name: 'checkpoint_000030_loss_0.602', n: 5 })],
      ...best,
    });
    const [{ score, metrics }] = printed!.checkpoints as [Printed['checkpoints'][0]];
    const second = { hit: 'hit', sentiment: 'acc', ew: 'precision' }[metric];
    expectedSets[key][protocol].forEach((wanted, i) => {
      expect(i === 0 ? score : metrics[second]).toBeCloseTo(wanted, 12);
    });
  });
});

describe('several sets at once', () => {
  it('are found by their keys, scored, and put into one report', async () => {
    for (const key of nine) {
      const { layout, labelFile } = benchmarkDatasets[key];
      // As published: a folder of results for each set, with one of a run in it.
      await cp(fixture(key, 'predictions'), path('output', `results-${key}`, 'run_1'), { recursive: true });
      await mkdir(path('dataset', layout.folder), { recursive: true });
      await cp(fixture(key, labelFile), path('dataset', layout.folder, labelFile));
    }
    const sets = nine.flatMap((key) => ['--dataset', key]);
    const where = ['--predictions', path('output'), '--labels', path('dataset')];
    const { out, err } = await succeed(...evaluate(...sets, ...where, '--output', path('report')));
    expect(out).toMatch(/^- protocol: strict.*\n- checkpoint: checkpoint_000030_loss_0\.602\n/);
    expect(out).toMatch(/MER2023 .* OV-MERD\+ \| fine-grained \| +basic \| sentiment \| +mean \|\n/);
    expect(err).toContain('5 labelled samples, and the test split of MELD has 2610.');
    const report = JSON.parse(await readFile(path('report', 'report.json'), 'utf8'));
    const score = (key: BenchmarkKey) => expectedSets[key].strict[0]!;
    const mean = nine.reduce((sum, key) => sum + score(key), 0) / 9;
    expect(report.means).toMatchObject([
      { key: 'fine', score: score('ovmerdplus') },
      { key: 'basic', of: 4 },
      { key: 'sentiment', of: 4 },
      { key: 'mean', sets: nine, of: 9 },
    ]);
    expect(report.means[3].score).toBeCloseTo(mean, 12);
    expect(await readFile(path('report', 'report.md'), 'utf8')).toContain('## CH-SIMS v2');
    expect(await readFile(path('report', 'report.html'), 'utf8')).toContain('<h2>CH-SIMS v2</h2>');
    const printed = await figures(...sets, ...where);
    expect(printed.map(({ dataset }) => dataset)).toEqual(nine);
  });

  it('are all named where their files are not there', async () => {
    const sets = ['--dataset', 'ovmerd', '--dataset', 'mer2025ov'];
    const { exitCode, err } = await run(
      ...evaluate(...sets, '--predictions', path('output'), '--labels', path('dataset')),
    );
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^error\[SET_FILES_NOT_FOUND\]: .*of ovmerd in .*results-ovmerd.*; of mer2025ov in /);
  });
});

const answers = [
  { name: 'a', text: "The character's emotional state is happy, excited." },
  { name: 'b', text: "The character's emotional state is sad." },
  { name: 'c', text: '' },
];
await mkdir(path('own', 'two'), { recursive: true });
await writeFile(path('own', 'predictions.jsonl'), jsonLines(answers));
await writeFile(
  path('own', 'labels.csv'),
  'name,openset\na,"[joyful]"\nb,"[\'sad\', \'angry\']"\nc,[worried]\n',
);
for (const [i, epoch] of ['epoch-1', 'epoch-2'].entries()) {
  await writeFile(path('own', 'two', `${epoch}.jsonl`), jsonLines(answers.slice(i)));
}
const own = [
  '--dataset',
  'ovmerd',
  '--predictions',
  path('own', 'predictions.jsonl'),
  '--labels',
  path('own', 'labels.csv'),
];
const two = [
  '--dataset',
  'ovmerd',
  '--predictions',
  path('own', 'two'),
  '--labels',
  path('own', 'labels.csv'),
];

describe('answers of one own', () => {
  it('are read by rules, whatever their order', async () => {
    const [forward] = await figures(...own);
    expect(forward).toMatchObject({
      extractor: 'rules',
      checkpoints: [{ name: 'predictions', n: 3, nScored: 3 }],
    });
    await writeFile(path('own', 'reversed.jsonl'), jsonLines([...answers].reverse()));
    const [backward] = await figures(...own.with(3, path('own', 'reversed.jsonl')));
    expect(backward!.checkpoints[0]!.metrics).toEqual(forward!.checkpoints[0]!.metrics);
    expect(backward!.checkpoints[0]!.score).toBe(forward!.checkpoints[0]!.score);
  });

  it('are looked at on the other level and under twelve groupings', async () => {
    const [printed] = await figures(...own, '--level', '2', '--all-levels', '--protocol', 'paper');
    expect(printed!.checkpoints[0]!.metrics.twelve).toHaveLength(12);
    const { out } = await succeed(
      ...evaluate(...own, '--level', '2', '--all-levels', '--wheel-table', 'published'),
    );
    expect(out).toMatch(/word table: published, level 2 of the wheels/);
    expect(out).toMatch(/\| wheel 5, level 2 +\| +\d/);
  });

  it('of several checkpoints: best or picked', async () => {
    const [paper] = await figures(...two, '--protocol', 'paper');
    expect(paper).toMatchObject({ best: 'epoch-1', checkpoints: [{ name: 'epoch-1' }, { name: 'epoch-2' }] });
    const [strict] = await figures(...two, '--pick', 'epoch-2');
    expect(strict).toMatchObject({ checkpoints: [{ name: 'epoch-2', n: 3 }] });
  });

  it('give the same intervals for the same seed', async () => {
    const interval = async (...argv: string[]) => {
      await succeed(...evaluate(...own, '--output', path('seeded'), ...argv));
      const report = JSON.parse(await readFile(path('seeded', 'report.json'), 'utf8'));
      return [report.seed, report.resamples, report.sets[0].checkpoints[0].interval];
    };
    const first = await interval('--seed', '7', '--resamples', '100');
    expect(first.slice(0, 2)).toEqual([7, 100]);
    expect(await interval('--seed', '7', '--resamples', '100')).toEqual(first);
    expect(await interval('--seed', '8', '--resamples', '100')).not.toEqual(first);
  });
});

describe('a language model that looks for the words', () => {
  const asked = ({ text }: { text: string }) => text.slice(text.lastIndexOf('Input: '));
  const rows = [
    { name: 'a', text: 'A broad smile.' },
    { name: 'b', text: 'He frowns.' },
  ];

  it('is asked as published, once, and named in the report', async () => {
    const server = await ChatServer.start();
    try {
      server.reply = (chat) => {
        const input = asked(chat);
        if (chat.text.startsWith('Please act as')) return input.includes('Joyful') ? 'positive' : 'negative';
        return input.includes('smile') ? 'Output: [Joyful]' : '[angry, upset]';
      };
      await writeFile(path('own', 'described.jsonl'), jsonLines(rows));
      await writeFile(path('own', 'valence.csv'), 'name,valence\na,0.8\nb,-1\n');
      const argv = [
        ...['--dataset', 'sims', '--predictions', path('own', 'described.jsonl')],
        ...['--labels', path('own', 'valence.csv'), '--extractor', 'llm', '--llm-url', server.baseUrl],
        ...[
          '--llm-model',
          'some-model',
          '--llm-cache',
          path('replies'),
          '--output',
          path('llm'),
          '--seed',
          '3',
        ],
      ];
      const [printed] = await figures(...argv);
      expect(printed).toMatchObject({ extractor: 'llm', seed: 3, checkpoints: [{ score: 1, n: 2 }] });
      expect(server.seen).toHaveLength(4);
      expect(server.seen[0]!.body).toMatchObject({
        ...{
          model: 'some-model',
          temperature: 0.7,
          top_p: 0.8,
          repetition_penalty: 1.05,
          max_tokens: 512,
          seed: 3,
        },
      });
      expect(server.seen.map(({ text }) => text).filter((text) => text.includes('[Joyful]'))).toHaveLength(1);
      const report = JSON.parse(await readFile(path('llm', 'report.json'), 'utf8'));
      expect(report.extractorDetail).toMatch(/^some-model at http:.*, temperature 0\.7, .*seed 3$/);
      expect(await figures(...argv)).toEqual([printed]);
      expect(server.seen).toHaveLength(4);
    } finally {
      await server.stop();
    }
  });
});

describe('eval compare', () => {
  it('compares reports, and refuses other protocols', async () => {
    for (const epoch of ['epoch-1', 'epoch-2']) {
      await succeed(...evaluate(...two, '--pick', epoch, '--output', path(epoch)));
    }
    const { out, err } = await succeed(
      'eval',
      'compare',
      path('epoch-1'),
      path('epoch-2'),
      '--resamples',
      '100',
    );
    expect(err).toBe('');
    expect(out).toMatch(/## Differences to epoch-1\n\n(?:.*\n){2}\| epoch-2 \| OV-MERD \|/);
    const json = JSON.parse(
      (await succeed('eval', 'compare', path('epoch-1'), path('epoch-2'), '--json')).out,
    );
    expect(json.paired).toMatchObject([{ report: 'epoch-2', against: 'epoch-1', dataset: 'ovmerd' }]);
    await succeed(...evaluate(...two, '--protocol', 'paper', '--output', path('paper')));
    const refused = await run('eval', 'compare', path('epoch-1'), path('paper'));
    expect(refused).toMatchObject({ exitCode: 2, out: '' });
    expect(refused.err).toMatch(/^error\[REPORTS_DIFFER\]: .*protocol: strict \| paper/);
    const shown = await succeed('eval', 'compare', path('epoch-1'), path('paper'), '--allow-differences');
    expect(shown.out).toContain('**protocol differs: strict | paper**');
  });

  it('writes what it prints, and a page', async () => {
    const compare = ['eval', 'compare', path('epoch-1'), path('epoch-2'), '--resamples', '100'];
    const printed = await succeed(...compare);
    const { out, err } = await succeed(...compare, '--output', path('new', 'compared'));
    expect(out).toBe(printed.out);
    const files = ['compare.json', 'compare.md', 'compare.html'].map((name) => path('new', 'compared', name));
    expect(err).toBe(`wrote ${files.join(', ')}\n`);
    const [json, markdown, html] = await Promise.all(files.map((file) => readFile(file, 'utf8')));
    expect(html).toContain(`<dt>epoch-2</dt><dd>${path('epoch-2')}: epoch-2</dd>`);
    expect(markdown).toBe(out);
    expect(JSON.parse(json!)).toEqual(JSON.parse((await succeed(...compare, '--json')).out));
    const onFile = await run(...compare, '--output', path('own', 'labels.csv'));
    expect(onFile).toMatchObject({ exitCode: 2, out: '' });
    expect(onFile.err).toMatch(/^error\[NOT_A_FOLDER\]: /);
  });

  it.each([
    [[], 'USAGE', /two or more/],
    [['epoch-1'], 'USAGE', /two or more/],
    [
      ['epoch-1', 'gone'],
      'FILE_NOT_FOUND',
      /: report 2 of 2, [^ ]*\/gone, is not there\. Expected are folders that affectgpt eval mer-unibench --output wrote/,
    ],
    [
      ['gone', 'own', 'epoch-1'],
      'FILE_NOT_FOUND',
      /report 1 of 3, [^ ]*gone, is not there; report 2 of 3, [^ ]*own, is a folder without report\.json\./,
    ],
    [['epoch-1', 'own/labels.csv'], 'REPORT_INVALID', /labels\.csv/],
  ])('%j is refused', async (names, code, message) => {
    const { exitCode, out, err } = await run('eval', 'compare', ...names.map((name) => path(name)));
    expect(err).toMatch(new RegExp(`^error\\[${code}\\]: `));
    expect(err).toMatch(message);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
  });
});

describe('resamples of a comparison', () => {
  it('are at least 100', async () => {
    const few = await run('eval', 'compare', path('epoch-1'), path('epoch-2'), '--resamples', '99');
    expect(few).toMatchObject({ exitCode: 2, out: '' });
    expect(few.err).toMatch(/^error\[USAGE\]: --resamples is 99; expected is a whole number from 100/);
  });
});

const without = (argv: readonly string[], option: string) =>
  argv.filter((_, i) => argv[i] !== option && argv[i - 1] !== option);

describe('a wrong command line or file', () => {
  it('a file where the reports should go', async () => {
    const { exitCode, err } = await run(...evaluate(...own, '--output', path('own', 'labels.csv')));
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^error\[NOT_A_FOLDER\]: .*labels\.csv is a file/);
  });

  it.each<[string, readonly string[], string, RegExp]>([
    ['no set', without(own, '--dataset'), 'USAGE', /Missing required argument: dataset/],
    ['no predictions', without(own, '--predictions'), 'USAGE', /predictions/],
    ['no labels', without(own, '--labels'), 'USAGE', /labels/],
    [
      'an unknown set',
      own.with(1, 'mer2O23'),
      'BENCHMARK_DATASET_UNKNOWN',
      /"mer2O23"\. Did you mean "mer2023"\?/,
    ],
    ['a set twice', [...own, '--dataset', 'ovmerd'], 'USAGE', /--dataset ovmerd is given more than once/],
    ['no such predictions', own.with(3, path('gone.jsonl')), 'FILE_NOT_FOUND', /gone\.jsonl/],
    ['no such labels', own.with(5, path('gone.csv')), 'FILE_NOT_FOUND', /gone\.csv/],
    ['an empty folder', own.with(3, path('dataset')), 'PREDICTIONS_NONE', /holds no predictions/],
    ['labels of another set', own.with(1, 'mer2023'), 'ROWS_NO_COLUMN', /labels\.csv/],
    ['several checkpoints and no pick', two, 'PICK_REQUIRED', /--pick: epoch-1, epoch-2\./],
    ['an unknown pick', [...two, '--pick', 'epoch-12'], 'PICK_UNKNOWN', /Did you mean "epoch-1"\?/],
    [
      'a pick under paper',
      [...two, '--pick', 'epoch-1', '--protocol', 'paper'],
      'PICK_UNDER_PAPER',
      /--pick/,
    ],
    ['an unknown protocol', [...own, '--protocol', 'lenient'], 'USAGE', /paper/],
    ['a third level', [...own, '--level', '3'], 'USAGE', /1, 2/],
    [
      'too few resamples',
      [...own, '--resamples', '1'],
      'USAGE',
      /--resamples is 1; expected is a whole number from 100/,
    ],
    ['resamples under paper', [...own, '--resamples', '200', '--protocol', 'paper'], 'USAGE', /no intervals/],
    ['a wrong seed', [...own, '--seed', '-1'], 'USAGE', /--seed is -1/],
    ['levels of sentiments', [...filesOf('sims'), '--level', '2'], 'USAGE', /--level is of emotion words/],
    ['twelve groupings of hits', [...filesOf('meld'), '--all-levels'], 'USAGE', /--all-levels is of open/],
    ['nothing stored', [...own, '--extractor', 'stored'], 'EXTRACTOR_NOTHING_STORED', /-openset/],
    ['no endpoint', [...own, '--extractor', 'llm'], 'USAGE', /--llm-url and --llm-model/],
    ['an endpoint for rules', [...own, '--llm-model', 'x'], 'USAGE', /--llm-model is of the extractor llm/],
  ])('%s', async (_, argv, code, message) => {
    const output = path('refused');
    const { exitCode, out, err } = await run(...evaluate(...argv, '--output', output));
    expect(err).toMatch(new RegExp(`^error\\[${code}\\]: [^\\n]+\\n$`, 'm'));
    expect(err).toMatch(message);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(existsSync(output)).toBe(false);
  });
});

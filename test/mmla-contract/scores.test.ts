import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { mmlaTaskKeys } from '../../src/data/mmla/tasks.ts';
import { succeed } from '../support/command-output.ts';
import { jsonLines } from '../support/json-lines.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { type FixtureTask, filesOf, fixtures, fixtureTasks } from './fixtures.ts';

type Metrics = Readonly<Record<'ACC' | 'F1' | 'P' | 'R' | 'WF1' | 'WP', number>>;

interface ExpectedScores {
  readonly n: number;
  readonly invalid: { readonly unknown: number; readonly multi: number };
  readonly compat: Metrics;
  readonly strict: Metrics;
}

/** In percent, computed by expected-scores.py with scikit-learn and Python's regular expressions, nothing of the program. */
const expectedScores = JSON.parse(
  readFileSync(fileURLToPath(new URL('./expected-scores.json', import.meta.url)), 'utf8'),
) as Record<string, ExpectedScores>;

const folder = folderForFile();

interface ScoredTask {
  readonly benchmark: string;
  readonly task: string;
  readonly mode: string;
  readonly n: number;
  readonly metrics: Metrics;
  readonly invalid: ExpectedScores['invalid'];
  readonly perClass: readonly { readonly label: string; readonly support: number }[];
}

async function score(key: string, gold: string, ...more: string[]): Promise<ScoredTask> {
  const predictions = join(fixtures, 'predictions', `${key}.jsonl`);
  const files = ['--predictions', predictions, '--gold', gold];
  const { out } = await succeed('eval', 'mmla', '--task', key, ...files, '--json', ...more);
  return JSON.parse(out) as ScoredTask;
}

const goldFiles = (task: FixtureTask) => filesOf(task).filter(({ split }) => split === 'test');

/** Fractions and percent, which are rounded to eight decimals. */
function expectMetrics(found: Metrics, percent: Metrics): void {
  expect(Object.keys(found)).toEqual(['ACC', 'F1', 'P', 'R', 'WF1', 'WP']);
  for (const [name, value] of Object.entries(percent)) {
    expect(100 * found[name as keyof Metrics], name).toBeCloseTo(value, 6);
  }
}

it('has expected scores of every task', () => {
  expect(Object.keys(expectedScores)).toEqual(mmlaTaskKeys);
});

describe.each(fixtureTasks)('$key', (task) => {
  const { key, labels, rows } = task;
  const expected = expectedScores[key]!;

  it.each(['compat', 'strict'] as const)('scores as computed by hand: %s', async (mode) => {
    const scored = await score(key, goldFiles(task)[0]!.file, '--mode', mode);
    const { n, invalid } = expected;
    expect(scored).toMatchObject({ benchmark: 'mmla', task: key, mode, n, invalid });
    expectMetrics(scored.metrics, expected[mode]);
    const support = new Map(scored.perClass.map((one) => [one.label, one.support]));
    for (const label of labels) {
      expect(support.get(label)).toBe(rows.test.filter((row) => row.label === label).length);
    }
    expect(labels.length + (mode === 'strict' ? 0 : 2)).toBe(support.size);
  });

  it('scores alike whatever format the gold labels are in', async () => {
    const scored: ScoredTask[] = [];
    for (const { file } of goldFiles(task)) scored.push(await score(key, file));
    expect(scored.length).toBeGreaterThanOrEqual(3);
    for (const one of scored.slice(1)) expect(one).toEqual(scored[0]);
  });

  it('takes what its authors published as gold, whole or of any split', async () => {
    const answers = join(folder, `${key}.jsonl`);
    for (const { file, layout, rows: ofFile } of filesOf(task)) {
      if (layout !== 'upstream') continue;
      const named = ofFile.map(({ number, label }) => ({ name: `${key}_${number}`, text: label }));
      writeFileSync(answers, jsonLines(named.toReversed()));
      const argv = ['--predictions', answers, '--gold', file, '--json'];
      const { out } = await succeed('eval', 'mmla', '--task', key, ...argv);
      expect(JSON.parse(out), file).toMatchObject({ n: ofFile.length, metrics: { ACC: 1, WF1: 1 } });
    }
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { mmlaTaskKeys } from '../../src/data/mmla/tasks.ts';
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

let out = '';
beforeEach(() => {
  out = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
});
afterEach(() => {
  vi.restoreAllMocks();
});

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
  out = '';
  const predictions = join(fixtures, 'predictions', `${key}.jsonl`);
  const files = ['--predictions', predictions, '--gold', gold];
  expect(await main(['eval', 'mmla', '--task', key, ...files, '--json', ...more])).toBe(0);
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
});

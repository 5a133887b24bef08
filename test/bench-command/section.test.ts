import { describe, expect, it } from 'vitest';
import { compareCases } from '../bench/compare/cases.ts';
import type { Outcome } from '../bench/compare/contest.ts';
import { brokenGoals } from '../bench/compare/goals.ts';
import { caseSection, parseSection, renderSection, writeSection } from '../bench/compare/section.ts';

const figures = (ms: number, peakMb: number, promptMs: number | null = null): Outcome => ({
  ...{ ms, peakMb, promptMs, firstMs: 1, roof: 400, versions: {} },
});
const caseOf = (bench: string, size: string) =>
  compareCases.find((one) => one.bench === bench && one.size === size)!;
const stepS = caseOf('train-step', 's');
const stepL = caseOf('train-step', 'l');
const answerM = caseOf('generate', 'm');

describe('goals', () => {
  it('are those of the better of two modes, in time and memory', () => {
    const peers = { eager: figures(100, 1000), compiled: figures(90, 1100) };
    expect(brokenGoals(stepL, { ours: figures(45, 600), ...peers })).toEqual([]);
    expect(brokenGoals(stepL, { ours: figures(46, 601), ...peers })).toEqual([
      'train-step l: 1.96 times as fast, 2 is due',
      "train-step l: 0.60 of PyTorch's peak memory, at most 0.6 is due",
    ]);
  });

  it('are held by the mode that is left, and by nothing where nothing was measured', () => {
    const failed = { failure: 'no compiler' };
    expect(brokenGoals(stepS, { ours: figures(10, 1), eager: figures(15, 1), compiled: failed })).toEqual([]);
    expect(brokenGoals(stepS, { ours: failed, eager: figures(15, 1), compiled: failed })).toEqual([
      'train-step s: not compared, 1.5 times as fast is due',
    ]);
    expect(brokenGoals(stepL, { ours: figures(10, 1), eager: failed })).toHaveLength(2);
  });

  it('of an engine that computes in bf16 are those beside the bf16 modes', () => {
    const stepM = caseOf('train-step', 'm');
    const peers = { eager16: figures(130, 1), compiled16: figures(120, 1) };
    expect(brokenGoals(stepM, { ours16: figures(100, 1), ...peers }, ', openvino bf16')).toEqual([]);
    expect(brokenGoals(stepM, { ours16: figures(101, 1), ...peers }, ', openvino bf16')).toEqual([
      'train-step m, openvino bf16: 1.19 times as fast, 1.2 is due',
    ]);
    expect(brokenGoals(stepL, { ours16: figures(500, 1), ...peers })).toEqual([]);
    const { speed } = caseSection(stepM, { ours16: figures(100, 1), ...peers }, 1, 'now', 'x', ', xla bf16');
    expect(speed[0]!.slice(0, 9)).toEqual([
      ...['train-step m, xla bf16', '100.0', '–', '–', '–', '1.2 (bf16)', '130.0', '120.0', '1.20'],
    ]);
  });

  it('of answers are the prompt and each token', () => {
    const broken = brokenGoals(answerM, { ours: figures(5, 1, 30), eager: figures(10, 1, 20) });
    expect(broken).toEqual(['generate m, prompt: 0.67 times as fast, 1 is due']);
  });

  it('of the issue', () => {
    const due = Object.fromEntries(compareCases.map((one) => [`${one.bench} ${one.size}`, one.speedDue]));
    expect(due).toEqual({
      ...{ 'train-step s': 1.5, 'train-step m': 2, 'train-step l': 2, 'encode clip': 1.5 },
      ...{ 'encode hubert': 1.5, 'generate m': 1, 'generate l': 1 },
    });
    expect(stepL.memoryDue).toBe(0.6);
  });
});

describe('the section of the page', () => {
  const first = caseSection(
    stepS,
    { ours: figures(10, 300), eager: figures(25, 800), compiled: { failure: 'no | compiler\nfound' } },
    2e9,
    '2026-01-01 10:00 aaa',
    'a machine: two cores',
  );
  const second = caseSection(
    answerM,
    { ours: figures(10, 300, 70), eager: figures(20, 800, 35), eager16: figures(8, 700, 14) },
    null,
    '2026-01-02 11:00 bbb',
    'another machine',
  );

  it('shows ratios, shares of the roof and reasons', () => {
    expect(first.speed).toEqual([
      [
        ...['train-step s', '10.0', '25.0', 'failed: no | compiler\nfound', '2.50', '1.5'],
        ...['–', '–', '–', '2026-01-01 10:00 aaa'],
      ],
    ]);
    // 2e9 operations in 10 ms are 200 GFLOP/s, half of the roof; in 25 ms 80.
    expect(first.memory[0]!.slice(4)).toEqual([
      ...['0.38', '–', '1', '200', '400', '50', '80', '400', '20', '–', '2026-01-01 10:00 aaa'],
    ]);
    expect(second.speed.map((row) => [row[0], row[4]])).toEqual([
      ['generate m, prompt', '0.50'],
      ['generate m, a token', '2.00'],
    ]);
  });

  it('is read as it was written', () => {
    const read = parseSection(renderSection(first));
    expect(read.speed[0]![3]).toBe('failed: no | compiler found');
    expect(read.speed[0]![0]).toBe('train-step s');
    expect(read.memory).toEqual(first.memory.map((row) => row.map((cell) => cell.replace('\n', ' '))));
    expect([...read.conditions]).toEqual([...first.conditions]);
  });

  it('keeps the rows of other cases with their own date, and drops what nothing names', () => {
    const page = writeSection('# Page\n\ntext\n', second);
    const both = writeSection(page, first);
    expect(both.startsWith('# Page\n\ntext\n\n## Against PyTorch\n')).toBe(true);
    expect(both.indexOf('| train-step s')).toBeLessThan(both.indexOf('| generate m, prompt'));
    expect(both).toContain('- 2026-01-01 10:00 aaa: a machine: two cores\n- 2026-01-02 11:00 bbb: another');
    const again = { ours: figures(20, 300), eager: figures(25, 800) };
    const replaced = writeSection(
      `${both}after\n`,
      caseSection(stepS, again, 2e9, '2026-01-03 12:00 ccc', 'third'),
    );
    expect(replaced).not.toContain('aaa');
    expect(replaced.match(/\| train-step s /g)).toHaveLength(2);
    expect(replaced).toMatch(/\| train-step s +\| +20\.0 /);
    expect(replaced).toContain('2026-01-02 11:00 bbb |');
    expect(replaced.endsWith('<!-- compare:end -->\nafter\n')).toBe(true);
    const variant = caseSection(stepS, again, 2e9, '2026-01-03 12:00 ccc', 'third', ', xla');
    const names = parseSection(writeSection(replaced, variant)).speed.map(([name]) => name);
    expect(names).toEqual([
      ...['train-step s', 'train-step s, xla', 'generate m, prompt', 'generate m, a token'],
    ]);
    // Written again it does not change.
    expect(writeSection(replaced, caseSection(stepS, again, 2e9, '2026-01-03 12:00 ccc', 'third'))).toBe(
      replaced,
    );
  });

  it('refuses what it cannot merge', () => {
    expect(() => writeSection('<!-- compare:begin -->\n', first)).toThrow('one of them is missing');
    const other = '<!-- compare:begin -->\n| a | b |\n| - | - |\n<!-- compare:end -->\n';
    expect(() => writeSection(other, first)).toThrow('other columns');
  });
});

import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/errors.ts';
import { parseAbout } from '../../../src/eval/mmla/leaderboard/about.ts';
import { mergeReports } from '../../../src/eval/mmla/leaderboard/merge.ts';
import { readReports } from '../../../src/eval/mmla/leaderboard/read-reports.ts';
import type { MmlaModelFacts, MmlaReport } from '../../../src/eval/mmla/report/schema.ts';
import { folderWith, inputError } from '../../config/files.ts';
import { report, taskReport, writeReportTo } from './sample-reports.ts';

const merge = (reports: Readonly<Record<string, MmlaReport>>, about: readonly string[] = []) =>
  mergeReports(
    Object.entries(reports).map(([file, one]) => ({ file, report: one })),
    parseAbout(about),
  );

describe('reports of one model', () => {
  it('make one row, whose source names all files', () => {
    const [row, other, ...rest] = merge({
      'a.json': report('mine', [taskReport('MELD', 0.6, { half: 0.02 })], 'run 1'),
      'b.json': report('other', [taskReport('MELD', 0.5)]),
      'c.json': report('mine', [taskReport('MOSI', 0.8), taskReport('MUStARD', 0.7)], 'run 2'),
    });
    expect(rest).toEqual([]);
    expect(other!.model).toBe('other');
    expect(row).toMatchObject({ model: 'mine', vintage: 'ours', source: 'a.json: run 1; c.json: run 2' });
    expect(Object.keys(row!.cells)).toEqual(['MELD', 'MOSI', 'MUStARD']);
    expect(row!.cells.MELD).toMatchObject({ samples: 2610, metrics: { ACC: 60 } });
    expect(row!.cells.MELD!.intervals!.F1!.low).toBeCloseTo(58, 10);
    expect(row!.cells.MELD!.intervals!.F1!.high).toBeCloseTo(62, 10);
    expect(row!.cells.MOSI!.intervals).toBeUndefined();
  });

  it('may hold the same figures twice', () => {
    const same = report('mine', [taskReport('MELD', 0.6)]);
    const [row] = merge({ 'a.json': same, 'b.json': same });
    expect(Object.keys(row!.cells)).toEqual(['MELD']);
  });

  it('are refused where figures, splits or modes do not fit, all at once, with both files', () => {
    const error = inputError(() =>
      merge({
        'a.json': report('mine', [taskReport('MELD', 0.6), taskReport('MOSI', 0.5, { split: 'dev' })]),
        'b.json': report('mine', [taskReport('MELD', 0.61)]),
        'c.json': report('other', [taskReport('MELD', 0.61)]),
        'd.json': report('other', [taskReport('MOSI', 0.61, { mode: 'compat' })]),
      }),
    );
    expect(error.code).toBe('MMLA_REPORTS_CONFLICT');
    expect(error.message).toContain('a.json and b.json both have MELD of "mine"');
    expect(error.message).toContain('a.json: MOSI is scored on the dev split');
    expect(error.message).toMatch(
      /"other" is scored with --mode strict in c\.json .* --mode compat in d\.json/,
    );
  });

  it('say where fewer samples were scored, and over how many seeds', () => {
    const [seed] = taskReport('MELD', 0.6).seeds;
    const deviation = { ACC: 0.01, F1: 0.02, P: 0, R: 0, WF1: 0, WP: 0 };
    const [row] = merge({
      'a.json': report('mine', [taskReport('MELD', 0.6, { n: 50, deviation, seeds: [seed!, seed!] })]),
    });
    expect(row!.notes.join(' ')).toMatch(/Means over seeds \(2 of them\).*MELD 50 of 2610/);
    expect(row!.cells.MELD!.deviations).toMatchObject({ ACC: 1, F1: 2 });
    // What is scored on all that is released is whole, though the leaderboards count three more.
    const [chSims] = merge({ 'a.json': report('mine', [taskReport('Ch-sims', 0.6)]) });
    expect(chSims!.notes.join(' ')).not.toContain('Not scored');
  });
});

describe('what reports tell of their model', () => {
  const told = (name: string, task: string, facts: MmlaModelFacts): MmlaReport => {
    const one = report(name, [taskReport(task, 0.6)]);
    return { ...one, model: { ...one.model, ...facts } };
  };
  const sft = { method: 'sft', modality: 'text', parameters: 0.494 } as const;

  it('stands in its row where all of them tell it', () => {
    const [row] = merge({ 'a.json': told('mine', 'MELD', sft), 'b.json': told('mine', 'MOSI', sft) });
    expect(row).toMatchObject(sft);
    // The other report may be of a task that the run was not trained on.
    const { method, ...others } = sft;
    const [unsure] = merge({ 'a.json': told('mine', 'MELD', sft), 'b.json': told('mine', 'MOSI', others) });
    expect(unsure).toMatchObject({ method: null, ...others });
    const [none] = merge({ 'a.json': told('mine', 'MELD', {}) });
    expect(none).toMatchObject({ method: null, modality: null, parameters: null });
    expect(method).toBe('sft');
  });

  it('is said otherwise by --about, and refused where reports differ', () => {
    const reports = {
      'a.json': told('mine', 'MELD', sft),
      'b.json': told('mine', 'MOSI', { ...sft, method: 'it' }),
    };
    const error = inputError(() => merge(reports));
    expect(error.code).toBe('MMLA_REPORTS_CONFLICT');
    expect(error.message).toContain('the method of "mine" is sft in a.json and it in b.json');
    expect(merge(reports, ['mine=it'])[0]).toMatchObject({ ...sft, method: 'it' });
    expect(merge({ 'a.json': told('mine', 'MELD', sft) }, ['mine=audio'])[0]).toMatchObject({
      ...{ ...sft, modality: 'audio' },
    });
  });
});

describe('--about', () => {
  it('says what reports do not', () => {
    const [row] = merge({ 'a.json': report('a=b', [taskReport('MELD', 0.6)]) }, ['a=b=0.5B,sft,text']);
    expect(row).toMatchObject({ method: 'sft', modality: 'text', parameters: 0.5 });
  });

  it('is refused where it says nothing that is known, or names no model of the reports', () => {
    const error = inputError(() => parseAbout(['a', 'b=it,sft', 'c=it', 'c=it', 'd=huge']));
    expect(error.code).toBe('MMLA_ABOUT_INVALID');
    for (const part of ['"a"', '"b=it,sft"', 'c is described twice', '"d=huge"']) {
      expect(error.message).toContain(part);
    }
    expect(inputError(() => merge({}, ['mine=it'])).code).toBe('MMLA_ABOUT_UNUSED');
  });
});

describe('files of reports', () => {
  const failure = async (paths: readonly string[]): Promise<InputError> => {
    const thrown = await readReports(paths).catch((error: unknown) => error);
    if (thrown instanceof InputError) return thrown;
    throw new Error('expected an InputError');
  };

  it('are read, or found in the folder that is named', async () => {
    const folder = folderWith({});
    mkdirSync(path.join(folder, 'run'));
    const one = report('mine', [taskReport('MELD', 0.6)]);
    const file = writeReportTo(folder, 'a.json', one);
    const inside = writeReportTo(folder, 'run/report.json', one);
    const read = await readReports([file, path.join(folder, 'run')]);
    expect(read).toEqual([
      { file, report: one },
      { file: inside, report: one },
    ]);
  });

  it('that are no reports, are not there or have other tasks are refused, all at once', async () => {
    const folder = folderWith({ 'wrong.json': '{"format":"other"}' });
    const missing = path.join(folder, 'missing.json');
    const foreign = report('mine', [{ ...taskReport('MELD', 0.6), task: 'MELD2' }]);
    const error = await failure([
      missing,
      path.join(folder, 'wrong.json'),
      writeReportTo(folder, 'foreign.json', foreign),
    ]);
    expect(error.faults.map(({ code }) => code)).toEqual([
      ...['FILE_NOT_FOUND', 'MMLA_REPORT_INVALID', 'MMLA_REPORT_INVALID'],
    ]);
    expect(error.message).toContain('MELD2');
    expect(error.message).toContain(missing);
  });
});

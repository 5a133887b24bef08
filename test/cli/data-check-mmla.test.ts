import { appendFileSync, cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { MmlaReport } from '../../src/data/mmla/findings.ts';
import { commandInFolder } from '../support/command-output.ts';
import { fixturePath } from '../support/fixture.ts';
import { swiftRow, writeReleasedTask } from '../support/mmla-files.ts';
import { writeBelow } from '../support/temporary-folder.ts';

const fixtures = fixturePath('mmla');
const command = commandInFolder('data', () => ({}));

const check = (...argv: string[]) =>
  command.run('check', '--benchmark', 'mmla', '--root', command.folder, ...argv);

interface CheckJson extends MmlaReport {
  readonly check: string;
  readonly benchmark: string;
}

async function checkJson(...argv: string[]) {
  const { exitCode, out, err } = await check('--json', ...argv);
  expect(out.trimEnd().split('\n')).toHaveLength(1);
  return { exitCode, err, report: JSON.parse(out) as CheckJson };
}

const at = (...parts: string[]) => join(command.folder, ...parts);

const lay = (file: string, content: string) => writeBelow(command.folder, file, content);

/** Tables of the released set with so many rows. */
function layTables(key: string, labels: string[], counts: readonly number[]): void {
  const rows = (i: number) =>
    Array.from(
      { length: counts[i]! },
      (_, row) => `${i}_${row}\tWords ${i} ${row}\t${labels[row % labels.length]}`,
    );
  writeReleasedTask(command.folder, key, { train: rows(0), dev: rows(1), test: rows(2) });
}
const layMustard = () => layTables('MUStARD', ['sincere', 'sarcastic'], [414, 138, 138]);

describe('data check --benchmark mmla', () => {
  it('is content with what is whole', async () => {
    layMustard();
    const { exitCode, err, report } = await checkJson('--task', 'MUStARD', '--text-only');
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    expect(report).toMatchObject({
      check: 'data',
      benchmark: 'mmla',
      ok: true,
      samples: 690,
      mediaRoot: null,
    });
    const [task] = report.tasks;
    expect(task).toMatchObject({ task: 'MUStARD', absent: false, videos: null, findings: [], faults: [] });
    expect(task!.splits[0]).toEqual({
      ...{ split: 'train', file: at('MUStARD/train.tsv'), format: expect.stringContaining('TSV') },
      ...{ samples: 414, expected: 414, labels: { sincere: 207, sarcastic: 207 } },
    });
    expect(report.leakage.clips).toEqual([]);
    const { out } = await check('--task', 'MUStARD', '--text-only');
    expect(out).toContain('  train: 414 samples');
    expect(out).toContain('sincere 207, sarcastic 207');
    expect(out).toMatch(/690 samples, no faults\n$/);
  });

  it('takes known other counts for what they are', async () => {
    layTables('Ch-sims', ['neutral', 'positive', 'negative'], [2713, 644, 1034]);
    const { exitCode, report } = await checkJson('--task', 'Ch-sims', '--text-only');
    expect(exitCode).toBe(0);
    const { findings } = report.tasks[0]!;
    expect(findings.map(({ part, needed }) => [part, needed])).toEqual(Array(3).fill(['count', false]));
    expect(findings[0]!.message).toMatch(/train has 2713 .*2722 .*known: .*ms-swift/);
    layTables('Ch-sims', ['neutral'], [2712, 647, 1031]);
    const other = await checkJson('--task', 'Ch-sims', '--text-only');
    expect(other.exitCode).toBe(1);
    expect(other.report.tasks[0]!.findings).toMatchObject([{ part: 'count', needed: true }]);
    expect((await check('--task', 'Ch-sims', '--text-only', '--partial')).exitCode).toBe(0);
  });

  it('reads all tasks, and tells which clips and texts they share', async () => {
    cpSync(join(fixtures, 'release'), command.folder, { recursive: true });
    const { exitCode, report } = await checkJson('--text-only', '--partial');
    expect(exitCode).toBe(0);
    expect(report.tasks).toHaveLength(12);
    expect(report.tasks.every(({ absent, faults }) => !absent && faults.length === 0)).toBe(true);
    const shared = report.leakage.clips.map(({ heldOut, training, shared: count }) => [
      ...[`${heldOut.task} ${heldOut.split}`, `${training.task} ${training.split}`, count],
    ]);
    expect(shared).toEqual([
      ['MELD-DA test', 'MELD train', 4],
      ['IEMOCAP-DA test', 'IEMOCAP train', 3],
    ]);
    expect(report.leakage.texts).toHaveLength(24);
    const { out } = await check('--text-only', '--partial');
    expect(out).toContain('MELD-DA test: 4 of 16 clips (25.0 %) are in MELD train');
    // Neither counts nor splits are whole without --partial.
    const whole = await check('--text-only');
    expect(whole.exitCode).toBe(1);
    expect(whole.err).toMatch(/^error\[DATA_INCOMPLETE\]: [^\n]*36 faults, see the report\.\n$/);
  });

  it('names every fault with file and row, all at once', async () => {
    cpSync(join(fixtures, 'swift/MUStARD'), at('MUStARD'), { recursive: true });
    cpSync(join(fixtures, 'swift/MELD'), at('MELD'), { recursive: true });
    const row = (number: string, label: string, words = 'Words') =>
      JSON.stringify(swiftRow('MUStARD', words, label, `MUStARD_${number}`));
    // After 12 rows: an unknown label, a sample of train, bytes that are no UTF-8, the same sample twice.
    appendFileSync(at('MUStARD/test.jsonl'), `${row('9_1', 'ironic')}\n${row('1_0', 'sincere')}\n`);
    appendFileSync(
      at('MUStARD/test.jsonl'),
      Buffer.from(`${row('9_3', 'sincere', 'caf\u00e9')}\n`, 'latin1'),
    );
    appendFileSync(at('MUStARD/test.jsonl'), `${row('1_700', 'sincere')}\nnonsense\n`);
    // All of MELD's videos but one, and one of no bytes.
    for (const number of ['0_0', '0_1', '0_2', '0_4', '0_5', '0_6', '1039_0', '1039_1', '1039_2']) {
      lay(`MELD/video/MELD_${number}.mp4`, number === '0_2' ? '' : 'x');
    }
    for (let i = 0; i < 10; i++) lay(`MELD/video/MELD_1153_${i}.mp4`, 'x');
    const { exitCode, err, report } = await checkJson('--partial');
    expect(exitCode).toBe(1);
    expect(err).toMatch(/^error\[DATA_INCOMPLETE\]/);
    const faultsOf = (key: string) => report.tasks.find(({ task }) => task === key)!.faults;
    const found = (key: string) =>
      faultsOf(key).map(({ file, row: number, message }) => [file.split('/').at(-1), number, message]);
    expect(found('MELD')).toEqual([
      ['train.jsonl', 3, expect.stringMatching(/MELD_0_2\.mp4 is empty/)],
      ['train.jsonl', 4, expect.stringContaining('MELD_0_3.mp4')],
    ]);
    const rows = found('MUStARD').filter(([, , message]) => !String(message).includes('the video'));
    expect(rows).toEqual([
      ['test.jsonl', 13, expect.stringContaining('ironic')],
      ['test.jsonl', 14, expect.stringMatching(/MUStARD_1_0 is already that of .*train\.jsonl, row 1/)],
      ['test.jsonl', 15, expect.stringContaining('UTF-8')],
      ['test.jsonl', 16, expect.stringContaining('MUStARD_1_700')],
      ['test.jsonl', 17, expect.any(String)],
    ]);
    // No video of MUStARD is there.
    expect(found('MUStARD')).toHaveLength(rows.length + 2 + 2 + 13);
    const { out } = await check('--partial');
    for (const [file, number] of [...found('MELD'), ...found('MUStARD')]) {
      expect(out).toContain(`/${file}, row ${number}: `);
    }
  });

  it('lists tasks and splits that are not there, which are faults unless a part is enough', async () => {
    layMustard();
    const other = await checkJson('--text-only');
    expect(other.exitCode).toBe(1);
    expect(other.report.tasks.filter(({ absent }) => absent)).toHaveLength(11);
    expect((await check('--text-only', '--partial')).exitCode).toBe(0);
    const named = await check('--text-only', '--partial', '--task', 'MELD', '--task', 'MUStARD');
    expect(named.exitCode).toBe(1);
    expect(named.out).toMatch(/MELD: absent\n {2}FAULT/);

    rmSync(at('MUStARD'), { recursive: true });
    expect((await check('--text-only', '--partial')).exitCode).toBe(1);
    cpSync(join(fixtures, 'zero-shot/MELD-DA'), at('MELD-DA'), { recursive: true });
    const { findings } = (await checkJson('--text-only', '--task', 'MELD-DA')).report.tasks[0]!;
    expect(findings.map(({ part, needed }) => `${part} ${needed}`)).toEqual([
      'split true',
      'split true',
      'count true',
    ]);
    expect(findings[0]!.message).toMatch(/^train is not there.*EMOTyDA/);
  });

  it("finds videos by the user's rules, and asks for none where the release has none", async () => {
    cpSync(join(fixtures, 'swift/MOSI'), at('files/MOSI'), { recursive: true });
    cpSync(join(fixtures, 'swift/UR-FUNNY'), at('files/UR-FUNNY'), { recursive: true });
    for (const number of [0, 1, 500, 501]) lay(`far/clips/UR-FUNNY_${number}.mp4`, 'x');
    for (let i = 0; i < 12; i++) lay(`far/clips/UR-FUNNY_${700 + i}.mp4`, 'x');
    const run = (...argv: string[]) =>
      command.run('check', '--benchmark', 'mmla', '--root', at('files'), '--partial', ...argv);
    const without = await run();
    expect(without.exitCode).toBe(1);
    expect(without.err).toContain('--text-only where they are not wanted');
    const map = ['--map', `/mnt/shared/somebody/Datasets/UR-FUNNY/video=${at('far/clips')}`];
    const { exitCode, out } = await run(...map, '--json');
    expect(exitCode).toBe(0);
    const { tasks } = JSON.parse(out) as CheckJson;
    expect(tasks.find(({ task }) => task === 'UR-FUNNY')).toMatchObject({ videos: 16, faults: [] });
    expect(tasks.find(({ task }) => task === 'MOSI')).toMatchObject({ videos: 0, faults: [] });
    expect((await run('--media-root', at('far/clips'))).exitCode).toBe(0);
    const idle = await run('--map', '/mnt/other=/x');
    expect(idle).toMatchObject({ exitCode: 2, out: '' });
    expect(idle.err).toMatch(/^error\[MMLA_MAP_UNUSED\].*\/mnt\/other.*somebody/);
  });

  it.each([
    ['neither', [], /either --dataset or --benchmark/],
    ['both', ['--benchmark', 'mmla', '--dataset', 'meld'], /either --dataset or --benchmark/],
    ['another benchmark', ['--benchmark', 'mlma'], /Choices: "mmla"/],
    ['no videos, of a folder', ['--benchmark', 'mmla', '--text-only', '--media-root', '.'], /--media-root/],
    ['no videos, by a rule', ['--benchmark', 'mmla', '--text-only', '--map', 'a=b'], /--map/],
    ['a task twice', ['--benchmark', 'mmla', '--task', 'MELD', '--task', 'MELD'], /more than once/],
    ['splits', ['--benchmark', 'mmla', '--split', 'test'], /--split/],
    ['a manifest', ['--benchmark', 'mmla', '--write-manifest', 'x'], /--write-manifest/],
    ['files that are not wanted', ['--benchmark', 'mmla', '--without', 'face'], /--without/],
    ['a task of a data set', ['--dataset', 'meld', '--task', 'MELD'], /--task/],
    ['text of a data set', ['--dataset', 'meld', '--text-only'], /--text-only/],
  ])('refuses %s', async (_what, argv, message) => {
    const { exitCode, out, err } = await command.run('check', '--root', command.folder, ...argv);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(/^error\[USAGE\]/);
    expect(err).toMatch(message);
  });

  it.each([
    ['an unknown task', ['--task', 'meld'], 'MMLA_TASK_UNKNOWN'],
    ['half a rule', ['--map', 'x'], 'MMLA_MAP_INVALID'],
    ['a folder of videos that is not there', ['--media-root', '/nowhere/at/all'], 'DATASET_MISSING'],
  ])('refuses %s', async (_what, argv, code) => {
    const { exitCode, out, err } = await check(...argv);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(new RegExp(`^error\\[${code}\\]: [^\n]+\n$`));
  });
});

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readRun } from '../../src/runs/read-run.ts';
import { runPage, shellWord, writeRunReport } from '../../src/runs/report-page.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { fill, metrics, status, validation } from './run-folder.ts';

const evil = '<script>alert("1")</script>';
const escaped = '&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;';

const environment = {
  ...{ startedAt: '2026-03-01T10:00:00.000Z', step: 0, affectgpt: '0.1.0', node: '20.1.0' },
  engine: { name: 'onnxruntime', threads: 2 },
  packages: { 'onnxruntime-node': '1.30.0' },
  ...{ os: 'Linux', cpu: 'a processor', cores: 4, memoryBytes: 8e9, host: 'here' },
  ...{ workingFolder: '/work place', command: null, git: { commit: 'abc123', changed: true } },
  ffmpeg: 'ffmpeg version 7',
};

const configText = `# The whole configuration of a run
train:
  steps: 40 # set by user
  batchSize: 3
  validation:
    metric: emotionF
data:
  manifest: "clips/${evil.replaceAll('"', '\\"')}.jsonl" # set by user
`;

const whole = {
  'status.json': status(),
  'metrics.jsonl': metrics(40),
  'validation.jsonl': [
    validation(20, 2.5, 'first answer'),
    validation(40, 2.7, evil),
    validation(30, 2.6, ''),
  ],
  'config.yaml': configText,
  'samples.json': { a: '1', b: '2', c: '3' },
  'skipped.jsonl': [{ name: evil, reasons: ['no picture', evil] }],
  'log.txt': [
    '2026-03-01T10:00:01.000Z step 1/40  loss 3.0000  lr 1.00e-4  50 tokens/s  ETA 1s',
    '2026-03-01T10:00:02.000Z Spike in step 25: loss 9 is above 4 (median).',
    `2026-03-01T10:00:03.000Z Skipped sample "${evil}": x`,
    '2026-03-01T10:00:04.000Z Saved run/checkpoints/step-000040.',
    '',
  ].join('\n'),
  'environment.json': { starts: [environment, { ...environment, step: 20 }] },
  'checkpoints/latest': 'step-000040\n',
  'checkpoints/best': 'step-000020\n',
  'checkpoints/step-000020/state.json': {},
  'checkpoints/step-000040/state.json': {},
};

const pageOf = async (files: Readonly<Record<string, unknown>>): Promise<string> =>
  runPage(await readRun(await fill(await temporaryFolder(), files)));

/** A section by its heading, without the others. */
const section = (page: string, title: string): string =>
  page.split('<section>').find((part) => part.startsWith(`<h2>${title}</h2>`))!;

describe('the page of a run', () => {
  it('shows curves, answers, data, configuration, notes, checkpoints, environment and how to reproduce', async () => {
    const page = await pageOf(whole);
    expect(page).toContain('done: 40 of 40 steps');
    const curves = section(page, 'Curves');
    for (const title of ['Loss', 'Validation metrics', 'Learning rate', 'Gradient norm', 'Tokens a second']) {
      expect(curves).toContain(`<b>${title}</b>`);
    }
    expect(curves.match(/<svg /g)).toHaveLength(5);
    expect(curves).toContain('resumed after step 20');
    // Smoothed over its own lines, and the validations of three steps as dots.
    expect(curves).toMatch(/smoothed<\/span>/);
    expect(curves).toContain('<title>validation, 20: 2.5</title>');
    const answers = section(page, 'Answers on validation clips');
    expect(answers).toMatch(/clip-1[\s\S]*What is felt\?[\s\S]*joy[\s\S]*first answer[\s\S]*\(nothing\)/);
    const data = section(page, 'Data');
    expect(data).toMatch(/rows to train on<\/dt><dd>3<.*kept<\/dt><dd>2<.*dropped<\/dt><dd>1</);
    expect(data).toContain('no picture');
    const notes = section(page, 'Notes');
    expect(notes).toContain('Spike in step 25');
    expect(notes).not.toMatch(/loss 3\.0000|Saved run/);
    const checkpoints = section(page, 'Checkpoints on disk');
    expect(checkpoints).toMatch(/step-000020<\/td><td>best<[\s\S]*step-000040<\/td><td>latest</);
    expect(section(page, 'Environment')).toMatch(
      /onnxruntime, 2 threads[\s\S]*1\.30\.0[\s\S]*ffmpeg version 7[\s\S]*abc123, with changes/,
    );
    // Judged by the metric of the configuration, not by the loss.
    expect(page).toContain('emotionF 0.4000 after step 40');
  });

  it('marks what the user set', async () => {
    const config = section(await pageOf(whole), 'Configuration');
    expect(config).toMatch(/<td>train\.steps<\/td><td>40<\/td>/);
    expect(config).not.toContain('<td>train.batchSize</td>');
    expect(config).toContain('<span class="set">  steps: 40 # set by user</span>');
    expect(config).toContain('\n  batchSize: 3\n');
  });

  it('gives the command in words that a shell takes as they were, and a configuration', async () => {
    const page = section(await pageOf(whole), 'How to reproduce');
    expect(page).toContain(
      'cd &#39;/work place&#39;\naffectgpt train --config &#39;my config.yaml&#39; --set &#39;data.root=a&#39;\\&#39;&#39;b&#39;',
    );
    expect(page).toMatch(/--config \S+\/config\.yaml --set output=\S+-again/);
    expect(['a-b/c.d=1', '', 'a b', '$x', "it's"].map(shellWord)).toEqual([
      ...['a-b/c.d=1', "''", "'a b'", "'$x'", "'it'\\''s'"],
    ]);
  });

  it('escapes the text of every file, runs nothing and asks for nothing', async () => {
    const page = await pageOf({
      ...whole,
      'status.json': status({
        state: 'failed',
        exitCode: 3,
        error: { code: 'X', message: evil },
        command: ['affectgpt', evil],
      }),
      'validation.jsonl': [{ ...validation(1, 2, evil, evil), metrics: { [evil]: 1, other: 2 } }],
      'environment.json': { starts: [{ ...environment, cpu: evil, packages: { [evil]: evil } }] },
      'config.yaml': `a: [${evil}\n`,
    });
    expect(page).not.toContain('<script');
    // Error, command, three of the answer, metric, environment, data, notes, configuration.
    expect(page.split(escaped).length).toBeGreaterThan(10);
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/(?:src|href)=/);
    expect(page).toContain('prefers-color-scheme: dark');
  });
});

describe('a run folder that is not whole', () => {
  it('gives a page that says what is missing', async () => {
    const page = await pageOf({ 'metrics.jsonl': metrics(3) });
    expect(page).toContain('unknown: there is no status.json');
    for (const text of [
      'There is no config.yaml.',
      'There is no environment.json.',
      'not noted (there is no samples.json)',
      'No validation has been recorded yet.',
      'Nothing out of the ordinary in log.txt.',
      'is not noted: it was not started by a command of its own',
    ]) {
      expect(page).toContain(text);
    }
    expect(page).not.toContain('Not everything in this folder can be read');
  });

  it('gives a page that names what is torn and shows the rest', async () => {
    const lines = metrics(3).map((line) => JSON.stringify(line));
    const page = await pageOf({
      'status.json': '{"state":"don',
      'metrics.jsonl': `${lines.join('\n')}\n{"step":4,"lo`,
      'validation.jsonl': `${JSON.stringify(validation(2, 2.5, 'fine'))}\n{"step":"two"}\n`,
      'skipped.jsonl': '[]\n',
      'samples.json': '{"a":',
      'config.yaml': 'train: [1\n',
      'environment.json': '{"starts": 7}',
      'events.out.tfevents.1.here': 'nothing of the kind',
      'log.txt': '2026-03-01T10:00:03.000Z Half a li',
    });
    expect(page).toContain('Not everything in this folder can be read');
    for (const name of [
      ...['status.json is not the status', 'metrics.jsonl, row 4', 'validation.jsonl, row 2'],
      ...[
        'skipped.jsonl, row 1',
        'samples.json is not',
        'environment.json is not',
        'config.yaml:',
        'events.out.tfevents.1.here, byte 0',
      ],
    ]) {
      expect(page).toContain(name);
    }
    expect(page).toContain('fine');
    expect(page).toContain('<title>validation, 2: 2.5</title>');
    expect(page).toContain('Half a li');
    expect(page).toContain('last loss</dt><dd>2.3333');
  });

  it('with nothing but a status gives charts that say so', async () => {
    const page = await pageOf({ 'status.json': status({ state: 'failed', step: 0, exitCode: 2 }) });
    expect(page).toContain('failed after 0 of 40 steps (exit code 2)');
    expect(page).toContain('Nothing was recorded.');
  });
});

describe('writing it', () => {
  it('goes into the run folder, or where it is told', async () => {
    const folder = await fill(await temporaryFolder(), { 'metrics.jsonl': metrics(2) });
    expect(await writeRunReport(folder)).toBe(join(folder, 'report.html'));
    const elsewhere = join(folder, 'other.html');
    expect(await writeRunReport(folder, elsewhere)).toBe(elsewhere);
    expect(await readFile(elsewhere, 'utf8')).toMatch(/^<!doctype html>/);
  });

  it('refuses what is no run', async () => {
    const folder = await temporaryFolder();
    await fill(folder, { 'checkpoint/state.json': {}, 'empty/x': '', file: '' });
    const code = (name: string) =>
      writeRunReport(join(folder, name)).catch((error: unknown) => (error as { code: string }).code);
    expect(await code('nowhere')).toBe('RUN_NOT_FOUND');
    expect(await code('empty')).toBe('NOT_A_RUN');
    expect(await code('file')).toBe('NOT_A_RUN');
    await expect(writeRunReport(join(folder, 'checkpoint'))).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('two levels above'),
    });
  });
});

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readMmlaReport } from '../../../src/eval/mmla/report/schema.ts';
import { commandInFolder } from '../../support/command-output.ts';
import { jsonLines } from '../../support/json-lines.ts';
import { swiftRow } from '../../support/mmla-files.ts';
import { writeBelow } from '../../support/temporary-folder.ts';

const command = commandInFolder('eval', () => ({}));
const mosi = ['positive', 'positive', 'positive', 'negative', 'negative'];
const answers = ['positive', '', 'negative', 'Negative.', 'positive or negative'];

const write = (name: string, text: string) => writeBelow(command.folder, name, text);
/** Samples of a task as ms-swift has them. */
const writeGold = (name: string, key: string, labels: readonly string[]) =>
  write(name, jsonLines(labels.map((label, i) => swiftRow(key, `Word ${i}.`, label, `${key}_${i}`))));
const writeAnswers = (name: string, texts: readonly string[]) =>
  write(name, jsonLines(texts.map((text) => ({ text }))));

describe('affectgpt eval mmla', () => {
  it('prints the object of the contract, and nothing else', async () => {
    const gold = writeGold('gold.jsonl', 'MOSI', mosi);
    const predictions = writeAnswers('answers.jsonl', answers);
    const argv = ['mmla', '--task', 'MOSI', '--predictions', predictions, '--gold', gold, '--json'];
    const { exitCode, out, err } = await command.run(...argv);
    expect([exitCode, err]).toEqual([0, '']);
    expect(JSON.parse(out)).toEqual({
      ...{ benchmark: 'mmla', task: 'MOSI', mode: 'compat', n: 5 },
      metrics: {
        ...{ ACC: 2 / 5, F1: 1 / 4, P: 3 / 8, R: (1 / 3 + 1 / 2) / 4 },
        ...{ WF1: 1 / 2, WP: 4 / 5 },
      },
      invalid: { unknown: 1, multi: 1 },
      perClass: [
        { label: 'positive', precision: 1, recall: 1 / 3, f1: 1 / 2, support: 3 },
        { label: 'negative', precision: 1 / 2, recall: 1 / 2, f1: 1 / 2, support: 2 },
        { label: 'unknown', precision: 0, recall: 0, f1: 0, support: 0 },
        { label: 'multi', precision: 0, recall: 0, f1: 0, support: 0 },
      ],
    });
    const strict = JSON.parse((await command.run(...argv, '--mode', 'strict')).out);
    expect(strict).toMatchObject({ mode: 'strict', n: 5, invalid: { unknown: 1, multi: 1 } });
    expect(strict.metrics.F1).toBe(1 / 2);
    expect(strict.perClass).toHaveLength(2);
  });

  it('scores all tasks of a folder, several seeds of each, and writes reports', async () => {
    writeGold('gold/MOSI.jsonl', 'MOSI', mosi);
    writeGold('gold/CH-SIMSv2.0/test.jsonl', 'Ch-sims', ['neutral', 'positive']);
    for (const seed of ['one', 'two']) {
      writeAnswers(`${seed}/MOSI.jsonl`, seed === 'one' ? answers : mosi);
      write(
        `${seed}/Ch-sims_sentiment_results.csv`,
        'Video,Task,Pred,Label\nCh-sims_1.mp4,sentiment,positive,sentiment: positive\nCh-sims_0.mp4,sentiment,<b>|,sentiment: neutral\n',
      );
    }
    const output = path.join(command.folder, 'report');
    const at = (name: string) => path.join(command.folder, name);
    const argv = ['mmla', '--predictions', at('one'), at('two'), '--gold', at('gold'), '--mode', 'strict'];
    const more = ['--output', output, '--model-name', 'a <model>', '--resamples', '100', '--seed', '7'];
    const { exitCode, out, err } = await command.run(...argv, ...more);
    expect(exitCode).toBe(0);
    expect(err).toContain('report.json');
    expect(out).toMatch(/\| MOSI +\| +5 \| +70\.00 ± 42\.43 \|/);
    expect(out).toMatch(/\| Ch-sims +\| +2 \| +50\.00 ± 0\.00 \|/);
    expect(out).toContain('micro over 2 of 12');

    const report = await readMmlaReport(path.join(output, 'report.json'));
    expect(report.model.name).toBe('a <model>');
    expect(report.tasks.map(({ task, seeds }) => [task, seeds.length])).toEqual([
      ['MOSI', 2],
      ['Ch-sims', 2],
    ]);
    expect(report.tasks[0]!.intervals?.WF1).toMatchObject({ resamples: 100, seed: 7 });
    const html = readFileSync(path.join(output, 'report.html'), 'utf8');
    expect(html).toContain('a &lt;model&gt;');
    expect(html).not.toContain('<model>');
    expect(readFileSync(path.join(output, 'report.md'), 'utf8')).toContain('## CH-SIMS v2.0: sentiment');

    const json = (await command.run(...argv, '--json')).out.trim().split('\n');
    expect(json.map((line) => JSON.parse(line)).map(({ task, n }) => [task, n])).toEqual([
      ['MOSI', 5],
      ['MOSI', 5],
      ['Ch-sims', 2],
      ['Ch-sims', 2],
    ]);
  });

  it('takes the split of a table of MELD by its name, and the folder of a task for gold', async () => {
    const table = 'Utterance,Emotion,Sentiment,Dialogue_ID,Utterance_ID\nHi.,joy,positive,0,0\n';
    const gold = write('dev_sent_emo.csv', table);
    const predictions = write('a.jsonl', '{"name": "MELD_1039_0", "text": "joy"}\n');
    const scored = await command.run('mmla', '--task', 'MELD', '--predictions', predictions, '--gold', gold);
    expect([scored.exitCode, scored.err]).toEqual([0, '']);
    expect(scored.out).toContain('- split: dev');
    // The classes of a single task.
    expect(scored.out).toMatch(/\| joy +\| +100\.00 \|/);

    writeGold('root/MOSI/test.jsonl', 'MOSI', mosi);
    const argv = ['--task', 'MOSI', '--predictions', writeAnswers('b.jsonl', answers), '--json'];
    const own = await command.run('mmla', ...argv, '--gold', path.join(command.folder, 'root/MOSI'));
    expect(JSON.parse(own.out)).toMatchObject({ n: 5 });
  });

  it('needs no gold file where predictions carry their labels', async () => {
    const predictions = write('r.csv', 'Video,Task,Pred,Label\na.mp4,x,positive,sentiment: Positive\n');
    const { out } = await command.run('mmla', '--task', 'MOSI', '--predictions', predictions, '--json');
    expect(JSON.parse(out)).toMatchObject({ n: 1, metrics: { ACC: 1, F1: 1 } });
  });

  it('tells what is wrong with all tasks at once', async () => {
    writeGold('gold/MOSI.jsonl', 'MOSI', mosi);
    writeGold('gold/MUStARD.jsonl', 'MUStARD', ['sincere']);
    writeAnswers('answers/MOSI.jsonl', ['positive']);
    writeAnswers('answers/MUStARD.jsonl', ['sincere', 'sincere']);
    const [predictions, gold] = ['answers', 'gold'].map((name) => path.join(command.folder, name));
    const { exitCode, err } = await command.run('mmla', '--predictions', predictions!, '--gold', gold!);
    expect(exitCode).toBe(2);
    expect(err).toContain('MOSI.jsonl: has 1 predictions without names');
    expect(err).toContain('MUStARD.jsonl: has 2 predictions without names');
  });

  it.each([
    [['--predictions', 'MOSI.jsonl'], 'MMLA_TASK_MISSING'],
    [['--task', 'mosi', '--predictions', 'MOSI.jsonl'], 'MMLA_TASK_UNKNOWN'],
    [['--predictions', 'none'], 'FILE_NOT_FOUND'],
    [['--predictions', '.', '--task', 'MELD'], 'MMLA_PREDICTIONS_MISSING'],
    [['--predictions', 'empty'], 'MMLA_PREDICTIONS_MISSING'],
    [['--predictions', 'twice'], 'MMLA_PREDICTIONS_AMBIGUOUS'],
    [['--task', 'MOSI'], 'USAGE'],
    [['--task', 'MOSI', '--predictions', 'MOSI.jsonl', '--resamples', '500'], 'USAGE'],
    [['--task', 'MOSI', '--predictions', 'MOSI.jsonl', '--seed', '-1'], 'USAGE'],
    [['--task', 'MOSI', '--predictions', 'MOSI.jsonl', '--json', '--model-name', 'x'], 'USAGE'],
    [['--task', 'MOSI', '--predictions', 'MOSI.jsonl', '--gold', 'empty'], 'MMLA_FILES_MISSING'],
  ])('%s ends with %s', async (argv, code) => {
    writeAnswers('MOSI.jsonl', answers);
    write('empty/other.txt', '');
    write('twice/MOSI.jsonl', '');
    write('twice/MOSI.csv', '');
    const paths = ['MOSI.jsonl', 'none', '.', 'empty', 'twice'];
    const full = argv.map((word) => (paths.includes(word) ? path.join(command.folder, word) : word));
    const { exitCode, err } = await command.run('mmla', ...full);
    expect(err).toContain(`error[${code}]`);
    expect(exitCode).toBe(2);
  });
});

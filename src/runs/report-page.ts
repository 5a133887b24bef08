import { join } from 'node:path';
import { formatBytes } from '../../train/dry-run/format.ts';
import type { Environment } from '../../train/environment.ts';
import { formatDuration } from '../../train/progress.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { lineChartStyle } from '../report/line-chart.ts';
import { escapeHtml, htmlPage } from '../report/page.ts';
import { htmlTable } from '../report/table.ts';
import { type RunRecord, readRun } from './read-run.ts';
import { answersSection } from './report-answers.ts';
import { curvesSection } from './report-curves.ts';
import { shownValue } from './saved-config.ts';

/** Rows of a table or a list that are shown. */
const mostRows = 200;

const style = `
  body { max-width: 1120px; } section { border-top: 1px solid var(--rule); margin-top: 2rem; } h2 { margin: 1rem 0 0.6rem; }
  .state { font-weight: 600; } .state.done { color: var(--good); } .state.failed, .state.killed, .state.stale, .state.unreadable { color: var(--bad); }
  .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); gap: 1.2rem; align-items: end; } .empty { color: var(--muted); }
  .wide { overflow-x: auto; } table { font-size: 0.9rem; margin: 0.6rem 0; } td { vertical-align: top; overflow-wrap: anywhere; }
  pre { background: var(--panel); border: 1px solid var(--rule); padding: 0.7rem 0.9rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.85rem; line-height: 1.45; } .set { background: var(--note); font-weight: 600; }
  dl { margin: 0.6rem 0; } dd { overflow-wrap: anywhere; } summary { cursor: pointer; margin: 0.5rem 0; } li { overflow-wrap: anywhere; } .notes { font-size: 0.9rem; padding-left: 1.2rem; } .aside { color: var(--muted); font-size: 0.9rem; }
  ${lineChartStyle}`;

const list = (rows: readonly (readonly [string, string | undefined])[]): string =>
  `<dl>${rows
    .flatMap(([key, value]) =>
      value === undefined ? [] : [`<dt>${escapeHtml(key)}</dt><dd>${escapeHtml(value)}</dd>`],
    )
    .join('')}</dl>`;

const section = (title: string, body: string): string =>
  `<section><h2>${escapeHtml(title)}</h2>\n${body}</section>`;

const empty = (text: string): string => `<p class="empty">${escapeHtml(text)}</p>`;

const isoTime = (time: string): string => time.replace(/\.\d+Z$/, 'Z').replace('T', ' ');

/** A word of a command line as a POSIX shell takes it. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

function head(run: RunRecord): string {
  const { status, metrics, best, environments, checkpoints } = run;
  const last = metrics.at(-1);
  const step = Math.max(status?.step ?? 0, last?.step ?? 0);
  const { error, exitCode } = status ?? {};
  const rows = [
    ['folder', run.folder],
    ['steps', status === undefined ? String(step) : `${step} of ${status.steps}`],
    ['last loss', last?.loss.toFixed(4)],
    ['best validation', best && `${best.metric} ${best.value.toFixed(4)} after step ${best.step}`],
    ['seen', last && `${last.samples} samples, ${last.tokens} tokens`],
    ['time in steps', last && formatDuration(last.seconds)],
    ['started', status && isoTime(status.startedAt)],
    ['last update', status && isoTime(status.updatedAt)],
    ['resumed', environments.length > 1 ? `${environments.length - 1} times` : undefined],
    ['on disk', `${formatBytes(run.bytes)}, ${checkpoints.length} checkpoints`],
    ['error', error && `${error.code}: ${error.message}`],
    ['exit code', exitCode === undefined ? undefined : String(exitCode)],
  ] as const;
  return `<h1>${escapeHtml(run.name)}</h1>
<p class="state ${run.state.state}">${escapeHtml(run.state.text)}</p>
${list(rows)}`;
}

function faultsNote({ faults }: RunRecord): string {
  if (faults.length === 0) return '';
  const items = faults.slice(0, mostRows).map((fault) => `<li>${escapeHtml(fault)}</li>`);
  return `<div class="note"><strong>Not everything in this folder can be read</strong>; the page shows the rest.<ul>${items.join('')}</ul></div>`;
}

function configSection({ config }: RunRecord): string {
  if (config === undefined) return section('Configuration', empty('There is no config.yaml.'));
  const given = config.keys.filter(({ isSetByUser }) => isSetByUser);
  const table = htmlTable({
    head: ['key set by the user', 'value'],
    rows: given.map((one) => [one.key, shownValue(one)]),
    textColumns: [0, 1],
  });
  const lines = config.text.split('\n').map((line) => {
    const text = escapeHtml(line);
    return /# set by user\s*$/.test(line) ? `<span class="set">${text}</span>` : text;
  });
  return section(
    'Configuration',
    `${given.length === 0 ? empty('No key is marked as set by the user.') : `<div class="wide">${table}</div>`}
<details><summary>config.yaml: every key, those set by the user marked</summary><pre>${lines.join('\n')}</pre></details>`,
  );
}

function dataSection({ samples, skipped, config }: RunRecord): string {
  const given = ['data.dataset', 'data.manifest', 'data.root', 'data.trainSplit', 'data.labelType'].map(
    (key) => {
      const found = config?.keys.find((one) => one.key === key && one.value !== 'null');
      return [key, found && shownValue(found)] as const;
    },
  );
  const counts: (readonly [string, string | undefined])[] =
    samples === undefined
      ? [['samples', 'not noted (there is no samples.json)']]
      : [
          ['rows to train on', String(samples.length)],
          ['kept', String(samples.length - skipped.length)],
          ['dropped', String(skipped.length)],
        ];
  const rows = skipped.slice(0, mostRows).map(({ name, reasons }) => [name, reasons.join('; ')]);
  const table =
    skipped.length === 0
      ? ''
      : `<div class="wide">${htmlTable({ head: ['dropped', 'reason'], rows, textColumns: [0, 1] })}</div>${
          skipped.length > rows.length
            ? `<p class="aside">${rows.length} of ${skipped.length}; all are in skipped.jsonl.</p>`
            : ''
        }`;
  return section('Data', list([...counts, ...given]) + table);
}

function notesSection({ notes }: RunRecord): string {
  const said = notes.filter((line) => !/Z (?:[^:]+: )?(?:Saved|Validation after step) /.test(line));
  const spikes = said.filter((line) => / Spike in step /.test(line)).length;
  if (said.length === 0) return section('Notes', empty('Nothing out of the ordinary in log.txt.'));
  const shown = said.slice(-mostRows).map((line) => {
    const [, time = '', text = line] = /^(\S+Z) (.*)$/.exec(line) ?? [];
    return `<li><span class="aside">${escapeHtml(isoTime(time))}</span> ${escapeHtml(text)}</li>`;
  });
  const which =
    said.length > shown.length ? `The last ${shown.length} of ${said.length}` : `All ${said.length}`;
  return section(
    'Notes',
    `<p class="aside">${which} of log.txt that are not progress; ${spikes} of all are spikes of loss or gradient norm.</p><ul class="notes">${shown.join('\n')}</ul>`,
  );
}

function checkpointsSection({ checkpoints, latest, bestStep }: RunRecord): string {
  if (checkpoints.length === 0) return section('Checkpoints on disk', empty('None.'));
  const rows = checkpoints.map(({ name, step, bytes }) => [
    name,
    [name === latest ? 'latest' : '', step === bestStep ? 'best' : ''].filter(Boolean).join(', '),
    String(step),
    formatBytes(bytes),
  ]);
  const table = htmlTable({ head: ['checkpoint', '', 'step', 'size'], rows, textColumns: [0, 1] });
  return section('Checkpoints on disk', table);
}

function environmentSection({ environments }: RunRecord): string {
  const last = environments.at(-1);
  if (last === undefined) return section('Environment', empty('There is no environment.json.'));
  const starts = environments.map((one) => [
    isoTime(one.startedAt),
    String(one.step),
    one.host,
    one.affectgpt,
    one.git?.commit.slice(0, 10) ?? '',
  ]);
  const table = htmlTable({
    head: ['start', 'from step', 'host', 'affectgpt', 'commit'],
    rows: starts,
    textColumns: [0, 2, 3, 4],
  });
  return section(
    'Environment',
    list(environmentRows(last)) +
      (starts.length > 1 ? `<h3>Starts</h3><div class="wide">${table}</div>` : ''),
  );
}

function environmentRows(one: Environment): [string, string | undefined][] {
  const { engine, packages, cores, memoryBytes, git } = one;
  const threads = engine.threads === null ? '' : `, ${engine.threads} threads`;
  const devices = engine.devices === undefined ? '' : `, ${engine.devices} devices`;
  const precision = engine.precision === undefined ? '' : `, ${engine.precision}`;
  return [
    ['affectgpt', one.affectgpt],
    ['node', one.node],
    ['engine', `${engine.name}${precision}${threads}${devices}`],
    ['library', engine.library && `${engine.library.file} (${engine.library.version})`],
    ...Object.entries(packages),
    ['ffmpeg', one.ffmpeg ?? 'none'],
    ['system', one.os],
    ['processor', `${one.cpu}, ${cores} cores`],
    ['memory', formatBytes(memoryBytes)],
    ['host', one.host],
    ['working folder', one.workingFolder],
    [
      'git',
      git ? `${git.commit}${git.changed ? ', with changes that are not committed' : ''}` : 'no repository',
    ],
  ];
}

function reproduceSection({ status, environments, config, folder }: RunRecord): string {
  const last = environments.at(-1);
  const command = status?.command ?? last?.command ?? null;
  const place = last === undefined ? '' : `cd ${shellWord(last.workingFolder)}\n`;
  const exact =
    command === null
      ? empty('How it was started is not noted: it was not started by a command of its own.')
      : `<p>The command that started it last:</p><pre>${escapeHtml(place + command.map(shellWord).join(' '))}</pre>`;
  const again =
    config === undefined
      ? ''
      : `<p>The same training into another folder, from the configuration as it was resolved:</p>
<pre>${escapeHtml(`${place}affectgpt train --config ${shellWord(join(folder, 'config.yaml'))} --set output=${shellWord(`${folder}-again`)}`)}</pre>`;
  const same = `<p class="aside">Equal versions, engine and thread count give the same losses and weights, bit for bit; see Environment.</p>`;
  return section('How to reproduce', exact + again + same);
}

/** The page of a run: needs nothing from elsewhere, and runs nothing. All text of files is escaped. */
export function runPage(run: RunRecord): string {
  const body = [
    head(run),
    faultsNote(run),
    section('Curves', curvesSection(run)),
    section('Answers on validation clips', answersSection(run)),
    dataSection(run),
    configSection(run),
    notesSection(run),
    checkpointsSection(run),
    environmentSection(run),
    reproduceSection(run),
  ];
  return htmlPage({ title: `${run.name} – affectgpt`, style, hasDarkMode: true, body: body.join('\n') });
}

/**
 * Writes the page of a run.
 *
 * @param output default: `report.html` in the run folder
 * @returns the path
 * @throws InputError `RUN_NOT_FOUND`, `NOT_A_RUN`, and those of `fileError`
 */
export async function writeRunReport(folder: string, output = join(folder, 'report.html')): Promise<string> {
  const page = runPage(await readRun(folder));
  await writeFileAtomic(output, page);
  return output;
}

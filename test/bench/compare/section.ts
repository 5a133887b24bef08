import { InputError } from '../../../src/errors.ts';
import { markdownTable } from '../../../src/report/table.ts';
import { type CompareCase, caseName, compareCases } from './cases.ts';
import { isFigures, type Outcome } from './contest.ts';
import { goalOf, memoryShare, type Outcomes, speedRatio, timedParts } from './goals.ts';

/** Rows of both tables, and what they were measured with, as the section of docs/benchmarks.md holds them. */
export interface Section {
  readonly speed: readonly (readonly string[])[];
  readonly memory: readonly (readonly string[])[];
  /** By the stamp that the last cell of a row has. */
  readonly conditions: ReadonlyMap<string, string>;
}

export const emptySection: Section = { speed: [], memory: [], conditions: new Map() };

const begin = '<!-- compare:begin -->';
const end = '<!-- compare:end -->';

const heads = {
  speed: [
    ...['case', 'affectgpt ms', 'PyTorch eager ms', 'compiled ms', 'times as fast', 'due'],
    ...['bf16 eager ms', 'bf16 compiled ms', 'times as fast as bf16', 'measured'],
  ],
  memory: [
    ...['case', 'affectgpt MB', 'PyTorch eager MB', 'compiled MB', 'share', 'due', 'first ms'],
    ...['affectgpt GFLOP/s', 'its roof', '%', 'PyTorch GFLOP/s', 'its roof', '%', 'bf16 roof', 'measured'],
  ],
} as const;

const explanation = `Written by \`npm run bench -- compare\`. affectgpt, in float32 with onnxruntime unless a row says otherwise, beside PyTorch with transformers and peft: the same shapes, random weights, the same threads, each
in a process of its own, blocks of runs taking turns; medians. "times as fast" is against the better of PyTorch's two float32 modes, "share" is peak memory against the smaller of
the two. The bf16 columns (autocast) were measured beside affectgpt in a second sitting, and their ratio is of that sitting. Roof: one product of 2,048 x 2,048 matrices;
GFLOP/s count the model's matrix products by its shapes (train/flops.ts).`;

const missing = '–';
const show = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined ? missing : value.toFixed(digits);
const longestReason = 160;

/** A figure, or why there is none. */
function cell(
  outcome: Outcome | undefined,
  of: (figures: Extract<Outcome, { ms: number }>) => number | null,
  digits: number,
) {
  if (outcome === undefined) return missing;
  if (!isFigures(outcome)) return `failed: ${outcome.failure.slice(0, longestReason)}`;
  return show(of(outcome), digits);
}

/** The better of two modes by time. */
function fastest(...outcomes: readonly (Outcome | undefined)[]) {
  return outcomes.filter(isFigures).sort((a, b) => a.ms - b.ms)[0];
}

/**
 * What was found out about one case.
 *
 * @param flops of one run; null where no share of the roof is told
 * @param stamp date and commit, of which `conditions` tells the rest
 * @param variant ends the names: an engine other than the default, or a precision
 */
export function caseSection(
  one: CompareCase,
  outcomes: Outcomes,
  flops: number | null,
  stamp: string,
  conditions: string,
  variant = '',
): Section {
  const { eager, compiled, ours16, eager16, compiled16 } = outcomes;
  const { own, due, isBf16 } = goalOf(one, outcomes);
  const dueTimes = due === null ? missing : `${due}${isBf16 ? ' (bf16)' : ''}`;
  const dueMemory = isBf16 || one.memoryDue === undefined ? missing : String(one.memoryDue);
  const speed = timedParts(one, variant).map((timed) => [
    timed.name,
    ...[own, eager, compiled].map((outcome) => cell(outcome, timed.of, 1)),
    show(speedRatio(timed, own, [eager, compiled]), 2),
    dueTimes,
    ...[eager16, compiled16].map((outcome) => cell(outcome, timed.of, 1)),
    show(speedRatio(timed, ours16, [eager16, compiled16]), 2),
    stamp,
  ]);
  const reached = (outcome: Outcome | undefined): string[] => {
    if (!isFigures(outcome)) return [missing, missing, missing];
    const roof = show(outcome.roof, 0);
    if (flops === null) return [missing, roof, missing];
    const achieved = flops / outcome.ms / 1e6;
    return [show(achieved, 0), roof, show((100 * achieved) / outcome.roof, 0)];
  };
  const memory = [
    `${caseName(one)}${variant}`,
    ...[own, eager, compiled].map((outcome) => cell(outcome, ({ peakMb }) => peakMb, 0)),
    show(memoryShare(own, [eager, compiled]), 2),
    dueMemory,
    cell(own, ({ firstMs }) => firstMs, 0),
    ...reached(own),
    ...reached(fastest(eager, compiled)),
    show(fastest(eager16, compiled16)?.roof, 0),
    stamp,
  ];
  return { speed, memory: [memory], conditions: new Map([[stamp, conditions]]) };
}

const caseOrder = compareCases.flatMap((one) => [
  caseName(one),
  ...timedParts(one).map((timed) => timed.name),
]);
/** Variants of a case come after it. */
const place = ([name = '']: readonly string[]): number =>
  caseOrder.findLastIndex((known) => name.startsWith(known));

/** The newer section's rows, and those of the older one for what it does not have; conditions that a row still names. */
export function mergeSections(older: Section, newer: Section): Section {
  const rowsOf = (key: 'speed' | 'memory') => {
    const names = new Set(newer[key].map(([name]) => name));
    const kept = older[key].filter(([name]) => !names.has(name!));
    return [...kept, ...newer[key]].sort((a, b) => place(a) - place(b));
  };
  const [speed, memory] = [rowsOf('speed'), rowsOf('memory')];
  const stamps = new Set([...speed, ...memory].map((row) => row.at(-1)));
  const conditions = [...older.conditions, ...newer.conditions].filter(([stamp]) => stamps.has(stamp));
  return { speed, memory, conditions: new Map(conditions.sort(([a], [b]) => (a < b ? -1 : 1))) };
}

export function renderSection({ speed, memory, conditions }: Section): string {
  const table = (key: 'speed' | 'memory', rows: Section['speed']): string =>
    markdownTable({ head: heads[key], rows, textColumns: [0, heads[key].length - 1] });
  const lines = [...conditions].map(([stamp, text]) => `- ${stamp}: ${text}`);
  return `${explanation}\n\n${table('speed', speed)}\n${table('memory', memory)}\n${lines.join('\n')}\n`;
}

/** Cells of a row of a pipe table. */
const cellsOf = (line: string): string[] =>
  line
    .trim()
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((text) => text.trim().replaceAll('\\|', '|'));

/** Reads what `renderSection` wrote. */
export function parseSection(text: string): Section {
  const section = {
    speed: [] as string[][],
    memory: [] as string[][],
    conditions: new Map<string, string>(),
  };
  let rows: string[][] | undefined;
  for (const line of text.split('\n')) {
    const condition = /^- (.*?): (.*)$/.exec(line);
    if (condition !== null) section.conditions.set(condition[1]!, condition[2]!);
    if (!line.startsWith('|')) {
      rows = undefined;
      continue;
    }
    const cells = cellsOf(line);
    if (rows === undefined) {
      const key = (['speed', 'memory'] as const).find((name) => heads[name].join() === cells.join());
      if (key === undefined) {
        throw new InputError(
          'BENCH_SECTION',
          `A table between ${begin} and ${end} has other columns than this program writes: ${cells.join(', ')}. Remove the table; its cases have to be measured again.`,
        );
      }
      rows = section[key];
    } else if (!/^-+:?$/.test(cells[0]!)) rows.push(cells);
  }
  return section;
}

/**
 * A document with the rows of `newer` in its marked section; one without the markers gets them at its end.
 * @throws InputError `BENCH_SECTION` where only one marker is there, or the tables are not of this program
 */
export function writeSection(document: string, newer: Section): string {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from === -1 && to === -1) {
    return `${document.trimEnd()}\n\n## Against PyTorch\n\n${begin}\n${renderSection(mergeSections(emptySection, newer))}${end}\n`;
  }
  if (from === -1 || to < from) {
    throw new InputError(
      'BENCH_SECTION',
      `The document needs ${begin} and, after it, ${end}: one of them is missing.`,
    );
  }
  const older = parseSection(document.slice(from + begin.length, to));
  return `${document.slice(0, from)}${begin}\n${renderSection(mergeSections(older, newer))}${document.slice(to)}`;
}

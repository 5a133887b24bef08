import { isDeepStrictEqual } from 'node:util';
import { mmlaTask } from '../../../data/mmla/tasks.ts';
import { InputError } from '../../../errors.ts';
import type { MmlaReport, MmlaTaskReport } from '../report/schema.ts';
import { type AboutModel, agreedFacts, modelFacts } from './about.ts';
import { boardMetrics, type LeaderboardRow, type TaskCell } from './row.ts';

/** A report with the file that it is from. */
export interface NamedReport {
  readonly file: string;
  readonly report: MmlaReport;
}

/** A task of a report. */
interface Found {
  readonly file: string;
  readonly task: MmlaTaskReport;
}

/** The figures alone, so that the same evaluation, stored twice, is the same. */
const figuresOf = ({ mode, n, metrics, deviation, intervals }: MmlaTaskReport): unknown => ({
  ...{ mode, n, metrics, deviation, intervals },
});

/** Why tasks of a model cannot stand in one row. */
function faultsOf(model: string, found: readonly Found[]): string[] {
  const faults = found
    .filter(({ task }) => task.split !== 'test')
    .map(({ file, task }) => `${file}: ${task.task} is scored on the ${task.split} split, not on test`);
  for (const [i, { file, task }] of found.entries()) {
    const first = found.slice(0, i).find((other) => other.task.task === task.task);
    if (first === undefined || isDeepStrictEqual(figuresOf(first.task), figuresOf(task))) continue;
    faults.push(`${first.file} and ${file} both have ${task.task} of "${model}", with different figures`);
  }
  const [first] = found;
  const otherMode = found.find(({ task }) => task.mode !== first!.task.mode);
  if (otherMode !== undefined) {
    faults.push(
      `"${model}" is scored with --mode ${first!.task.mode} in ${first!.file} (${first!.task.task}) and with --mode ${otherMode.task.mode} in ${otherMode.file} (${otherMode.task.task})`,
    );
  }
  return faults;
}

/**
 * Why reports of a model cannot be of one model: they tell different things of it, which nobody sorts out.
 * @param about told of it by hand, which counts for more
 */
function factFaults(model: string, named: readonly NamedReport[], about: AboutModel): string[] {
  return modelFacts.flatMap((fact) => {
    if (about[fact] !== undefined) return [];
    const told = named.filter(({ report }) => report.model[fact] !== undefined);
    const other = told.find(({ report }) => report.model[fact] !== told[0]!.report.model[fact]);
    if (other === undefined) return [];
    const [first] = told;
    return [
      `the ${fact} of "${model}" is ${first!.report.model[fact]} in ${first!.file} and ${other.report.model[fact]} in ${other.file} (--about says which)`,
    ];
  });
}

/** What is told of a model by hand, else by all of its reports. */
const factsOf = (named: readonly NamedReport[], about: AboutModel): AboutModel => ({
  ...agreedFacts(named.map(({ report }) => report.model)),
  ...about,
});

const percents = (fractions: Readonly<Record<(typeof boardMetrics)[number], number>>): TaskCell['metrics'] =>
  Object.fromEntries(boardMetrics.map((metric) => [metric, 100 * fractions[metric]]));

function cellOf({ metrics, n, deviation, intervals }: MmlaTaskReport): TaskCell {
  return {
    metrics: percents(metrics),
    samples: n,
    ...(deviation !== null && { deviations: percents(deviation) }),
    ...(intervals !== null && {
      intervals: Object.fromEntries(
        boardMetrics.map((metric) => {
          const { low, high } = intervals[metric];
          return [metric, { low: 100 * low, high: 100 * high }];
        }),
      ),
    }),
  };
}

/** What a reader has to know to compare the row. */
function notesOf(found: readonly Found[]): string[] {
  const modes = new Set(found.map(({ task }) => task.mode));
  const fewer = found.filter(({ task }) => task.n !== mmlaTask(task.task).counts.test);
  const confidences = new Set(found.flatMap(({ task }) => task.intervals?.ACC.confidence ?? []));
  const others = [...confidences].filter((confidence) => confidence !== 0.95);
  const seeds = new Set(found.map(({ task }) => task.seeds.length));
  return [
    `Scored with --mode ${[...modes].join(', ')}.`,
    ...(modes.has('strict')
      ? [
          'Macro averages run over the labels alone, those of published rows over the labels and unknown and multi.',
        ]
      : []),
    ...(seeds.size > 1 || !seeds.has(1)
      ? [`Means over seeds (${[...seeds].sort((a, b) => a - b).join(', ')} of them).`]
      : []),
    ...(fewer.length > 0
      ? [
          `Not scored on the whole released test split: ${fewer.map(({ task }) => `${task.task} ${task.n} of ${mmlaTask(task.task).counts.test}`).join(', ')}. Weights are those of the whole.`,
        ]
      : []),
    ...(others.length > 0 ? [`Intervals of ${others.map((one) => `${100 * one} %`).join(', ')}.`] : []),
  ];
}

/**
 * A row for each model that the reports tell of, with its tasks from all of them. A task that two reports have alike
 * counts once.
 *
 * @param about what the reports do not say, or say otherwise, by name of the model
 * @throws InputError `MMLA_REPORTS_CONFLICT` with every task that is not scored on the test split, that two reports have
 * with different figures, or that is scored by another mode than the rest, and with what reports tell differently of one
 * model; `MMLA_ABOUT_UNUSED`
 */
export function mergeReports(
  reports: readonly NamedReport[],
  about: ReadonlyMap<string, AboutModel>,
): LeaderboardRow[] {
  const models = new Map<string, NamedReport[]>();
  for (const one of reports) {
    const { name } = one.report.model;
    models.set(name, [...(models.get(name) ?? []), one]);
  }
  const unused = [...about.keys()].filter((name) => !models.has(name));
  if (unused.length > 0) {
    throw new InputError(
      'MMLA_ABOUT_UNUSED',
      `--about names ${unused.map((name) => `"${name}"`).join(', ')}, but the reports tell of ${models.size === 0 ? 'no model: none is given' : [...models.keys()].map((name) => `"${name}"`).join(', ')}.`,
    );
  }
  const rows: LeaderboardRow[] = [];
  const faults: string[] = [];
  for (const [model, named] of models) {
    const found = named.flatMap(({ file, report }) => report.tasks.map((task): Found => ({ file, task })));
    const told = about.get(model) ?? {};
    faults.push(...faultsOf(model, found), ...factFaults(model, named, told));
    rows.push(rowOf(model, named, found, factsOf(named, told)));
  }
  if (faults.length === 0) return rows;
  throw new InputError(
    'MMLA_REPORTS_CONFLICT',
    `The reports do not fit into one table: ${faults.join('; ')}. Leave out all but one of those that differ, or give models that are not the same different names.`,
  );
}

function rowOf(
  model: string,
  named: readonly NamedReport[],
  found: readonly Found[],
  { method, modality, parameters }: AboutModel,
): LeaderboardRow {
  const sources = named.map(({ file, report }) => `${file}: ${report.model.provenance}`);
  return {
    ...{ model, vintage: 'ours' },
    ...{ method: method ?? null, modality: modality ?? null, parameters: parameters ?? null },
    source: [...new Set(sources)].join('; '),
    notes: notesOf(found),
    cells: Object.fromEntries(found.map(({ task }) => [mmlaTask(task.task).key, cellOf(task)])),
  };
}

import type { CommandModule } from 'yargs';
import {
  type Deviation,
  deviationsOf,
  type Preset,
  type PresetSource,
  presetModels,
  presetNotes,
  presetSources,
  presets,
  presetTitle,
  type RecipeField,
  recipeFields,
  recipeKeys,
  recipeOf,
  recipeValues,
  refusalOf,
  sourceNotes,
} from '../config/presets/presets.ts';
import { InputError } from '../errors.ts';
import { markdownTable } from '../report/table.ts';
import { usageError } from './errors.ts';

/** Heads of columns; the keys that they stand for are in `recipeKeys`. */
const heads: Readonly<Record<RecipeField, string>> = {
  lr: 'lr',
  warmupRatio: 'warm-up',
  batchSize: 'batch',
  accumulation: 'accumulation',
  epochs: 'epochs',
  rank: 'rank',
  alpha: 'alpha',
  dropout: 'dropout',
  weightDecay: 'weight decay',
  clipNorm: 'clip',
  maxLength: 'length',
};

const sourceTitles: Readonly<Record<PresetSource, string>> = {
  paper: 'Of the paper',
  released: 'Of the released scripts',
};

function inCell(field: RecipeField, value: number | undefined): string {
  if (value === undefined) return '–';
  return field === 'lr' ? value.toExponential() : String(value);
}

const cellsOf = (preset: Preset, fields: readonly RecipeField[]): string[] =>
  fields.map((field) => inCell(field, recipeOf(preset)?.[field]));

/** The fields that any of these sets. */
const usedFields = (shown: readonly Preset[]): RecipeField[] =>
  recipeFields.filter((field) => shown.some((preset) => recipeOf(preset)?.[field] !== undefined));

const inWords = (deviations: readonly Deviation[]): string =>
  deviations
    .map(
      ({ field, paper, released }) => `${heads[field]} ${inCell(field, paper)} → ${inCell(field, released)}`,
    )
    .join(', ');

function groupsOf<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

/** Presets that agree in something, as few lines as possible: the most common first, `it` apart. */
function grouped<Item extends Preset>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
): { readonly tasks: string; readonly first: Item }[] {
  const single = items.filter(({ task }) => task !== 'it');
  const groups = [...groupsOf(single, keyOf).values()];
  const [largest] = groups.toSorted((left, right) => right.length - left.length);
  const isRest = (group: readonly Item[]): boolean => group === largest && 2 * group.length > single.length;
  const line = (group: readonly Item[]) => ({
    tasks: !isRest(group)
      ? group.map(({ task }) => task).join(', ')
      : group.length === single.length
        ? 'every task'
        : 'every other task',
    first: group[0]!,
  });
  return [
    ...groups.filter(isRest).map(line),
    ...groups.filter((group) => !isRest(group)).map(line),
    ...items.filter(({ task }) => task === 'it').map((first) => ({ tasks: 'it', first })),
  ];
}

function recipeTable(source: PresetSource): string {
  const shown = presets.filter((preset) => preset.source === source && refusalOf(preset) === undefined);
  const fields = usedFields(shown);
  const rows = presetModels.flatMap((model) => {
    const ofModel = shown.filter((preset) => preset.model === model);
    return grouped(ofModel, (preset) => JSON.stringify(preset.recipe)).map(({ tasks, first }) => [
      `\`${source}:${model}\``,
      tasks,
      ...cellsOf(first, fields),
    ]);
  });
  const head = ['model', 'task', ...fields.map((field) => heads[field])];
  return markdownTable({ head, rows, textColumns: [0, 1] });
}

function deviationTable(): string {
  const rows = presetModels.flatMap((model) => {
    const ofModel = presets.filter((preset) => preset.model === model && preset.source === 'released');
    return grouped(ofModel, ({ task }) => inWords(deviationsOf(model, task))).flatMap(({ tasks, first }) => {
      const deviations = deviationsOf(model, first.task);
      return deviations.length === 0 ? [] : [[`\`${model}\``, tasks, inWords(deviations)]];
    });
  });
  return markdownTable({ head: ['model', 'task', 'paper → scripts'], rows, textColumns: [0, 1, 2] });
}

/** Lines of a list: what is known about the presets shown besides their values. */
function noteLines(shown: readonly Preset[]): string[] {
  const sources = presetSources.filter((source) => shown.some((preset) => preset.source === source));
  return sources.flatMap((source) => {
    const ofSource = shown.filter((preset) => preset.source === source);
    const refused = ofSource.flatMap((preset) => {
      const reason = refusalOf(preset);
      return reason === undefined ? [] : [`- \`${preset.name}\` cannot be used: ${reason}.`];
    });
    /** Models by what is said of them; several may share it. */
    const models = groupsOf(
      presetModels
        .filter((model) => ofSource.some((preset) => preset.model === model))
        .flatMap((model) => presetNotes(source, model).map((note) => ({ model, note }))),
      ({ note }) => note,
    );
    return [
      ...sourceNotes[source].map((note) => `- \`${source}\`: ${note}`),
      ...[...models].map(
        ([note, of]) => `- ${of.map(({ model }) => `\`${source}:${model}\``).join(', ')}: ${note}`,
      ),
      ...refused,
    ];
  });
}

/** The generated part of docs/mmla-training.md. */
export function presetReference(): string {
  const models = presetModels.map((model) => `\`${model}\` (${presetTitle(model)})`).join(', ');
  const keys = recipeFields.map((field) => [heads[field], `\`${recipeKeys[field]}\``]);
  return [
    `Models: ${models}.\n`,
    markdownTable({ head: ['column', 'key'], rows: keys, textColumns: [0, 1] }),
    ...presetSources.flatMap((source) => [`### ${sourceTitles[source]}\n`, recipeTable(source)]),
    '### Where the scripts depart from the paper\n',
    'Of what both say. Presets that are refused are left out here and above.\n',
    deviationTable(),
    '### What else is known about them\n',
    `${noteLines(presets).join('\n')}\n`,
  ].join('\n');
}

/** The presets whose names contain a text. @throws InputError `PRESETS_NONE` */
function presetsNamed(filter: string): readonly Preset[] {
  const shown = presets.filter(({ name }) => name.includes(filter.toLowerCase()));
  if (shown.length > 0) return shown;
  throw new InputError(
    'PRESETS_NONE',
    `No preset has "${filter}" in its name. Names are SOURCE:MODEL/TASK, with the sources ${presetSources.join(' and ')} and the models ${presetModels.join(', ')}.`,
  );
}

/** What `--json` prints of a preset. */
const asJson = (preset: Preset) => {
  const { name, source, model, task } = preset;
  const recipe = recipeOf(preset);
  return {
    ...{ name, source, model, task },
    config: recipe === undefined ? null : recipeValues(recipe),
    refused: refusalOf(preset) ?? null,
    deviations: deviationsOf(model, task).map(({ field, paper, released }) => ({
      ...{ key: recipeKeys[field], paper, released },
    })),
    notes: [...sourceNotes[source], ...presetNotes(source, model)],
  };
};

/** The table that the command prints, and what is to be known of its rows. */
function presetList(shown: readonly Preset[]): string {
  const fields = usedFields(shown);
  const rows = shown.map((preset) => [
    preset.name,
    ...cellsOf(preset, fields),
    ...[preset.source === 'released' ? inWords(deviationsOf(preset.model, preset.task)) : ''],
  ]);
  const departs = rows.some((row) => row.at(-1) !== '');
  const table = markdownTable({
    head: ['preset', ...fields.map((field) => heads[field]), ...(departs ? ['unlike the paper'] : [])],
    rows: departs ? rows : rows.map((row) => row.slice(0, -1)),
    textColumns: [0, fields.length + 1],
  });
  return `${table}\n${noteLines(shown).join('\n')}\n`;
}

interface PresetsArguments {
  filter: string;
  json: boolean;
  markdown: boolean;
}

/** `affectgpt config presets [FILTER] [--json | --markdown]` */
export const presetsCommand: CommandModule<object, PresetsArguments> = {
  command: 'presets [filter]',
  describe: 'List the hyper-parameters that a configuration can extend by name',
  builder: (args) =>
    args
      .positional('filter', {
        type: 'string',
        default: '',
        describe: 'Only presets whose name contains this, such as paper:qwen2-7b or /mintrec',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print them as JSON' })
      .option('markdown', {
        type: 'boolean',
        default: false,
        describe: 'Print the reference of all of them, as in docs/mmla-training.md',
      }),
  handler({ filter, json, markdown }) {
    if (markdown && (json || filter !== '')) {
      throw usageError('--markdown prints the reference of all presets; leave --json and the filter out.');
    }
    const shown = presetsNamed(filter);
    if (markdown) process.stdout.write(presetReference());
    else if (json) process.stdout.write(`${JSON.stringify(shown.map(asJson), null, 2)}\n`);
    else process.stdout.write(presetList(shown));
  },
};

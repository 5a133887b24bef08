import type { Plain } from '../layer.ts';
import { suggest } from '../suggest.ts';
import {
  type ModelRecipes,
  type PresetModel,
  type PresetTask,
  paperNotes,
  paperRecipes,
  presetTasks,
  type Recipe,
  type Refused,
} from './mmla-paper.ts';
import { releasedNotes, releasedRecipes } from './mmla-released.ts';

/** Where values come from: the tables of the MMLA paper, or the scripts released with it. */
export const presetSources = ['paper', 'released'] as const;
/** A source as names of presets begin with it. */
export type PresetSource = (typeof presetSources)[number];

/** Of presets named `it`. */
const mixtureNote =
  'A preset chooses no samples, `it` neither. Training on all tasks was published with the training samples whose clips other tasks test on; here they are left out unless data.mmla.excludeSharedClips is false.';

/** What holds for all presets of a source. */
export const sourceNotes: Readonly<Record<PresetSource, readonly string[]>> = {
  paper: [...paperNotes, mixtureNote],
  released: [...releasedNotes, mixtureNote],
};

const recipesBy: Readonly<Record<PresetSource, Readonly<Record<PresetModel, ModelRecipes>>>> = {
  paper: paperRecipes,
  released: releasedRecipes,
};

/** Models in the order in which they are listed. */
export const presetModels = Object.keys(paperRecipes) as readonly PresetModel[];

/** Hyper-parameters that a configuration can take by name. */
export interface Preset {
  /** `paper:MODEL/TASK` or `released:MODEL/TASK`. */
  readonly name: string;
  readonly source: PresetSource;
  readonly model: PresetModel;
  /** A task of MMLA in lower case; `it` is the mixture of all of them. */
  readonly task: PresetTask | 'it';
  /** What to train with, or why that cannot be said. */
  readonly recipe: Recipe | Refused;
}

function presetsOf(source: PresetSource, model: PresetModel): Preset[] {
  const { sft, it }: ModelRecipes = recipesBy[source][model];
  const preset = (task: Preset['task'], recipe: Recipe | Refused): Preset => ({
    ...{ name: `${source}:${model}/${task}`, source, model, task, recipe },
  });
  const single = presetTasks.map((task) => preset(task, sft[task]));
  return it === undefined ? single : [...single, preset('it', it)];
}

/** All presets: by source, model and task. */
export const presets: readonly Preset[] = presetSources.flatMap((source) =>
  presetModels.flatMap((model) => presetsOf(source, model)),
);

/** What else a source says of a model. */
export const presetNotes = (source: PresetSource, model: PresetModel): readonly string[] =>
  recipesBy[source][model].notes ?? [];

/** As the paper names a model. */
export const presetTitle = (model: PresetModel): string => paperRecipes[model].title;

const isRefused = (recipe: Recipe | Refused): recipe is Refused => 'refused' in recipe;

/** Why a preset cannot be used, if it cannot. */
export const refusalOf = ({ recipe }: Preset): string | undefined =>
  isRefused(recipe) ? recipe.refused : undefined;

/** The hyper-parameters of a preset that can be used. */
export const recipeOf = ({ recipe }: Preset): Recipe | undefined => (isRefused(recipe) ? undefined : recipe);

/** The configuration keys that hyper-parameters stand for. */
export const recipeKeys = {
  lr: 'train.optimizer.lr',
  warmupRatio: 'train.schedule.warmupRatio',
  batchSize: 'train.batchSize',
  accumulation: 'train.accumulation',
  epochs: 'train.epochs',
  rank: 'lora.rank',
  alpha: 'lora.alpha',
  dropout: 'lora.dropout',
  weightDecay: 'train.optimizer.weightDecay',
  clipNorm: 'train.clipNorm',
  maxLength: 'model.maxLength',
} as const satisfies Readonly<Record<keyof Recipe, string>>;
/** A hyper-parameter. */
export type RecipeField = keyof typeof recipeKeys;
/** In the order in which tables show them. */
export const recipeFields = Object.keys(recipeKeys) as readonly RecipeField[];

/** A copy of a map with the value below it that a list of keys leads to. */
const placed = (values: Plain, [key, ...inner]: readonly string[], value: unknown): Plain => ({
  ...values,
  [key!]: inner.length === 0 ? value : placed((values[key!] ?? {}) as Plain, inner, value),
});

/** The configuration keys of hyper-parameters, as a file would give them. */
export const recipeValues = (recipe: Recipe): Plain =>
  recipeFields
    .filter((field) => recipe[field] !== undefined)
    .reduce((values, field) => placed(values, recipeKeys[field].split('.'), recipe[field]), {
      train: { schedule: { type: 'warmup-cosine' } },
    } as Plain);

/** A hyper-parameter that the released scripts set to something else than the paper. */
export interface Deviation {
  readonly field: RecipeField;
  readonly paper: number;
  readonly released: number;
}

/** Where the scripts depart from what the paper says of the same model and task; none where either is silent. */
export function deviationsOf(model: PresetModel, task: Preset['task']): Deviation[] {
  const [paper, released] = presetSources.map((source) => {
    const preset = presets.find(({ name }) => name === `${source}:${model}/${task}`);
    return preset && recipeOf(preset);
  });
  if (paper === undefined || released === undefined) return [];
  return recipeFields.flatMap((field) => {
    const [said, run] = [paper[field], released[field]];
    return said === undefined || run === undefined || said === run
      ? []
      : [{ field, paper: said, released: run }];
  });
}

/** Whether a name is that of a preset, sound or not, rather than of a file. */
export const isPresetName = (name: string): boolean =>
  presetSources.some((source) => name.startsWith(`${source}:`));

/** Longest text that is compared with names; no name comes near to it. */
const MAX_NAME_LENGTH = 100;

const nearest = (word: string, known: readonly string[]): string | undefined =>
  word.length > MAX_NAME_LENGTH ? undefined : suggest(word, known);

/** The preset whose name is the most like this, if any is. */
export const presetMeant = (name: string): string | undefined =>
  nearest(
    name,
    presets.map((one) => one.name),
  );

/** The configuration keys of a preset, or what is wrong with its name. */
export function readPreset(
  name: string,
): { readonly values: Plain; readonly problem?: undefined } | { readonly problem: string } {
  const preset = presets.find((one) => one.name === name);
  if (preset === undefined) return { problem: unknownPreset(name) };
  const { recipe } = preset;
  if (isRefused(recipe)) return { problem: `the preset "${name}" cannot be used: ${recipe.refused}` };
  return { values: recipeValues(recipe) };
}

const list = 'affectgpt config presets lists all';

function unknownPreset(name: string): string {
  const shown = name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH)}…` : name;
  const unknown = `there is no preset "${shown}"`;
  const [, source, model, task] = /^(\w+):([^/]*)\/(.*)$/.exec(name) ?? [];
  const known = presetModels.find((one) => one === model);
  if (task === 'it' && known !== undefined) {
    return `${unknown}: ${presetTitle(known)} was not trained on all tasks at once`;
  }
  if (known !== undefined && task !== undefined) {
    const tasks = presets.filter((one) => one.source === source && one.model === known);
    const meant = nearest(
      task,
      tasks.map((one) => one.task),
    );
    const hint = meant === undefined ? '' : `; did you mean "${source}:${model}/${meant}"?`;
    return `${unknown}${hint === '' ? `; tasks of ${model} are ${tasks.map((one) => one.task).join(', ')}` : hint}`;
  }
  const meant = presetMeant(name);
  return meant === undefined
    ? `${unknown}; models are ${presetModels.join(', ')}; ${list}`
    : `${unknown}; did you mean "${meant}"? ${list}`;
}

import { type PaperTaskKey, paperTaskKeys } from '../mmla-tasks.ts';

/**
 * Hyper-parameters of fine-tuning in the MMLA paper (NeurIPS 2025, Section 4 and Tables 9 to 12). Where the tables and a
 * released configuration can be read in two ways, the one that agrees with the other was taken.
 */

/** A task of MMLA as names of presets spell it. */
export type PresetTask = Lowercase<PaperTaskKey>;

/** In the order of the paper's Table 1. */
export const presetTasks = paperTaskKeys.map((task) => task.toLowerCase() as PresetTask);

/** What a model is fine-tuned with. Absent is what the source does not say. */
export interface Recipe {
  readonly lr: number;
  /** Share of all optimizer steps in which the learning rate rises; half a cosine follows. */
  readonly warmupRatio: number;
  /** Samples of a batch on each device. */
  readonly batchSize: number;
  readonly epochs: number;
  readonly rank: number;
  readonly alpha: number;
  /** Batches whose gradients make one optimizer step. */
  readonly accumulation?: number;
  readonly dropout?: number;
  readonly weightDecay?: number;
  readonly clipNorm?: number;
  /** Longest sequence in tokens. */
  readonly maxLength?: number;
}

/** Hyper-parameters by task. */
export type Recipes = Readonly<Record<PresetTask, Recipe>>;

/** Why a preset cannot be used. */
export interface Refused {
  readonly refused: string;
}

/** What a source says of one model. */
export interface ModelRecipes {
  /** Fine-tuned on one task. */
  readonly sft: Readonly<Record<PresetTask, Recipe | Refused>>;
  /** Fine-tuned on all tasks at once; absent where the source has no such model. */
  readonly it?: Recipe | Refused;
  /** What else is to be known. */
  readonly notes?: readonly string[];
}

interface PaperRecipes extends ModelRecipes {
  /** As the paper names it. */
  readonly title: string;
  readonly sft: Recipes;
  readonly it?: Recipe;
}

/** In the order of the paper's columns. */
type Row = readonly [
  lr: number,
  warmupRatio: number,
  batchSize: number,
  epochs: number,
  rank: number,
  alpha: number,
];

const recipe = ([lr, warmupRatio, batchSize, epochs, rank, alpha]: Row): Recipe => ({
  ...{ lr, warmupRatio, batchSize, epochs, rank, alpha },
});

/** Hyper-parameters of every task. */
export const recipesOf = (of: (task: PresetTask, index: number) => Recipe): Recipes =>
  Object.fromEntries(presetTasks.map((task, i) => [task, of(task, i)])) as unknown as Recipes;

/** The same for every task but those named. */
const everywhere = (row: Row, but: Partial<Readonly<Record<PresetTask, Row>>> = {}): Recipes =>
  recipesOf((task) => recipe(but[task] ?? row));

/** A row for each task, in the order of `presetTasks`. */
const rows = (...all: readonly Row[]): Recipes => recipesOf((_, i) => recipe(all[i]!));

/** The three decoders without vision have the same rows. */
const decoder = (title: string) => ({
  title,
  sft: everywhere([1e-4, 0.1, 2, 8, 8, 16], { mustard: [5e-5, 0.1, 1, 8, 16, 32] }),
  it: recipe([5e-5, 0.1, 1, 8, 16, 32]),
});

/** LLaVA-OV-7B varies in batch and epochs alone. */
const ov = (batchSize: number, epochs: number): Row => [1e-4, 0.1, batchSize, epochs, 128, 256];
/** Rows that several tasks of LLaVA-Video-7B share. */
const videoShort: Row = [2e-4, 0.3, 6, 5, 128, 256];
const videoLong: Row = [1e-4, 0.2, 4, 8, 64, 128];

/** Names of models as presets spell them, with the paper's values. */
export const paperRecipes = {
  'qwen2-7b': decoder('Qwen2-7B'),
  'llama3-8b': decoder('Llama3-8B'),
  'internlm2.5-7b': decoder('InternLM2.5-7B'),
  'qwen2-vl-7b': {
    title: 'Qwen2-VL-7B',
    sft: rows(
      [1.1e-4, 0.1, 8, 60, 8, 16],
      [1.2e-4, 0.3, 16, 30, 8, 16],
      [1.1e-4, 0.1, 16, 30, 8, 16],
      [1e-4, 0.2, 2, 15, 8, 16],
      [3e-4, 0.1, 8, 50, 8, 16],
      [3e-4, 0.1, 12, 50, 8, 16],
      [1e-4, 0.1, 8, 20, 8, 16],
      [1.1e-4, 0.1, 12, 30, 8, 16],
      [1e-3, 0.2, 12, 10, 8, 16],
      [1e-3, 0.2, 2, 10, 8, 16],
      [3e-4, 0.1, 8, 50, 8, 16],
      [3e-4, 0.1, 12, 50, 8, 16],
    ),
    it: recipe([1e-4, 0.3, 8, 5, 64, 128]),
  },
  'qwen2-vl-72b': {
    title: 'Qwen2-VL-72B',
    sft: rows(
      [1e-4, 0.1, 4, 20, 8, 16],
      [1e-4, 0.1, 4, 20, 8, 16],
      [1.1e-4, 0.4, 4, 10, 8, 16],
      [1e-4, 0.2, 2, 7, 8, 16],
      [1.1e-4, 0.5, 4, 10, 8, 16],
      [3e-4, 0.1, 8, 5, 8, 16],
      [1e-4, 0.2, 2, 10, 8, 16],
      [1e-4, 0.2, 4, 10, 8, 16],
      [3e-4, 0.1, 4, 3, 8, 16],
      [4e-4, 0.3, 2, 10, 8, 16],
      [1.1e-4, 0.5, 4, 10, 8, 16],
      [3e-4, 0.1, 8, 5, 8, 16],
    ),
    it: recipe([1e-4, 0.3, 2, 3, 64, 128]),
  },
  'llava-video-7b': {
    title: 'LLaVA-Video-7B',
    sft: rows(
      [2e-4, 0.3, 4, 10, 128, 256],
      videoShort,
      videoLong,
      [2e-4, 0.2, 6, 8, 128, 256],
      videoLong,
      videoLong,
      videoShort,
      videoShort,
      videoLong,
      [2e-4, 0.4, 2, 10, 128, 256],
      videoLong,
      videoLong,
    ),
  },
  'llava-ov-7b': {
    title: 'LLaVA-OV-7B',
    sft: rows(
      ...[ov(6, 15), ov(6, 10), ov(6, 10), ov(6, 10), ov(6, 10), ov(4, 10)],
      ...[ov(6, 20), ov(6, 15), ov(6, 10), ov(6, 15), ov(6, 10), ov(4, 10)],
    ),
  },
  'llava-video-72b': {
    title: 'LLaVA-Video-72B',
    sft: everywhere([1e-4, 0.3, 1, 5, 8, 16], { mustard: [1e-4, 0.3, 1, 3, 8, 16] }),
    it: recipe([1e-4, 0.3, 1, 3, 8, 16]),
  },
  'llava-ov-72b': {
    title: 'LLaVA-OV-72B',
    sft: everywhere([1e-4, 0.3, 1, 5, 8, 16], { mustard: [1e-4, 0.3, 1, 20, 8, 16] }),
  },
  'videollama2-7b': {
    title: 'VideoLLaMA2-7B',
    sft: everywhere([2e-5, 0.5, 1, 10, 128, 256]),
  },
  'minicpm-v-2.6': {
    title: 'MiniCPM-V-2.6-8B',
    sft: everywhere([1e-4, 0.05, 1, 8, 16, 32]),
    it: recipe([1e-4, 0.05, 1, 5, 16, 32]),
  },
} satisfies Readonly<Record<string, PaperRecipes>>;

/** A model as names of presets spell it. */
export type PresetModel = keyof typeof paperRecipes;

/** What holds for all of the paper's values. */
export const paperNotes: readonly string[] = [
  'The batch is that of one device and the paper trained on about eight; how many batches made a step it does not say. A preset sets train.batchSize alone: for as many samples a step on fewer devices set train.accumulation yourself.',
  'Section 4 gives ranges (warm-up 0.1 to 0.3, batch 4 to 24, rank 8 to 128) that the tables leave (0.05 to 0.5, 1 to 16). The tables are what is here.',
];

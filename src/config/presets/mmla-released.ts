import {
  type ModelRecipes,
  type PresetModel,
  type PresetTask,
  paperRecipes,
  type Recipe,
  type Recipes,
  recipesOf,
} from './mmla-paper.ts';

/**
 * Hyper-parameters that the released scripts of MMLA (repository of 2025-05-24) would run with: what they write, and of
 * what they leave to their framework the rank, alpha and dropout. Rows begin with the paper's where scripts agree with it.
 */

type Changes = Partial<Recipe>;

/** The paper's rows with what a script sets besides or differently. */
const changed = (
  paper: Recipes,
  everywhere: Changes,
  of: Partial<Readonly<Record<PresetTask, Changes>>> = {},
): Recipes => recipesOf((task) => ({ ...paper[task], ...everywhere, ...of[task] }));

const { sft: decoderSft } = paperRecipes['qwen2-7b'];

/** One script runs all decoders without vision. */
const decoder: ModelRecipes = {
  sft: changed(decoderSft, {
    ...{ lr: 5e-5, warmupRatio: 0, batchSize: 1, epochs: 8, rank: 16, alpha: 32 },
    ...{ accumulation: 4, dropout: 0, clipNorm: 1, maxLength: 1024 },
  }),
  it: {
    ...{ lr: 1e-4, warmupRatio: 0, batchSize: 2, epochs: 8, rank: 8, alpha: 16 },
    ...{ accumulation: 4, dropout: 0, clipNorm: 1, maxLength: 1024 },
  },
  notes: [
    'Learning rate, batch, rank and alpha of SFT and IT are swapped against the paper: its SFT row is what run_it.sh runs, its IT row what run_sft.sh runs. Neither script warms up.',
    'The concatenated files that IT reads (Instruct_train_text_llamafactory.json) are not part of the release.',
  ],
};

const qwen2Vl = { rank: 8, alpha: 16, dropout: 0, maxLength: 1024 };
const qwen2VlNotes = [
  'The files set no rank: LLaMA-Factory then takes 8, and twice that as alpha.',
  'run_sft.sh looks for the files one folder above the one in which they lie.',
];

const llavaNotes = [
  'With the released data files training sees no video: they name clips under "images", and the loader looks for "image" and "video".',
  'Nothing is evaluated while training; the last weights are taken, not the best as the paper says.',
];
const llava72 = { dropout: 0.05, weightDecay: 0.1, maxLength: 1024 };
const llava7 = { accumulation: 6, dropout: 0.05, weightDecay: 0, maxLength: 3072 };

/** By the same names as the paper's. */
export const releasedRecipes: Readonly<Record<PresetModel, ModelRecipes>> = {
  'qwen2-7b': decoder,
  'llama3-8b': decoder,
  'internlm2.5-7b': decoder,
  'qwen2-vl-7b': {
    sft: changed(
      paperRecipes['qwen2-vl-7b'].sft,
      { ...qwen2Vl, accumulation: 4 },
      {
        'mintrec2.0': { accumulation: 8 },
        meld: { accumulation: 8 },
        'meld-da': { batchSize: 12 },
        'ur-funny': { accumulation: 6 },
        mustard: { accumulation: 2 },
        'annomi-client': { lr: 1e-3, warmupRatio: 0.2, batchSize: 8, epochs: 10 },
        'annomi-therapist': { lr: 1e-3, warmupRatio: 0.2, batchSize: 8, epochs: 10 },
      },
    ),
    it: { ...paperRecipes['qwen2-vl-7b'].it, ...qwen2Vl, accumulation: 4 },
    notes: qwen2VlNotes,
  },
  'qwen2-vl-72b': {
    sft: changed(
      paperRecipes['qwen2-vl-72b'].sft,
      { ...qwen2Vl, accumulation: 2 },
      {
        'iemocap-da': { batchSize: 4 },
        'annomi-client': { lr: 2e-4, warmupRatio: 0.1, batchSize: 4, epochs: 5 },
        'annomi-therapist': { lr: 2e-4, warmupRatio: 0.1, batchSize: 4, epochs: 5 },
      },
    ),
    it: {
      refused:
        'its file in the release holds a merge of adapters (of checkpoint-30), no training, so what was trained with cannot be told',
    },
    notes: qwen2VlNotes,
  },
  'llava-video-7b': {
    sft: changed(paperRecipes['llava-video-7b'].sft, llava7),
    notes: llavaNotes,
  },
  'llava-ov-7b': {
    sft: {
      ...changed(paperRecipes['llava-ov-7b'].sft, llava7, { 'annomi-therapist': { batchSize: 6 } }),
      'meld-da': {
        refused:
          'its entry in the release is corrupt: gradient_accumulation_steps is 0.0001 and model_max_length 6, values of other keys',
      },
    },
    notes: llavaNotes,
  },
  'llava-video-72b': {
    sft: changed(
      paperRecipes['llava-video-72b'].sft,
      { ...llava72, epochs: 15, accumulation: 8 },
      { mosi: { epochs: 1 }, mustard: { epochs: 1 } },
    ),
    it: { ...paperRecipes['llava-video-72b'].it, ...llava72, accumulation: 1, weightDecay: 0 },
    notes: llavaNotes,
  },
  'llava-ov-72b': {
    sft: changed(
      paperRecipes['llava-ov-72b'].sft,
      { ...llava72, accumulation: 2 },
      { mustard: { warmupRatio: 0.2 } },
    ),
    notes: llavaNotes,
  },
  'videollama2-7b': {
    sft: changed(paperRecipes['videollama2-7b'].sft, {
      ...{ accumulation: 1, dropout: 0.05, weightDecay: 0.1, maxLength: 2048 },
    }),
    notes: [
      'The script trains in fp16 (the paper: BF16) from Mistral-7B-Instruct-v0.2 and the projector of VideoLLaMA2-7B-Base, in eight processes, evaluates nothing and keeps the last weights.',
      'It asks for Anno-MI files under a name (AnnoMi-…) that a case-sensitive disk does not have (AnnoMI-…).',
    ],
  },
  'minicpm-v-2.6': {
    sft: changed(paperRecipes['minicpm-v-2.6'].sft, { accumulation: 16, maxLength: 1024 }),
    it: { ...paperRecipes['minicpm-v-2.6'].it, accumulation: 1, maxLength: 1024 },
    notes: [
      'Eight processes: 128 samples a step in SFT, 8 in IT. The best checkpoint is that of the lowest validation loss, not of the accuracy that the paper names.',
      'The options of the scripts are those of ms-swift 3; the release contains version 2.6, which does not know them.',
    ],
  },
};

/** What holds for all of the released values. */
export const releasedNotes: readonly string[] = [
  'The schedule is a cosine throughout. What a script leaves to its framework is not set here, but for rank, alpha and dropout.',
  'Adapters lie on all linear layers of the language model, which is the default of lora.targets.',
];

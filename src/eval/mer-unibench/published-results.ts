import type { BenchmarkKey } from './datasets.ts';

/** A row that others published, in percent as they printed it; all under the protocol `paper`. */
export interface PublishedRow {
  readonly name: string;
  readonly source: string;
  /** Main scores: hit rate, WAF or F. */
  readonly scores?: Partial<Readonly<Record<BenchmarkKey, number>>>;
  /** Accuracies of the sets whose main score is WAF. */
  readonly accuracies?: Partial<Readonly<Record<BenchmarkKey, number>>>;
  /** Over the nine sets, and over those of one kind. */
  readonly means?: {
    readonly fine?: number;
    readonly basic?: number;
    readonly sentiment?: number;
    readonly mean: number;
  };
}

const paper = 'AffectGPT, ICML 2025';
const ovMer = 'published predictions of OV-MER on 332 samples, scored by the published code';

const meansOf = (group: string, source: string, rows: Readonly<Record<string, number>>): PublishedRow[] =>
  Object.entries(rows).map(([name, mean]) => ({ name: `${group}: ${name}`, source, means: { mean } }));

const ovMerd = (name: string, f: number): PublishedRow => ({ name, source: ovMer, scores: { ovmerd: f } });

/** What the papers and their published predictions say of models on these sets. */
export const publishedResults: readonly PublishedRow[] = [
  {
    name: 'AffectGPT',
    source: `${paper}, Tables 2 and 12`,
    scores: {
      ...{ mer2023: 78.54, mer2024: 78.8, meld: 55.65, iemocapfour: 60.54 },
      ...{ cmumosi: 81.3, cmumosei: 80.9, sims: 88.49, simsv2: 86.18, ovmerdplus: 62.52 },
    },
    accuracies: { cmumosi: 81.25, cmumosei: 80.68 },
    means: { fine: 62.52, basic: 68.38, sentiment: 84.22, mean: 74.77 },
  },
  {
    ...{ name: 'pre-fusion: none', source: `${paper}, ablation` },
    means: { fine: 61.21, basic: 66.28, sentiment: 82.57, mean: 72.95 },
  },
  {
    ...{ name: 'pre-fusion: Q-Former', source: `${paper}, ablation` },
    means: { fine: 62.65, basic: 66.89, sentiment: 84.3, mean: 74.16 },
  },
  {
    ...{ name: 'pre-fusion: attention', source: `${paper}, ablation` },
    means: { fine: 62.52, basic: 68.38, sentiment: 84.22, mean: 74.77 },
  },
  ...meansOf('LoRA', `${paper}, ablation`, {
    ...{ none: 73.3, 'rank 8': 74.65, 'rank 16': 74.77, 'rank 32': 74.92 },
  }),
  ...meansOf('inputs', `${paper}, ablation`, {
    ...{ audio: 60.08, face: 60.47, frame: 59.47, text: 67.44 },
    ...{ 'audio, face, text': 74.77, 'audio, frame, text': 73.39, all: 74.6 },
  }),
  ...meansOf('training data', `${paper}, Table 13`, {
    ...{ 'MER-Caption+': 74.77, 'MER-Caption': 68.91, 'MERR-Fine': 64.55, MAFW: 58.16, EmoVIT: 51.05 },
    ...{ 'MERR-Coarse': 49.85, LLaVA: 46.69, VideoChat: 37.16, MiniGPT4: 31.74, WavCaps: 21.65 },
  }),
  ...meansOf('filtering', `${paper}, ablation`, {
    ...{ none: 68.91, low: 69.54, '+E': 73.78, '+S': 74.05, '+E+S': 74.77 },
  }),
  ovMerd('AffectGPT (epoch 30)', 65.86),
  ovMerd('Chat-UniVi (subtitle added later)', 57.16),
  ovMerd('Chat-UniVi (subtitle)', 52.53),
  ovMerd('mPLUG-Owl (subtitle)', 49.38),
  ovMerd('LLaMA-VID (subtitle)', 47.87),
  ovMerd('SALMONN (subtitle)', 42.81),
  ovMerd('Chat-UniVi (no subtitle)', 42.26),
  ovMerd('Qwen-Audio (subtitle)', 34.35),
  ovMerd('Otter (subtitle)', 21.72),
];

import type { PublishedRow } from '../eval/mer-unibench/published-results.ts';
import { publishedResults } from '../eval/mer-unibench/published-results.ts';

/** Means over MER-UniBench in percent, as printed. */
export type PublishedMeans = NonNullable<PublishedRow['means']>;

/** A row of a published ablation. */
export interface AblationRow {
  /** As the paper names it. */
  readonly name: string;
  /** What a setting of a sweep has: dotted configuration keys, or columns of the sweep, with their values. */
  readonly when: Readonly<Record<string, unknown>>;
  readonly means: PublishedMeans;
}

/** An ablation of the AffectGPT paper (ICML 2025); all of it under the protocol `paper`. */
export interface PublishedTable {
  readonly title: string;
  /** Table or figure, and section. */
  readonly source: string;
  readonly rows: readonly AblationRow[];
  /** Configuration keys that the table itself varies: to differ in them is no deviation from the published recipe. */
  readonly varies: readonly string[];
}

/** The means of a row that the comparison of MER-UniBench has, too. */
function meansOf(name: string): PublishedMeans {
  const means = publishedResults.find((row) => row.name === name)?.means;
  if (means === undefined) throw new Error(`no published row "${name}"`);
  return means;
}

const lora = (rank: number): AblationRow => ({
  name: `rank ${rank}`,
  when: { 'train.parts.decoder': 'lora', 'lora.rank': rank },
  means: meansOf(`LoRA: rank ${rank}`),
});

const inputs = (name: string, mode: string): AblationRow => ({
  name,
  when: { 'model.inputs': mode },
  means: meansOf(`inputs: ${name}`),
});

const visual = (name: string, type: string, mean: number): AblationRow => ({
  ...{ name, when: { 'model.visualEncoder.type': type }, means: { mean } },
});

const acoustic = (name: string, type: string, mean: number): AblationRow => ({
  ...{ name, when: { 'model.audioEncoder.type': type }, means: { mean } },
});

const filter = (
  name: string,
  label: string,
  [fine, basic, sentiment, mean]: readonly [number, number, number, number],
): AblationRow => ({ name, when: { filter: label }, means: { fine, basic, sentiment, mean } });

const section = (where: string): string => `AffectGPT, ICML 2025, ${where}`;

/** The published ablations by the names that `published` of a sweep file takes. */
export const publishedTables = {
  'pre-fusion': {
    title: 'Role of pre-fusion',
    source: section('Table 5'),
    varies: ['fusion.multi', 'model.inputs', 'fusion.queryTokens.multi'],
    rows: [
      {
        name: 'none',
        when: { 'fusion.multi': 'none', 'model.inputs': 'face' },
        means: meansOf('pre-fusion: none'),
      },
      {
        name: 'Q-Former',
        when: { 'fusion.multi': 'qformer', 'model.inputs': 'multiface_audio_face_text' },
        means: meansOf('pre-fusion: Q-Former'),
      },
      {
        name: 'attention',
        when: { 'fusion.multi': 'attention', 'model.inputs': 'multiface_audio_face_text' },
        means: meansOf('pre-fusion: attention'),
      },
    ],
  },
  'lora-rank': {
    title: 'Rank of LoRA',
    source: section('Table 8'),
    varies: ['train.parts.decoder', 'lora.rank'],
    rows: [
      { name: 'none', when: { 'train.parts.decoder': 'frozen' }, means: meansOf('LoRA: none') },
      ...[8, 16, 32].map(lora),
    ],
  },
  inputs: {
    title: 'Impact of the inputs',
    source: section('Table 6'),
    varies: ['model.inputs'],
    rows: [
      inputs('audio', 'audioonly'),
      inputs('face', 'faceonly'),
      inputs('frame', 'frameonly'),
      inputs('text', 'textonly'),
      inputs('audio, face, text', 'multiface_audio_face_text'),
      inputs('audio, frame, text', 'multiframe_audio_frame_text'),
      inputs('all', 'multiface_audio_face_frame_text'),
    ],
  },
  frames: {
    title: 'Number of frames (of the curve of Figure 10 only what Table 6 has, too)',
    source: section('Table 6'),
    varies: ['model.inputs', 'model.frames'],
    rows: [
      {
        name: 'face, 8 frames',
        when: { 'model.inputs': 'faceonly', 'model.frames': 8 },
        means: meansOf('inputs: face'),
      },
    ],
  },
  'visual-encoder': {
    title: 'Choice of the visual encoder',
    source: section('Figure 4 (c)'),
    varies: ['model.visualEncoder'],
    rows: [
      visual('CLIP_VIT', 'clip', 74.77),
      visual('SigLIP', 'siglip', 74.63),
      visual('DINOv2', 'dinov2', 73.12),
    ],
  },
  'acoustic-encoder': {
    title: 'Choice of the acoustic encoder',
    source: section('Figure 4 (b)'),
    varies: ['model.audioEncoder'],
    rows: [
      acoustic('HUBERT_Large', 'hubert', 74.77),
      acoustic('WavLM_Large', 'wavlm', 74.39),
      acoustic('Data2vec_Base', 'data2vec', 74.48),
    ],
  },
  'data-filter': {
    title: 'Necessity of filtering (E: emotion, S: sentiment)',
    source: section('Table 4'),
    varies: ['data'],
    rows: [
      filter('none', 'none', [58.42, 64.36, 76.09, 68.91]),
      filter('low', 'low', [58.61, 62.78, 79.04, 69.54]),
      filter('low + E', 'low + E', [61.72, 67.83, 82.74, 73.78]),
      filter('low + S', 'low + S', [61.0, 66.33, 85.04, 74.05]),
      filter('low + E + S', 'low + E + S', [62.52, 68.38, 84.22, 74.77]),
    ],
  },
} as const satisfies Readonly<Record<string, PublishedTable>>;

import type { BoardModality } from './row.ts';

/** What is known of a model apart from its scores. */
export interface ModelFacts {
  /** In billions, as its name says. */
  readonly parameters: number | null;
  readonly modality: BoardModality;
}

const text = (parameters: number): ModelFacts => ({ parameters, modality: 'text' });
const video = (parameters: number | null): ModelFacts => ({ parameters, modality: 'video' });

/** The models of the paper. */
export const publishedModels: Readonly<Record<string, ModelFacts>> = {
  'Qwen2-0.5B': text(0.5),
  'Llama-3.2-1B': text(1),
  'Qwen2-1.5B': text(1.5),
  'Llama-3.2-3B': text(3),
  'Qwen2-7B': text(7),
  'Llama-3-8B': text(8),
  'Llama-3.1-8B': text(8),
  'InternLM2.5-7B': text(7),
  'VideoLLaMA2-7B': video(7),
  'Qwen2-VL-7B': video(7),
  'LLaVA-Video-7B': video(7),
  'LLaVA-OV-7B': video(7),
  'MiniCPM-V-2.6-8B': video(8),
  'Qwen2-VL-72B': video(72),
  'LLaVA-Video-72B': video(72),
  'LLaVA-OV-72B': video(72),
  'GPT-4o': video(null),
};

/** Classes of sizes, by billions of parameters. */
export const sizeClasses = {
  small: 'under 2B',
  medium: '2B to under 20B',
  large: '20B and more',
  unknown: 'not known',
} as const;
export type SizeClass = keyof typeof sizeClasses;

export function sizeClassOf(parameters: number | null): SizeClass {
  if (parameters === null) return 'unknown';
  if (parameters < 2) return 'small';
  return parameters < 20 ? 'medium' : 'large';
}

/** `0.5B`, `72B`; a dash where it is not known. */
export const sizeText = (parameters: number | null): string =>
  parameters === null ? '–' : `${Number(parameters.toPrecision(3))}B`;

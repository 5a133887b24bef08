import { decoderSizes } from '../../../src/bench/decoder-sizes.ts';
import { encodeShape } from '../../../src/bench/encode.ts';
import { generateShape } from '../../../src/bench/generate.ts';
import { publishedEncoders } from '../../../src/bench/random-model.ts';
import { trainStepShape } from '../../../src/bench/train-step.ts';

/** A case that is compared: what is run, how often, and what is due. */
export type CompareCase = {
  /** Runs of a process before another one's turn, and turns of each. */
  readonly block: number;
  readonly rounds: number;
  /** So many times as fast as the better of PyTorch's two float32 modes. */
  readonly speedDue: number;
  /** So many times as fast as the better of PyTorch's two bf16 modes, for an engine that computes in bf16. */
  readonly bf16SpeedDue?: number;
  /** Peak memory at most this share of the smaller of the two. */
  readonly memoryDue?: number;
} & (
  | { readonly bench: 'train-step'; readonly size: 's' | 'm' | 'l' }
  | { readonly bench: 'encode'; readonly size: 'clip' | 'hubert' }
  | { readonly bench: 'generate'; readonly size: 'm' | 'l' }
);

export const compareCases: readonly CompareCase[] = [
  { bench: 'train-step', size: 's', block: 20, rounds: 6, speedDue: 1.5 },
  { bench: 'train-step', size: 'm', block: 3, rounds: 6, speedDue: 2, bf16SpeedDue: 1.2 },
  { bench: 'train-step', size: 'l', block: 1, rounds: 6, speedDue: 2, memoryDue: 0.6 },
  { bench: 'encode', size: 'clip', block: 1, rounds: 6, speedDue: 1.5, bf16SpeedDue: 1.2 },
  { bench: 'encode', size: 'hubert', block: 1, rounds: 6, speedDue: 1.5, bf16SpeedDue: 1.2 },
  { bench: 'generate', size: 'm', block: 2, rounds: 6, speedDue: 1 },
  { bench: 'generate', size: 'l', block: 1, rounds: 6, speedDue: 1 },
];

export const caseName = ({ bench, size }: Pick<CompareCase, 'bench' | 'size'>): string => `${bench} ${size}`;

/** What both sides are told about a case: shapes and the model's `config.json`. */
export function caseSpec({ bench, size }: CompareCase): object {
  switch (bench) {
    case 'train-step':
      return { case: bench, size, config: decoderSizes[size], ...trainStepShape };
    case 'encode':
      return { case: bench, size, config: publishedEncoders[size].config, ...encodeShape };
    case 'generate':
      return { case: bench, size, config: decoderSizes[size], ...generateShape };
  }
}

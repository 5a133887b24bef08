import type { Engine, HostTensorMap } from '../../src/engine/types.ts';

/** What `golden.json` says of a tensor. */
export interface GoldenTensor {
  readonly role: 'input' | 'expected';
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly max_abs_diff?: number;
}

/** The part of `golden.json` that every kind of fixture may have; each handler reads the rest of its own. */
export interface Golden {
  readonly fixture: string;
  readonly tensors?: Readonly<Record<string, GoldenTensor>>;
  readonly [key: string]: unknown;
}

/** A folder of reference results, opened. */
export interface ParityFixture {
  readonly folder: string;
  readonly golden: Golden;
  /** Content of `golden.safetensors`: inputs and expected outputs. Empty where there is none. */
  readonly tensors: HostTensorMap;
}

/** One expected tensor beside what this program makes of the inputs. */
export interface Comparison {
  /** Name of the tensor in the fixture, the file before it where there are several. */
  readonly tensor: string;
  /** Largest absolute difference of the elements that mean something; NaN where either side has one. */
  readonly maxAbsError: number;
  /** The same, relative to the largest absolute value expected. */
  readonly maxRelError: number;
  /** What `maxAbsError` may be. */
  readonly tolerance: number;
  readonly ok: boolean;
  /** What was left out and why, or what is compared in place of absolute differences. */
  readonly note?: string;
}

/** Builds the model of one kind of fixture, runs it on the inputs and compares. */
export type ParityHandler = (fixture: ParityFixture, engine: Engine) => Promise<Comparison[]>;

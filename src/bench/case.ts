import type { Engine } from '../engine/types.ts';

/** What one run of a case took. */
export interface Measurement {
  /** Milliseconds of what the case is about: a step, a sample, a new token. */
  readonly ms: number;
  /** Milliseconds from a prompt to its first token, where the case generates. */
  readonly promptMs?: number;
  readonly loss?: number;
}

/** Something that is measured, ready to run: compiled, and run once. */
export interface BenchCase {
  readonly bench: string;
  readonly size: string;
  /** Milliseconds from opening its files to the first result: tracing, compilation and the first run. */
  readonly firstMs: number;
  /** Tokens of one run, where it has any. */
  readonly tokens: number | null;
  /**
   * Floating-point operations of the matrix products and convolutions of one run, counted from the shapes of the model;
   * null where the case is not bound by them.
   */
  readonly flops: number | null;
  run(): Promise<Measurement>;
  dispose(): Promise<void>;
}

/** Compiles a case for an engine and runs it once. */
export type OpenCase = (engine: Engine) => Promise<BenchCase>;

/** What kills a process, and when. */
export type Fault =
  /** At the given occurrence, from 1, of an operation that `operationName` names: before, half-way, or after it. */
  | {
      readonly at: 'operation';
      readonly name: string;
      readonly occurrence: number;
      readonly phase: 'before' | 'half' | 'after';
    }
  /** Some time after a moment of a step: its computation begins, has ended, or its second micro-batch begins. */
  | {
      readonly at: 'step';
      readonly step: number;
      readonly moment: 'begin' | 'end' | 'second micro-batch';
      readonly milliseconds: number;
    }
  /** Some time after the features of so many files were asked for. */
  | { readonly at: 'features'; readonly count: number; readonly milliseconds: number };

/** What a process that is watched is told, as JSON in the environment variable `AFFECTGPT_FAULTS`. */
export interface WatchOrders {
  /** Operations below it are watched. */
  readonly folder: string;
  /** File that is told what the steps compute on. */
  readonly trace: string;
  /** File that is told every operation; absent where nobody wants to know. */
  readonly operations?: string;
  readonly fault?: Fault;
}

/** A line of the trace. */
export type TraceLine =
  /** A micro-batch of a step was made: its samples in order, and a hash of all its tensors, dropout keys included. */
  | {
      readonly event: 'batch';
      readonly step: number;
      readonly epoch: number;
      readonly names: readonly string[];
      readonly hash: string;
    }
  | { readonly event: 'begin' | 'end'; readonly step: number; readonly milliseconds: number }
  | { readonly event: 'micro-batch'; readonly index: number }
  | { readonly event: 'features'; readonly count: number }
  /** Written in the moment of death. */
  | { readonly event: 'killed'; readonly by: string };

export const ordersVariable = 'AFFECTGPT_FAULTS';

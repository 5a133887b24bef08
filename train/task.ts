import type { Collective } from '../src/collective/collective.ts';
import type { Engine, HostTensorMap } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import type { BadNumbersPolicy } from './bad-step.ts';
import type { AdapterDescription } from './checkpoint.ts';
import type { Keeping } from './checkpoint-folders.ts';
import type { DataRecord } from './data-record.ts';
import type { RunIdentity } from './identity.ts';
import type { Interrupt, InterruptSignal } from './interrupts.ts';
import type { RunTotals, StepRecord } from './logger.ts';
import type { OutputStream } from './progress.ts';
import type { LengthGrouping, SampleWeights } from './sampler.ts';
import type { Schedule } from './schedule.ts';
import type { StepOptions } from './step.ts';
import type { BestValidation, ValidationPolicy, Validator } from './validation/validator.ts';

/** A micro-batch. */
export interface TaskBatch {
  /** Inputs of the task's loss function. */
  readonly inputs: HostTensorMap;
  readonly supervisedTokens: number;
  /** Without padding. */
  readonly tokens: number;
  /** Floating-point operations of a step with it, forward and backward; absent where nobody counts them. */
  readonly flops?: number;
}

/** Operations of all micro-batches of a step; undefined where they are not counted. */
export function flopsOf(batches: readonly TaskBatch[]): number | undefined {
  return batches.reduce<number | undefined>(
    (sum, { flops }) => (sum === undefined || flops === undefined ? undefined : sum + flops),
    0,
  );
}

/** The step that a micro-batch belongs to. */
export interface TaskBatchPlace {
  readonly epoch: number;
  readonly step: number;
  /**
   * Samples of the micro-batches that the devices of the engine compute together, this one's among them; absent on one
   * device. They go together only where they have the same sizes: a task whose sizes can be chosen makes them so.
   */
  readonly beside?: readonly (readonly string[])[];
}

/** What is trained, whatever the model: a loss, its parameters, and samples by name. */
export interface TrainingTask {
  readonly stepOptions: StepOptions;
  /** Values of the trainable tensors where a run begins; not looked at where it goes on. */
  readonly initialParameters: HostTensorMap;
  readonly names: readonly string[];
  /** The batch of these samples: a function of its arguments alone, since a resumed run asks again. */
  loadBatch(names: readonly string[], at: TaskBatchPlace): Promise<TaskBatch>;
}

/** Where a run is kept. */
export interface RunOptions {
  readonly folder: string;
  readonly resume: 'auto' | 'never';
  /** Steps between checkpoints, besides the one at the end; and which of them stay. */
  readonly checkpoint: Keeping & { readonly every: number };
  /** Needed where adapters are trained: what `adapter_config.json` says. */
  readonly adapter?: AdapterDescription;
  /** Settings that must not change when the run is resumed, as `runIdentity` gives them. */
  readonly identity?: RunIdentity;
  /** What is told about the samples: may not change while the run is continued. */
  readonly data?: DataRecord;
  /** `config.yaml` of the run, for the dump of a step with NaN or infinity. */
  readonly configText?: string;
}

export interface TrainOptions {
  readonly engine: Engine;
  /** The processes that train together; absent, this one does alone. */
  readonly collective?: Collective;
  /** Optimizer steps of the whole run, those done before a resumption included. */
  readonly steps: number;
  /** Samples of a micro-batch, and micro-batches that each rank adds to a step. */
  readonly batchSize: number;
  readonly accumulation: number;
  /** Absent or null, samples meet by chance. */
  readonly lengthGrouping?: LengthGrouping | null;
  /** Times that samples occur in an epoch; absent or null, once. */
  readonly weights?: SampleWeights | null;
  readonly seed: number;
  readonly schedule: Schedule;
  /** What to do about NaN and infinity; stops where absent. */
  readonly onBadNumbers?: BadNumbersPolicy;
  /** null keeps everything in memory: no files, no resumption. */
  readonly run: RunOptions | null;
  readonly log?: {
    /** Steps between two lines. */
    readonly every: number;
    /** For people; null is silent. */
    readonly stream: OutputStream | null;
    /** Named in front of every line. */
    readonly label?: string;
    /** Floating-point operations a second that the engine reaches at most, for MFU. */
    readonly peakFlops?: number;
  };
  /** Measures held-out samples every so many steps; what is made of it is decided by the policy. */
  readonly validation?: ValidationPolicy & { readonly validator: Validator };
  /** Looked at between steps; `watchInterrupts` makes one of signals. */
  readonly interrupt?: Interrupt;
  /** Called once, before the first step, when the run is known to be a new one or the same as before. */
  readonly onStart?: () => Promise<void>;
  readonly onStep?: (record: StepRecord) => void | Promise<void>;
  /** Called after each checkpoint is complete. */
  readonly onSave?: (saved: { readonly step: number; readonly checkpoint: string }) => Promise<void>;
}

/** How a training ended that did not fail. */
export interface TrainOutcome {
  readonly status: 'done' | 'interrupted';
  readonly signal: InterruptSignal | null;
  /** 0, or what the signal asks for: 130, 143 or 75. */
  readonly exitCode: 0 | 130 | 143 | 75;
  /** Steps done. */
  readonly step: number;
  readonly totals: RunTotals;
  /** Steps of the whole run that were skipped for NaN or infinity. */
  readonly skippedSteps: number;
  /** Steps since the start or the resumption whose loss or gradient norm stood out; see `SpikeWatch`. */
  readonly spikes: number;
  /** Values of the trainable tensors. */
  readonly parameters: HostTensorMap;
  /** The last one saved or resumed from; null where there is none. */
  readonly checkpoint: string | null;
  /** The best validation of the whole run; null where there was none. */
  readonly best: BestValidation | null;
  /** Whether the validations did not improve any more, so that it ended before the last step. */
  readonly isStoppedEarly: boolean;
}

/** Checks all counts. @throws InputError `TRAIN_OPTIONS_INVALID` with all faults */
export function checkOptions(options: TrainOptions): void {
  const { steps, batchSize, accumulation, lengthGrouping, run, validation, log } = options;
  const counts = {
    steps,
    batchSize,
    accumulation,
    ...(lengthGrouping && { 'lengthGrouping.steps': lengthGrouping.steps }),
    ...(run && { 'checkpoint.every': run.checkpoint.every, 'checkpoint.keep': run.checkpoint.keep }),
    ...(run?.checkpoint.keepEvery && { 'checkpoint.keepEvery': run.checkpoint.keepEvery }),
    ...(validation && { 'validation.every': validation.every }),
    ...(validation?.patience && { 'validation.patience': validation.patience }),
    ...(log && { 'log.every': log.every }),
  };
  const wrong = Object.entries(counts).filter(([, value]) => !Number.isSafeInteger(value) || value < 1);
  if (wrong.length > 0) {
    throw new InputError(
      'TRAIN_OPTIONS_INVALID',
      `${wrong.map(([name, value]) => `${name} is ${value}`).join(', ')}: whole numbers from 1 are expected.`,
    );
  }
}

import type { CheckpointBytes, DiskNeed } from './disk.ts';
import type { MemoryForecast } from './memory.ts';
import type { PartCount } from './parameters.ts';
import type { TokenSummary } from './tokens.ts';

/** The steps that were run. Nothing of them was kept. */
export interface MeasuredSteps {
  readonly engine: string;
  /** Steps after the first, which also compiles; the last one takes the widest batch of the first epoch. */
  readonly medianSeconds: number;
  readonly firstSeconds: number;
  readonly widestSeconds: number;
  /** Of the first step. */
  readonly loss: number;
  readonly gradNorm: number;
  readonly memory: {
    /** Resident memory after the first step. */
    readonly afterStepBytes: number;
    /** The largest so far, with the widest batch and with the encoders before it. */
    readonly peakBytes: number;
  };
}

/** What a training would take, seen before it starts. JSON. */
export interface DryRunReport {
  /** `run`: with models and data, steps run; `shapes`: from shapes alone. */
  readonly dryRun: 'run' | 'shapes';
  readonly parameters: {
    readonly parts: readonly PartCount[];
    readonly trainable: number;
    readonly frozen: number;
  };
  readonly data: {
    /** Null where the data is not at hand and of no published size. */
    readonly samples: number | null;
    readonly heldOut: number | null;
    /** Held-out samples that validations measure; null where they are not known. */
    readonly validated: number | null;
    readonly countedFrom: 'records' | 'published set' | null;
  };
  /** Null where no model was there to tokenize with. */
  readonly tokens: TokenSummary | null;
  readonly steps: MeasuredSteps | null;
  readonly memory: MemoryForecast;
  readonly disk: {
    /** Null where nothing is cached, or samples are not known; at most, since what is cached already needs nothing. */
    readonly featureCache: DiskNeed | null;
    readonly featureBytesPerSample: number;
    readonly checkpoint: CheckpointBytes;
    /** Of those kept, the best and those kept for good included, and the one that is being written. */
    readonly checkpoints: DiskNeed;
  };
  readonly time: {
    /** All steps, and all validations where it is known what one takes. */
    readonly trainingSeconds: number;
    /** Null where nothing is validated. */
    readonly validations: {
      readonly count: number;
      /** Of one, as those in the run folder took; null where there is none. */
      readonly seconds: number | null;
    } | null;
    /** To encode a sample that is not in the cache; null where the inputs need no features. */
    readonly featureSecondsPerSample: number | null;
    /** Where nothing is in the cache yet. */
    readonly featureSecondsAtMost: number;
  } | null;
}

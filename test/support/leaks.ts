import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { EngineName } from '../../src/engine/engines.ts';

/** What one process does; see `leak-process.ts`. */
export interface LeakRun {
  readonly work: 'train' | 'generate';
  /** File of the configuration. */
  readonly config: string;
  readonly engine: EngineName;
  /** Micro-batches of a training step. */
  readonly accumulation: number;
  /** Training steps, or calls for answers. */
  readonly steps: number;
  /** Steps between two measurements. */
  readonly every: number;
  /**
   * The same three batches or questions over and over, instead of other sizes in every epoch: for an engine that compiles
   * for each size it meets.
   */
  readonly fewSizes?: boolean;
  /** Keeps each batch, an engine's function and tensor, a tfjs tensor and an open file a step: what a test has to notice. */
  readonly leaky?: boolean;
}

/** What a process holds after a step, its garbage collected. */
export interface LeakSample {
  readonly step: number;
  /** Of tfjs: those of the eager engines, and of tracing. */
  readonly tensors: number;
  /** Living tensors of onnxruntime, device buffers of xla, tensors of TensorFlow. */
  readonly engineTensors: number;
  readonly engineSessions: number;
  /** Bytes of JavaScript objects. */
  readonly heap: number;
  /** Bytes of typed arrays. */
  readonly buffers: number;
  /** Bytes of resident memory that are neither: those of the engine, of wasm's runtime, of V8 itself. */
  readonly native: number;
  /** Open file descriptors. */
  readonly files: number;
}

export type Quantity = Exclude<keyof LeakSample, 'step'>;
/** Growth per step. */
export type Growth = Readonly<Record<Quantity, number>>;

const script = fileURLToPath(new URL('leak-process.ts', import.meta.url));

/** One thread and spaces of a fixed size, so that V8 itself does not come and go in what is measured. */
const v8Flags = ['--expose-gc', '--single-threaded', '--min-semi-space-size=2', '--max-semi-space-size=2'];
/** One malloc arena that gives back what is free. */
const malloc = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '131072' };

/** Runs a process and returns what it held. */
export async function measureLeaks(run: LeakRun): Promise<LeakSample[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...v8Flags, '--import', 'tsx', script, JSON.stringify(run)],
    { env: { ...process.env, ...malloc }, maxBuffer: 1e8 },
  );
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as LeakSample[];
}

const quantities = [
  ...['tensors', 'engineTensors', 'engineSessions', 'heap', 'buffers', 'native', 'files'],
] as readonly Quantity[];

/** Least-squares slope over the steps. */
function slope(samples: readonly LeakSample[], quantity: Quantity): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanStep = mean(samples.map(({ step }) => step));
  const meanValue = mean(samples.map((sample) => sample[quantity]));
  const spread = samples.reduce((sum, { step }) => sum + (step - meanStep) ** 2, 0);
  return (
    samples.reduce((sum, sample) => sum + (sample.step - meanStep) * (sample[quantity] - meanValue), 0) /
    spread
  );
}

/**
 * Growth of each quantity: the median of the least-squares slopes of equal parts of the steps, or the slope of all of them
 * if that is less. What happens once (an arena that grows to its size, pages that V8 gives back) is in one part only; what
 * comes and goes with the sizes of the batches slopes within parts, but not over all. A leak is in both.
 *
 * @param warmUp steps at the beginning that do not count
 */
export function growth(samples: readonly LeakSample[], warmUp: number, parts: number): Growth {
  const late = samples.filter(({ step }) => step > warmUp);
  const length = Math.floor(late.length / parts);
  const pieces = Array.from({ length: parts }, (_, i) => late.slice(i * length, (i + 1) * length));
  const slopes = quantities.map((quantity) => {
    const sorted = pieces.map((piece) => slope(piece, quantity)).toSorted((a, b) => a - b);
    return [quantity, Math.min(sorted[Math.floor(parts / 2)]!, slope(late, quantity))] as const;
  });
  return Object.fromEntries(slopes) as Record<Quantity, number>;
}

/** Quantities that grow by more than they may, with their growth per step. */
export const leaksIn = (grown: Growth, bounds: Growth): string[] =>
  quantities.filter((name) => grown[name] > bounds[name]).map((name) => `${name}: ${grown[name]} per step`);

import os from 'node:os';
import type { Config } from '../../src/config/schema.ts';
import { rematerialise } from '../../src/engine/ir/passes/rematerialise.ts';
import { leanBytes, leanShare, sharedWeightBytes } from '../../src/engine/onnxruntime/memory.ts';
import type { StepOptions } from '../step.ts';
import { peakActivationBytes, stepGraphs } from './activations.ts';
import { countElements } from './parameters.ts';

/** Sizes of a micro-batch. */
export interface BatchSize {
  readonly batch: number;
  /** Longest sequence of it; the others are padded to that. */
  readonly tokens: number;
  /** Tokens that are learnt, in all its sequences. */
  readonly supervised: number;
}

/** Memory in bytes. */
export interface MemoryForecast {
  /** Known from shapes, every number in float32. */
  readonly exact: {
    readonly frozenWeights: number;
    readonly trainable: number;
    /** Sums of gradients, which are kept only where several micro-batches make a step. */
    readonly gradients: number;
    /** Both of AdamW. */
    readonly moments: number;
  };
  /** For onnxruntime on the CPU; null for engines that no factors were measured for. */
  readonly estimate: {
    readonly at: BatchSize;
    /** Intermediate values that backward needs, from the traced graph, before `activationFactor`. */
    readonly activations: number;
    /** Everything: program, weights as the engine holds them, state, activations. */
    readonly total: number;
  } | null;
  readonly machineBytes: number;
}

/**
 * What onnxruntime needs beyond what shapes say, found from measured peaks of a LoRA step (r = 16, 2 threads, weights
 * in bf16 files): 4 layers of 896 with 16, 128 and 512 tokens a sample 942, 1,248 and 2,573 MB; Qwen2.5-0.5B, which
 * saves memory (see `leanBytes`), with 16, 128 and 256 tokens 2,718, 2,905 and 3,082 MB.
 */
export const onnxruntimeFactors = {
  /** The program before the model: Node.js, tfjs, onnxruntime. */
  program: 250e6,
  /** Of a frozen weight, beside its float32 form in a mapped file: packed for matrix products. */
  packedCopies: 1.17,
  /** Bytes taken for each byte of values that are needed at the same time: buffers of several sizes, kept for reuse. */
  activationFactor: 2.2,
  /** The same where memory is saved: what is counted as alive is partly the same buffer. */
  leanActivationFactor: 0.6,
  /** An operation of a graph, where there are enough of them to matter. */
  node: 11e3,
  /** Of an entry of the state: the value before, the one after, and where onnxruntime computes it. */
  stateBuffers: 3,
} as const;

const bytesOfFloat = 4;

/** Graphs that validations compile: one for the loss, one for the answers. */
export const validationGraphs = ({ validation }: Config['train']): number =>
  validation === null ? 0 : validation.answers > 0 ? 2 : 1;

/**
 * Memory of a training step. Only `estimate` is a guess.
 *
 * @param options.step of its weights only the shapes are looked at
 * @param options.at of the largest micro-batch
 * @param options.moreGraphs graphs beside the step that hold the frozen weights too, as validations do; 0 where absent
 * @param options.isOnnxruntime whether the engine is one that the factors are of
 */
export async function forecastMemory(options: {
  readonly step: StepOptions;
  readonly accumulate: boolean;
  readonly at: BatchSize;
  readonly moreGraphs?: number;
  readonly isOnnxruntime: boolean;
}): Promise<MemoryForecast> {
  const { step, accumulate, at, moreGraphs = 0, isOnnxruntime } = options;
  const shapes = Object.fromEntries(Object.entries(step.weights).map(([name, { shape }]) => [name, shape]));
  const frozen = countElements(shapes);
  const trainable = bytesOfFloat * countElements(step.trainable);
  const exact = {
    frozenWeights: bytesOfFloat * frozen,
    trainable,
    gradients: accumulate ? trainable : 0,
    moments: 2 * trainable,
  };
  const machineBytes = os.totalmem();
  if (!isOnnxruntime) return { exact, estimate: null, machineBytes };
  const graphs = await stepGraphs(step, { accumulate });
  const shared = Math.max(...graphs.map(sharedWeightBytes));
  const lean = shared > leanBytes;
  const run = lean ? graphs.map((graph) => rematerialise(graph, leanShare * shared)) : graphs;
  const activations = Math.max(...run.map((graph) => peakActivationBytes(graph, { ...at })));
  const factors = onnxruntimeFactors;
  const { program, packedCopies, stateBuffers } = factors;
  const activationFactor = lean ? factors.leanActivationFactor : factors.activationFactor;
  // The float32 form is mapped once, whatever the number of graphs. Validations run forwards only, which is always fast.
  const packed = packedCopies * exact.frozenWeights * (moreGraphs + (lean ? 0 : 1));
  const state = stateBuffers * (trainable + exact.gradients + exact.moments);
  const nodes = factors.node * run.reduce((sum, graph) => sum + graph.nodes.length, 0);
  // The values that a run begins with are there beside the state.
  const total =
    program + exact.frozenWeights + packed + state + trainable + nodes + activationFactor * activations;
  return { exact, estimate: { at, activations, total }, machineBytes };
}

import * as tf from '@tensorflow/tfjs';
import * as ort from 'onnxruntime-node';
import { describe, expect, it, vi } from 'vitest';
import { type LoraTarget, loraTargets } from '../../lora/config.ts';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import { decoderTensorShapes, initDecoderWeights, layerOf, parseDecoderConfig } from '../../model/decoder.ts';
import { languageModelBatch, languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import { rowKeys } from '../../src/engine/dropout.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { applyBfloat16 } from '../../src/engine/ir/passes/bfloat16.ts';
import { recomputeSegments } from '../../src/engine/ir/passes/recompute.ts';
import type { SymbolicGraph } from '../../src/engine/ir/symbolic.ts';
import { emitOnnx } from '../../src/engine/onnxruntime/emitter.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import type { XlaOptions } from '../../src/engine/xla/engine.ts';
import { exceedsMemory } from '../../src/engine/xla/recomputation.ts';
import { peakActivationBytes, stepGraphs } from '../../train/dry-run/activations.ts';
import { createTrainState, type StepOptions, TrainStep } from '../../train/step.ts';
import { hasXla } from '../support/xla.ts';

const layers = 4;
const vocabSize = 50;
const [batch, tokens] = [2, 12];

/** A LoRA step with dropout of a decoder with so many layers. */
function stepOf(numLayers: number, targets: readonly LoraTarget[] = loraTargets): StepOptions {
  const config = parseDecoderConfig({
    model_type: 'qwen2',
    tie_word_embeddings: true,
    hidden_size: 16,
    intermediate_size: 40,
    num_hidden_layers: numLayers,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: vocabSize,
  });
  const trainable = adapterTensorShapes(decoderTensorShapes(config), {
    rank: 2,
    targets,
  });
  return {
    name: 'recompute',
    lossSum: ({ inputs, parameters }) => {
      const keys = inputs.rowKeys!.reshape([inputs.rowKeys!.shape[0]! * inputs.rowKeys!.shape[1]!]);
      const adapter = { scale: 2, dropout: { rate: 0.25, rowKeys: keys } };
      return languageModelLossSum(config, { inputs, parameters }, adapter);
    },
    inputs: { ...languageModelInputs(config), rowKeys: { dtype: 'int32', shape: ['batch', 'tokens'] } },
    trainable,
    weights: initDecoderWeights(config, 1),
    optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 },
    clipNorm: 1,
    decayUnusedParameters: false,
    segmentOf: layerOf,
  };
}
const step = stepOf(layers);
const recomputation = { segmentOf: layerOf, result: 'loss' };
const plainGraph = async () => (await stepGraphs(step, { accumulate: false }))[0]!;

const rope = parseDecoderConfig({
  ...{ model_type: 'qwen2', hidden_size: 16, intermediate_size: 40, num_hidden_layers: 1 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, vocab_size: vocabSize },
});

function inputsAt(index: number): HostTensorMap {
  const random = new RandomGenerator(index);
  const host = (value: () => number): HostTensor => ({
    dtype: 'int32',
    shape: [batch, tokens],
    data: Int32Array.from({ length: batch * tokens }, value),
  });
  const ids = host(() => Math.floor(random.uniform() * vocabSize));
  const keys = rowKeys({ seed: 3, step: index, names: ['a', 'b'], tokens });
  return {
    ...languageModelBatch(
      rope,
      ids,
      host(() => 1),
      ids,
    ),
    rowKeys: { dtype: 'int32', shape: [batch, tokens], data: keys },
  };
}

type AdapterShapes = Parameters<typeof initAdapter>[0];

/** Adapters whose second matrix is not zero, as it is after some steps. */
function parameters({ trainable }: StepOptions): HostTensorMap {
  const random = new RandomGenerator(7);
  const drawn = Object.entries(initAdapter(trainable as AdapterShapes, 5)).map(([name, { shape, data }]) => [
    name,
    {
      dtype: 'float32',
      shape,
      data: Float32Array.from(data, (value) => value || random.uniform() * 0.2 - 0.1),
    },
  ]);
  return Object.fromEntries(drawn);
}

const count = ({ nodes }: SymbolicGraph, op: string) => nodes.filter((node) => node.op === op).length;
const bytes = ({ data }: { readonly data: ArrayBufferView }) =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength);

describe('a graph whose layers are recomputed', () => {
  it('keeps what stands between layers alone, and computes nothing twice that nobody needs', async () => {
    const plain = await plainGraph();
    const graph = recomputeSegments(plain, recomputation);
    const at = { batch: 4, tokens: 256, supervised: 8 };
    // One of four layers is there at a time, and what the others begin with.
    expect(peakActivationBytes(graph, at)).toBeLessThan(0.65 * peakActivationBytes(plain, at));
    expect(count(graph, 'DropoutMask')).toBe(2 * count(plain, 'DropoutMask') - 7);
    expect(count(graph, 'Softmax')).toBe(2 * count(plain, 'Softmax') - 1);
    // Of each layer but the last, which goes backward at once, q, k, v, o, gate, up with both matrices of their adapters, scores and context; of down_proj only the
    // first of its adapter: nothing of the backward pass needs what it gives.
    expect(count(graph, 'MatMul') - count(plain, 'MatMul')).toBe((layers - 1) * (6 * 3 + 2 + 1));
    expect(graph.outputs).toEqual(plain.outputs);
    for (const { op, inputs, output } of graph.nodes) {
      if (op === 'Barrier') expect(inputs).not.toContain(output);
    }
  });

  it('has every value before it is used, in bfloat16 too', async () => {
    const plain = await plainGraph();
    for (const graph of [plain, applyBfloat16(plain)].map((one) => recomputeSegments(one, recomputation))) {
      const known = new Set([...graph.inputs.values(), ...graph.weights.values(), ...graph.constants.keys()]);
      for (const { inputs, output } of graph.nodes) {
        for (const input of inputs) expect(known.has(input)).toBe(true);
        known.add(output);
      }
      expect(count(graph, 'Barrier')).toBeGreaterThan(layers);
    }
  });

  it('gives the same numbers, bit for bit', async () => {
    const plain = await plainGraph();
    const state = Object.fromEntries(
      Object.entries(parameters(step)).flatMap(([name, tensor]) => {
        const zeros = { ...tensor, data: new Float32Array(tensor.data.length) };
        return [
          [name, tensor],
          [`exp_avg:${name}`, zeros],
          [`exp_avg_sq:${name}`, zeros],
        ];
      }),
    );
    const scalar = (value: number): HostTensor => ({
      dtype: 'float32',
      shape: [],
      data: Float32Array.of(value),
    });
    const given = {
      ...inputsAt(1),
      ...state,
      ...{ learningRate: scalar(0.01), lossWeight: scalar(1 / 22) },
      ...{ biasCorrection1: scalar(0.1), biasCorrection2Sqrt: scalar(0.03) },
    };
    const run = async (graph: SymbolicGraph) => {
      const session = await ort.InferenceSession.create(emitOnnx(graph, step.weights), {
        intraOpNumThreads: 1,
      });
      const feeds = Object.entries(given)
        .filter(([name]) => session.inputNames.includes(name))
        .map(([name, { dtype, data, shape }]) => [name, new ort.Tensor(dtype, data as Float32Array, shape)]);
      const results = await session.run(Object.fromEntries(feeds));
      await session.release();
      return results;
    };
    const [expected, found] = [await run(plain), await run(recomputeSegments(plain, recomputation))];
    expect(Object.keys(found)).toHaveLength(3 + 3 * Object.keys(step.trainable).length);
    for (const [name, tensor] of Object.entries(expected)) {
      const same = bytes(tensor as { data: Float32Array }).equals(
        bytes(found[name] as { data: Float32Array }),
      );
      expect(same, name).toBe(true);
    }
  });

  it('is the graph itself where nothing is a segment, and refused where segments overlap', async () => {
    const plain = await plainGraph();
    expect(recomputeSegments(plain, { ...recomputation, segmentOf: () => undefined })).toBe(plain);
    const byKind = (name: string) => /(self_attn|mlp)/.exec(name)?.[1];
    expect(() => recomputeSegments(plain, { ...recomputation, segmentOf: byKind })).toThrow(
      /segments do not run one after the other/,
    );
  });
});

describe('recomputation is chosen', () => {
  const memory = { arguments: 15e9, outputs: 1e9, aliased: 1e9, temporary: 40e9 };
  it('where what is kept does not fit into what the device gives', () => {
    expect(exceedsMemory(memory, 60e9)).toBe(false);
    expect(exceedsMemory(memory, 58e9)).toBe(true);
    expect(exceedsMemory({ ...memory, temporary: 30e9 }, 58e9)).toBe(false);
  });
  it('not where device or compiler do not tell', () => {
    expect(exceedsMemory(memory, undefined)).toBe(false);
    expect(exceedsMemory(undefined, 1)).toBe(false);
  });
});

describe.skipIf(!hasXla)('XLA', () => {
  const train = async (options: XlaOptions) => {
    const { XlaEngine } = await import('../../src/engine/xla/engine.ts');
    const engine = new XlaEngine({ threads: 1, ...options });
    const small = stepOf(2, ['q_proj', 'down_proj']);
    const training = new TrainStep(engine, small);
    const state = createTrainState(engine, parameters(small));
    const losses: number[] = [];
    for (let index = 1; index <= 2; index++) {
      const at = { supervisedTokens: batch * (tokens - 1), learningRate: 1e-2, step: index };
      losses.push((await training.run(state, [inputsAt(index)], at)).loss);
    }
    const values = await state.read(Object.keys(small.trainable));
    await training.dispose();
    return { losses, values };
  };

  it('trains to the same numbers with and without', async () => {
    const [never, always] = [await train({ recompute: 'never' }), await train({ recompute: 'always' })];
    always.losses.forEach((loss, i) => {
      expect(Math.abs(loss - never.losses[i]!)).toBeLessThan(1e-5);
    });
    for (const [name, { data }] of Object.entries(never.values)) {
      data.forEach((value, i) => {
        expect(Math.abs(value - always.values[name]!.data[i]!), name).toBeLessThan(1e-4);
      });
    }
  });

  it.each([
    { limit: undefined, programs: 1 },
    { limit: 1e9, programs: 1 },
    { limit: 100, programs: 2 },
  ])('compiles $programs programs where the device gives $limit bytes', async ({ limit, programs }) => {
    const { XlaEngine } = await import('../../src/engine/xla/engine.ts');
    const engine = new XlaEngine({ threads: 1, executables: null });
    vi.spyOn(engine.client, 'memoryLimit', 'get').mockReturnValue(limit);
    const compiling = vi.spyOn(engine.client, 'compile');
    const compiled = await engine.compile(
      ({ inputs, state }) => {
        const loss = () => {
          const hidden = tf.tanh(tf.mul(tf.sin(tf.mul(inputs.x!, state.a!)), state.a!));
          return tf.sum(tf.square(tf.tanh(tf.mul(tf.sin(hidden), state.b!)))) as tf.Scalar;
        };
        const { value, gradients } = valueAndGradients(loss, state);
        return { outputs: { loss: value, a: gradients.a!, b: gradients.b! } };
      },
      {
        name: 'chosen',
        inputs: { x: { dtype: 'float32', shape: ['n'] } },
        state: { a: { dtype: 'float32', shape: [] }, b: { dtype: 'float32', shape: [] } },
        recomputation: { segmentOf: (name) => (name === 'x' ? undefined : name), result: 'loss' },
      },
    );
    const scalar = (value: number): HostTensor => ({
      dtype: 'float32',
      shape: [],
      data: Float32Array.of(value),
    });
    const x: HostTensor = { dtype: 'float32', shape: [3], data: Float32Array.of(0.5, -1, 2) };
    const { loss, a, b } = await compiled.run({ x }, engine.createState({ a: scalar(0.3), b: scalar(2) }));
    expect(compiling).toHaveBeenCalledTimes(programs);
    const recomputed = compiling.mock.calls.map(([text]) => text.includes('optimization_barrier'));
    expect(recomputed).toEqual([false, true].slice(0, programs));
    // By hand: d/db of sum tanh(b sin tanh(a sin(a x)))^2, and d/da through the inner functions.
    const terms = [...x.data].map((at) => {
      const inner = Math.tanh(0.3 * Math.sin(0.3 * at));
      const outer = Math.tanh(2 * Math.sin(inner));
      const slope = 2 * outer * (1 - outer ** 2);
      return {
        loss: outer ** 2,
        b: slope * Math.sin(inner),
        a:
          slope *
          2 *
          Math.cos(inner) *
          (1 - inner ** 2) *
          (Math.sin(0.3 * at) + 0.3 * at * Math.cos(0.3 * at)),
      };
    });
    const sum = (key: 'loss' | 'a' | 'b') => terms.reduce((total, term) => total + term[key], 0);
    expect(loss!.data[0]).toBeCloseTo(sum('loss'), 5);
    expect(a!.data[0]).toBeCloseTo(sum('a'), 5);
    expect(b!.data[0]).toBeCloseTo(sum('b'), 5);
    await compiled.dispose();
    vi.restoreAllMocks();
  });
});

import { toPeftName } from '../../../lora/names.ts';
import { type DecoderConfig, maskedScore, ropeFrequencies } from '../../../model/decoder.ts';
import type { PlaceholderRun } from '../../../model/splice.ts';
import type { Emitter, GraphInterface } from '../../engine/onnxruntime/emitter.ts';
import type { OnnxValueInfo } from '../../engine/onnxruntime/model-file.ts';
import { decoderFunction, type GeneratorModel } from '../../runtime/generator-functions.ts';
import { Arithmetic, both, cast, range, reshape, sizeOf, unsqueeze } from './arithmetic.ts';
import { type ExportGraph, type ExportWeights, modelGraph } from './model-graph.ts';

/** Names of the cache of a layer among inputs and outputs. */
const cacheNames = (layer: number) =>
  (['key', 'value'] as const).map((part) => ({
    inner: `${part}.${layer}`,
    past: `past_key_values.${layer}.${part}`,
    present: `present.${layer}.${part}`,
  }));

/**
 * What `ropeTables` computes, for int64 positions `[batch, tokens]`.
 * @returns cos and sin, float32 `[batch, 1, tokens, headDim]`
 */
export function ropeGraph(
  emitter: Emitter,
  positions: string,
  config: Pick<DecoderConfig, 'headDim' | 'ropeTheta'>,
): { cos: string; sin: string } {
  const frequencies = [...ropeFrequencies(config)];
  const single = new Arithmetic(emitter, 'float32');
  const angles = single.multiply(
    unsqueeze(emitter, single.from(positions), [1, 3]),
    emitter.constant('float32', frequencies, [frequencies.length]),
  );
  const double = new Arithmetic(emitter, 'float64');
  const exact = double.from(angles);
  const cosine = single.from(double.cosine(exact));
  const sine = single.from(double.sine(exact));
  const joined = (first: string, second: string) => emitter.add('Concat', [first, second], { axis: -1 });
  return { cos: joined(cosine, cosine), sin: joined(single.subtract(0, sine), sine) };
}

/**
 * What `causalBias` computes.
 * @param mask int64 `[batch, total]`
 * @param tokens int64 scalar, how many of them are new
 * @returns float32 `[batch, 1, tokens, total]`
 */
export function causalBiasGraph(emitter: Emitter, mask: string, tokens: string): string {
  const total = sizeOf(emitter, mask, 1);
  const { subtract, atMost } = new Arithmetic(emitter, 'int64');
  const readers = unsqueeze(emitter, range(emitter, subtract(total, tokens), total), [1]);
  const isBefore = atMost(range(emitter, 0, total), readers);
  const isToken = unsqueeze(emitter, cast(emitter, mask, 'bool'), [1, 2]);
  return new Arithmetic(emitter, 'float32').where(both(emitter, isToken, isBefore), 0, maskedScore);
}

interface Placement {
  readonly inputIds: string;
  readonly slotIndex: string;
  readonly isSlot: string;
}

/**
 * What `placeSlots` does, for int64 ids `[batch, tokens]`: the vectors of a sample are consecutive, in the order of
 * `runs`; the n-th occurrence of a placeholder takes the n-th of its vectors.
 */
export function placeSlotsGraph(emitter: Emitter, ids: string, runs: readonly PlaceholderRun[]): Placement {
  const { add, multiply, equal, where, less } = new Arithmetic(emitter, 'int64');
  const perSample = runs.reduce((sum, run) => sum + run.tokens, 0);
  const samples = unsqueeze(emitter, range(emitter, 0, sizeOf(emitter, ids, 0)), [1]);
  const ofSample = multiply(samples, perSample);
  let isSlot = less(ids, 0);
  let index = multiply(ids, 0);
  let before = 0;
  for (const { id, tokens } of runs) {
    const isHere = equal(ids, id);
    const occurrence = emitter.add('CumSum', [
      cast(emitter, isHere, 'int64'),
      emitter.constant('int64', [1], []),
    ]);
    index = where(isHere, add(add(occurrence, before - 1), ofSample), index);
    isSlot = emitter.add('Or', [isSlot, isHere]);
    before += tokens;
  }
  return {
    inputIds: cast(emitter, where(isSlot, 0, ids), 'int32'),
    slotIndex: cast(emitter, index, 'int32'),
    isSlot: cast(emitter, isSlot, 'float32'),
  };
}

/** Rows whose scores are wanted: the last `keep` tokens of each row of the batch, or all where it is 0. */
function scoredRowsGraph(emitter: Emitter, keep: string, batch: string, tokens: string): string {
  const { add, multiply, subtract, where, greater, minimum } = new Arithmetic(emitter, 'int64');
  const kept = where(greater(keep, 0), minimum(keep, tokens), tokens);
  const rows = multiply(unsqueeze(emitter, range(emitter, 0, batch), [1]), tokens);
  const scored = add(rows, range(emitter, subtract(tokens, kept), tokens));
  return cast(emitter, reshape(emitter, scored, [-1]), 'int32');
}

function decoderInterface(
  { config, trainable }: GeneratorModel,
  runs: readonly PlaceholderRun[],
): GraphInterface {
  const { headDim, hiddenSize, numHiddenLayers, numKeyValueHeads, vocabSize } = config.decoder;
  const layers = Array.from({ length: numHiddenLayers }, (_, layer) => layer);
  const caches = layers.flatMap(cacheNames);
  const cache = (name: string, length: string): OnnxValueInfo => ({
    name,
    type: 'float32',
    shape: ['batch', numKeyValueHeads, length, headDim],
  });
  const adapter = Object.entries(trainable);
  const integers = (name: string, shape: readonly string[]): OnnxValueInfo => ({
    name,
    type: 'int64',
    shape,
  });
  const hasVectors = runs.length > 0;
  return {
    inputs: [
      integers('input_ids', ['batch', 'tokens']),
      integers('attention_mask', ['batch', 'total']),
      integers('position_ids', ['batch', 'tokens']),
      integers('num_logits_to_keep', []),
      ...(hasVectors ? [{ name: 'vectors', type: 'float32', shape: ['vectors', hiddenSize] } as const] : []),
      ...caches.map(({ past }) => cache(past, 'past')),
      ...adapter.map(([name, shape]) => ({ name: toPeftName(name), type: 'float32', shape }) as const),
    ],
    prepare(emitter) {
      const batch = sizeOf(emitter, 'input_ids', 0);
      const tokens = sizeOf(emitter, 'input_ids', 1);
      // With a row of its own for tokens that are none, so that no vectors at all can be given after the prompt.
      const none = emitter.constant('float32', Array<number>(hiddenSize).fill(0), [1, hiddenSize]);
      return {
        ...placeSlotsGraph(emitter, 'input_ids', runs),
        ...ropeGraph(emitter, 'position_ids', config.decoder),
        attentionBias: causalBiasGraph(emitter, 'attention_mask', tokens),
        scoredRows: scoredRowsGraph(emitter, 'num_logits_to_keep', batch, tokens),
        vectors: hasVectors ? emitter.add('Concat', ['vectors', none], { axis: 0 }) : none,
        ...Object.fromEntries(caches.map(({ inner, past }) => [inner, past])),
        ...Object.fromEntries(adapter.map(([name]) => [name, toPeftName(name)])),
      };
    },
    finish(emitter, results) {
      const batch = emitter.shared('Shape', ['input_ids'], { start: 0, end: 1 });
      const shape = emitter.add('Concat', [batch, emitter.integers([-1, vocabSize])], { axis: 0 });
      return [
        {
          info: { name: 'logits', type: 'float32', shape: ['batch', 'kept', vocabSize] },
          value: emitter.add('Reshape', [results.logits!, shape]),
        },
        ...caches.map(({ inner, present }) => ({ info: cache(present, 'total'), value: results[inner]! })),
      ];
    },
  };
}

/**
 * The decoder behind inputs that other programs know: ids, mask, positions and cache. Rope tables, mask and the places of
 * vectors are computed in the graph.
 *
 * @param model its trainable tensors (an adapter that is kept) become inputs under PEFT's names
 * @param runs placeholders of the prompt, in the order of the vectors
 */
export function decoderGraph(
  model: GeneratorModel,
  weights: ExportWeights,
  runs: readonly PlaceholderRun[],
): ExportGraph {
  return modelGraph('decoder', decoderFunction(model), weights, decoderInterface(model, runs));
}

import * as tf from '@tensorflow/tfjs';
import {
  type AffectGptConfig,
  adapterContext,
  featureInputSpecs,
  modalityTokens,
} from '../../model/affectgpt.ts';
import { decoderForward, embedTokens, logits } from '../../model/decoder.ts';
import { splice } from '../../model/splice.ts';
import { Parameters } from '../engine/parameters.ts';
import type { CompileOptions, InputSpec, TensorFunction } from '../engine/types.ts';
import type { Weights } from './pretrained.ts';

/** Shapes of the tensors that come from a training state instead of frozen files. */
export type TrainableShapes = Readonly<Record<string, readonly number[]>>;

export interface GeneratorModel {
  readonly config: AffectGptConfig;
  /** Frozen tensors; those also named in `trainable` are taken from the state. */
  readonly weights: Weights;
  readonly trainable: TrainableShapes;
}

/** A function of the model with all that compiling it takes. */
export interface ModelFunction {
  readonly fn: TensorFunction;
  readonly options: CompileOptions;
}

const stateSpecs = (names: readonly string[], shapes: TrainableShapes): Record<string, InputSpec> =>
  Object.fromEntries(names.map((name) => [name, { dtype: 'float32', shape: shapes[name]! }]));

/** Fusion tensors are read by the modality graph, all others by the decoder's. */
const isDecoderTensor = (name: string): boolean => name.startsWith('model.') || name.startsWith('lm_head.');

export const pick = <Value>(
  map: Readonly<Record<string, Value>>,
  keep: (name: string) => boolean,
): Record<string, Value> => Object.fromEntries(Object.entries(map).filter(([name]) => keep(name)));

/** Features to the vectors that replace placeholders, `[batch * slots, hidden]`. Dimension: batch. */
export function modalitiesFunction({ config, trainable, weights }: GeneratorModel): ModelFunction {
  const names = Object.keys(trainable).filter((name) => !isDecoderTensor(name));
  return {
    fn: ({ inputs, state, weights: frozen }) => {
      const { inputIds, ...features } = inputs;
      const { tokens } = modalityTokens(config, new Parameters({ ...frozen, ...state }), {
        ...features,
        inputIds: inputIds!,
      });
      const vectors = tf.concat([...tokens.values()], 1);
      return {
        outputs: {
          vectors: tf.reshape(vectors, [vectors.shape[0]! * vectors.shape[1]!, vectors.shape[2]!]),
        },
      };
    },
    options: {
      name: 'generate.modalities',
      inputs: { ...featureInputSpecs(config), inputIds: { dtype: 'int32', shape: ['batch', 1] } },
      state: stateSpecs(names, trainable),
      weights: pick(weights, (name) => !isDecoderTensor(name) && trainable[name] === undefined),
    },
  };
}

/**
 * Tokens, spliced with vectors, to the scores of those that may follow and to the longer cache. Dimensions: batch, tokens,
 * past, total = past + tokens, vectors, scored.
 */
export function decoderFunction({ config, trainable, weights }: GeneratorModel): ModelFunction {
  const { headDim, hiddenSize, numHiddenLayers, numKeyValueHeads } = config.decoder;
  const perToken = (dtype: InputSpec['dtype']): InputSpec => ({ dtype, shape: ['batch', 'tokens'] });
  const rope: InputSpec = { dtype: 'float32', shape: ['batch', 1, 'tokens', headDim] };
  const cache: InputSpec = { dtype: 'float32', shape: ['batch', numKeyValueHeads, 'past', headDim] };
  const layers = Array.from({ length: numHiddenLayers }, (_, layer) => layer);
  const names = Object.keys(trainable).filter(isDecoderTensor);
  return {
    fn: ({ inputs, state, weights: frozen }) => {
      const parameters = new Parameters({ ...frozen, ...state });
      const [batch, tokens] = inputs.inputIds!.shape as [number, number];
      const flat = (name: string, shape: number[]) => tf.reshape(inputs[name]!, shape);
      const text = tf.reshape(embedTokens(parameters, inputs.inputIds!), [batch * tokens, hiddenSize]);
      const spliced = splice(
        text,
        inputs.vectors!,
        flat('slotIndex', [batch * tokens]),
        flat('isSlot', [batch * tokens, 1]),
      );
      const { hidden, present } = decoderForward(parameters, config.decoder, {
        inputsEmbeds: tf.reshape(spliced, [batch, tokens, hiddenSize]),
        cos: inputs.cos!,
        sin: inputs.sin!,
        attentionBias: inputs.attentionBias!,
        adapter: adapterContext(config),
        past: layers.map((layer) => ({ key: inputs[`key.${layer}`]!, value: inputs[`value.${layer}`]! })),
        rows: inputs.scoredRows!,
      });
      const caches = present.flatMap(({ key, value }, layer) => [
        [`key.${layer}`, key] as const,
        [`value.${layer}`, value] as const,
      ]);
      return {
        outputs: { logits: logits(parameters, config.decoder, hidden), ...Object.fromEntries(caches) },
      };
    },
    options: {
      name: 'generate.decoder',
      inputs: {
        inputIds: perToken('int32'),
        slotIndex: perToken('int32'),
        isSlot: perToken('float32'),
        vectors: { dtype: 'float32', shape: ['vectors', hiddenSize] },
        cos: rope,
        sin: rope,
        attentionBias: { dtype: 'float32', shape: ['batch', 1, 'tokens', 'total'] },
        scoredRows: { dtype: 'int32', shape: ['scored'] },
        ...Object.fromEntries(
          layers.flatMap((layer) => [
            [`key.${layer}`, cache],
            [`value.${layer}`, cache],
          ]),
        ),
      },
      state: stateSpecs(names, trainable),
      weights: pick(weights, (name) => isDecoderTensor(name) && trainable[name] === undefined),
      derived: { total: ({ past, tokens }) => past! + tokens! },
    },
  };
}

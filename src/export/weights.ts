import { type LoraSettings, loraScale } from '../../lora/config.ts';
import { mergedWeight } from '../../lora/merge.ts';
import { isAdapterTensor } from '../../train/checkpoint.ts';
import type { HostTensor, HostTensorMap, WeightSource } from '../engine/types.ts';
import { readFloat32 } from '../io/safetensors.ts';
import type { GeneratorModel } from '../runtime/generator-functions.ts';
import type { Weights } from '../runtime/pretrained.ts';
import type { ExportWeight, ExportWeights } from './graphs/model-graph.ts';

async function readSource(name: string, source: WeightSource): Promise<Float32Array> {
  if ('dtype' in source) return source.data as Float32Array;
  const { storage, shape, file, begin, end } = source;
  return readFloat32({ name, dtype: storage, shape, file, begin, end });
}

/** Weights as they are, each read when it is written. */
export const exportWeights = (weights: Weights): ExportWeights =>
  Object.fromEntries(
    Object.entries(weights).map(([name, source]): [string, ExportWeight] => [
      name,
      { shape: source.shape, read: () => readSource(name, source) },
    ]),
  );

/** The model of a checkpoint: what is traced, and what the traced functions' weights are. */
export interface TrainedModel {
  readonly model: GeneratorModel;
  readonly weights: ExportWeights;
}

/**
 * Puts the trained tensors of a checkpoint into the model. An adapter is merged into the weights under it, tensor by tensor
 * while they are written, or stays apart as tensors that the function is given.
 *
 * @param parameters trained tensors, by name
 * @param lora settings of the adapter; null without one
 */
export function trainedModel(
  model: GeneratorModel,
  parameters: HostTensorMap,
  lora: Pick<LoraSettings, 'rank' | 'alpha'> | null,
  keepAdapter: boolean,
): TrainedModel {
  const names = Object.keys(parameters);
  const adapterNames = names.filter(isAdapterTensor);
  const trained = Object.fromEntries(
    names.filter((name) => !isAdapterTensor(name)).map((name) => [name, parameters[name]!]),
  );
  const frozen: Weights = { ...model.weights, ...trained };
  const plain = exportWeights(frozen);
  if (keepAdapter || lora === null) {
    const kept = adapterNames.map((name) => [name, parameters[name]!.shape] as const);
    return { model: { ...model, weights: frozen, trainable: Object.fromEntries(kept) }, weights: plain };
  }
  const merged: Record<string, ExportWeight> = { ...plain };
  for (const loraA of adapterNames.filter((name) => name.endsWith('.lora_A.weight'))) {
    const module = loraA.slice(0, -'.lora_A.weight'.length);
    const { shape, read } = plain[`${module}.weight`]!;
    merged[`${module}.weight`] = {
      shape,
      async read() {
        const base: HostTensor = { dtype: 'float32', shape, data: await read() };
        const b = parameters[`${module}.lora_B.weight`]!;
        return mergedWeight(base, parameters[loraA]!, b, loraScale(lora)).data as Float32Array;
      },
    };
  }
  return { model: { ...model, weights: frozen, trainable: {} }, weights: merged };
}

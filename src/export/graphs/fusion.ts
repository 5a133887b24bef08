import { type AffectGptConfig, featureInputSpecs } from '../../../model/affectgpt.ts';
import type { GraphInterface } from '../../engine/onnxruntime/emitter.ts';
import { type GeneratorModel, modalitiesFunction } from '../../runtime/generator-functions.ts';
import { type ExportGraph, type ExportWeights, modelGraph } from './model-graph.ts';

/** Names and shapes of what the fusion takes: the features of each kind that the input mode needs. */
const fusionInputs = (config: AffectGptConfig): GraphInterface['inputs'] =>
  Object.entries(featureInputSpecs(config)).map(([name, { shape }]) => ({ name, type: 'float32', shape }));

/** Features of each kind, `[batch, count, size]`, to `vectors` float32 `[vectors, hidden]`, sample after sample. */
export function fusionGraph(model: GeneratorModel, weights: ExportWeights): ExportGraph {
  const graphInterface: GraphInterface = {
    inputs: fusionInputs(model.config),
    prepare: () => ({}),
    finish: (_, { vectors }) => [
      {
        info: { name: 'vectors', type: 'float32', shape: ['vectors', model.config.decoder.hiddenSize] },
        value: vectors!,
      },
    ],
  };
  return modelGraph('fusion', modalitiesFunction(model), weights, graphInterface);
}

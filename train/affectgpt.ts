import { fusionTensorShapes } from '../fusion/parameters.ts';
import {
  type AffectGptConfig,
  type AffectGptLossInputs,
  affectGptLoss,
  lossInputSpecs,
} from '../model/affectgpt.ts';
import { layerOf } from '../model/decoder.ts';
import type { Config } from '../src/config/schema.ts';
import { Parameters } from '../src/engine/parameters.ts';
import type { Engine } from '../src/engine/types.ts';
import { type AffectGpt, initialParameters, openAffectGpt } from '../src/runtime/affectgpt.ts';
import type { OpenSamples } from '../src/runtime/samples.ts';
import { stepCost, stepFlops } from './flops.ts';
import { type Replay, replayStep } from './replay.ts';
import type { StepOptions } from './step.ts';
import type { TrainingTask } from './task.ts';

/** Whether a step of this model drops anything, and so needs dropout keys. */
function dropsAnything({ fusion, lora }: AffectGptConfig): boolean {
  const usesQformer = [fusion.multi, fusion.video, fusion.audio].includes('qformer');
  return (lora !== null && lora.dropout > 0) || (usesQformer && fusion.qformer.dropout > 0);
}

/** The optimizer step of a configured model. */
export function affectGptStepOptions(
  config: Config,
  { config: model, trainable, weights }: Pick<AffectGpt, 'config' | 'trainable' | 'weights'>,
): StepOptions {
  const { betas, eps, weightDecay } = config.train.optimizer;
  return {
    name: 'affectgpt',
    lossSum: ({ inputs, parameters }) =>
      affectGptLoss(model, new Parameters(parameters), inputs as unknown as AffectGptLossInputs).lossSum,
    inputs: lossInputSpecs(model, dropsAnything(model)),
    trainable,
    weights,
    optimizer: { betas, eps, weightDecay },
    clipNorm: config.train.clipNorm,
    decayUnusedParameters: config.compat.decayUnusedParameters,
    segmentOf: layerOf,
  };
}

/**
 * As `replayStep`, with the model that the dump's configuration describes. No sample is read.
 * @throws InputError `MODEL_NOT_FOUND`, and those of `replayStep`
 */
export async function replayConfigured(folder: string, config: Config, engine: Engine): Promise<Replay> {
  const model = await openAffectGpt(config);
  return replayStep(folder, affectGptStepOptions(config, model), engine);
}

/** Whether training changes what the decoder's first layer reads. */
const trainsInputs = ({ config, trainable }: AffectGpt): boolean =>
  'model.embed_tokens.weight' in trainable ||
  (config.mode.slots.length > 0 &&
    Object.keys(fusionTensorShapes(config.fusion)).some((name) => name in trainable));

/** The training of a configured model on its samples, as the loop takes it. */
export async function affectGptTask(
  config: Config,
  model: AffectGpt,
  samples: OpenSamples,
): Promise<TrainingTask> {
  const drops = dropsAnything(model.config);
  const cost = stepCost(model.config.decoder, model.trainable, trainsInputs(model));
  return {
    names: samples.source.names,
    initialParameters: await initialParameters(config, model),
    loadBatch: async (names, { step, ...place }) => {
      const batch = await samples.source.loadBatch(names, drops ? { ...place, step } : place);
      return { ...batch, flops: stepFlops(cost, batch) };
    },
    stepOptions: affectGptStepOptions(config, model),
  };
}

import type * as tf from '@tensorflow/tfjs';
import type { Parameters } from '../src/engine/parameters.ts';
import { convolutionalPositions, weightNormAliases } from './convolutional-positions.ts';
import type { EncoderDefinition, EncoderOutput } from './encoder.ts';
import { type HubertConfig, hubertTensorPlan, parseHubertConfig } from './hubert-config.ts';
import { makeSpeechEncoder, speechForward } from './speech-transformer.ts';

/** HuBERT (Hsu et al. 2021). `waveforms [clips, samples]`, normalised; see `speechForward` for what it returns. */
export function hubertForward(
  config: HubertConfig,
  parameters: Parameters,
  waveforms: tf.Tensor,
): EncoderOutput {
  return speechForward(config, parameters, waveforms, {
    positions: (embedding, x) => convolutionalPositions(config, embedding, x),
  });
}

export const hubert: EncoderDefinition = {
  type: 'hubert',
  modality: 'audio',
  create(files) {
    const config = parseHubertConfig(files.config);
    return makeSpeechEncoder({
      type: 'hubert',
      hiddenSize: config.hiddenSize,
      plan: hubertTensorPlan(config),
      tensorAliases: weightNormAliases,
      tensorPrefixes: ['hubert.'],
      preprocessor: files.preprocessor,
      forward: (parameters, waveforms) => hubertForward(config, parameters, waveforms),
    });
  },
};

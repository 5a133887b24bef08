import { inputMode } from '../../model/modes.ts';
import type { Config } from '../config/schema.ts';
import { encoderSource } from './encoders/encoder-source.ts';
import type { EncoderInputs, EncoderSource } from './encoders/open-encoder.ts';
import type { WantedModel } from './model-folder.ts';

/** What a configuration needs of the world outside. */
export interface ConfiguredModels {
  /** Absent where the inputs need no pictures. */
  readonly visual?: EncoderSource<EncoderInputs['visual']>;
  /** Absent where the inputs need no sound. */
  readonly audio?: EncoderSource<EncoderInputs['audio']>;
  /** Models that have to be on this machine, by the key that names them. */
  readonly wanted: Readonly<Record<string, WantedModel>>;
}

/**
 * The models that a configuration names. Encoders that its inputs do not need are left out.
 * @throws InputError where the description of a user's own encoder is not well
 */
export async function configuredModels({ model }: Config): Promise<ConfiguredModels> {
  const { needs } = inputMode(model.inputs);
  const visual = needs.some((feature) => feature !== 'audio')
    ? await encoderSource('visual', model.visualEncoder)
    : undefined;
  const audio = needs.includes('audio') ? await encoderSource('audio', model.audioEncoder) : undefined;
  return {
    ...(visual && { visual }),
    ...(audio && { audio }),
    wanted: {
      'model.llm': model.llm,
      ...(visual?.model && { 'model.visualEncoder.model': visual.model }),
      ...(audio?.model && { 'model.audioEncoder.model': audio.model }),
    },
  };
}

import { InputError } from '../src/errors.ts';
import { clip } from './clip.ts';
import type { Encoder, EncoderDefinition, EncoderFiles } from './encoder.ts';
import { hubert } from './hubert.ts';

/** Every encoder that a configuration may name as `type`. A new one is a file and a line here. */
export const encoderRegistry: readonly EncoderDefinition[] = [clip, hubert];

/**
 * Makes an encoder from the files of a Hugging Face model folder.
 * @throws InputError `ENCODER_UNKNOWN`, `ENCODER_CONFIG_INVALID`
 */
export function createEncoder(type: string, files: EncoderFiles): Encoder {
  const definition = encoderRegistry.find((entry) => entry.type === type);
  if (definition === undefined) {
    const known = encoderRegistry.map((entry) => `${entry.type} (${entry.modality})`).join(', ');
    throw new InputError('ENCODER_UNKNOWN', `There is no encoder of type "${type}"; known are ${known}.`);
  }
  return definition.create(files);
}

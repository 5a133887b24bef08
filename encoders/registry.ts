import { InputError } from '../src/errors.ts';
import { clip } from './clip.ts';
import { data2vec } from './data2vec.ts';
import { dinov2 } from './dinov2.ts';
import type { Encoder, EncoderDefinition, EncoderFiles } from './encoder.ts';
import { hubert } from './hubert.ts';
import { siglip } from './siglip.ts';
import { wavlm } from './wavlm.ts';

/** Every encoder that a configuration may name as `type`. A new one is a file and a line here. */
export const encoderRegistry: readonly EncoderDefinition[] = [clip, dinov2, siglip, hubert, wavlm, data2vec];

/** An encoder of the paper's ablation that is not offered. */
export interface MissingEncoder {
  readonly type: string;
  readonly name: string;
  readonly reason: string;
}

const noReference = 'there are no reference results to check it against';

/** What of the published encoder ablation is left out, and why. */
export const missingEncoders: readonly MissingEncoder[] = [
  { type: 'eva_clip_g', name: 'EVA-CLIP-G', reason: noReference },
  { type: 'eva_clip_g_no_qformer', name: 'EVA-CLIP-G without its Q-Former', reason: noReference },
  { type: 'imagebind', name: 'ImageBind', reason: noReference },
];

/**
 * Makes an encoder from the files of a Hugging Face model folder.
 * @throws InputError `ENCODER_UNKNOWN`, `ENCODER_CONFIG_INVALID`
 */
export function createEncoder(type: string, files: EncoderFiles): Encoder {
  const definition = encoderRegistry.find((entry) => entry.type === type);
  if (definition === undefined) {
    const known = encoderRegistry.map((entry) => `${entry.type} (${entry.modality})`).join(', ');
    const missing = missingEncoders.find((entry) => entry.type === type.toLowerCase().replaceAll('-', '_'));
    const what =
      missing === undefined
        ? `There is no encoder of type "${type}"`
        : `${missing.name} ("${type}") is not offered: ${missing.reason}`;
    throw new InputError('ENCODER_UNKNOWN', `${what}; known are ${known}.`);
  }
  return definition.create(files);
}

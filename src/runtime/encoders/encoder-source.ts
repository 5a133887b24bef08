import { openBuiltIn } from './built-in.ts';
import type { EncoderInputs, EncoderSource, Modality } from './open-encoder.ts';
import { openOwnOnnx } from './own-onnx.ts';
import { ownTransformersSource } from './own-transformers.ts';

/**
 * Where an encoder of the configuration comes from: `onnx` and `transformers` are a user's own, every other type is one
 * of the registry.
 * @throws InputError where a description is not well
 */
export async function encoderSource<M extends Modality>(
  modality: M,
  { type, model }: { readonly type: string; readonly model: string },
): Promise<EncoderSource<EncoderInputs[M]>> {
  switch (type) {
    case 'onnx':
      return { model: undefined, open: () => openOwnOnnx[modality](model) };
    case 'transformers':
      return ownTransformersSource(modality, model);
    default:
      return { model, open: (folder) => openBuiltIn[modality](type, folder!) };
  }
}

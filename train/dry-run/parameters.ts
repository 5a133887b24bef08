import { fusionPart, fusionTensorShapes } from '../../fusion/parameters.ts';
import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { decoderTensorShapes } from '../../model/decoder.ts';
import type { Config } from '../../src/config/schema.ts';
import { trainableShapes } from '../../src/runtime/affectgpt.ts';
import { isAdapterTensor } from '../checkpoint.ts';

/** A part of the model and how much of it training changes. */
export interface PartCount {
  readonly part:
    | 'visual encoder'
    | 'audio encoder'
    | 'decoder'
    | 'LoRA'
    | 'pooling'
    | 'pre-fusion'
    | 'projectors';
  readonly trainable: number;
  readonly frozen: number;
}

/** Of a shape or of many, by name. */
export const countElements = (shapes: Readonly<Record<string, readonly number[]>>): number =>
  Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);

/**
 * Parameters by part, exactly, from shapes. The image projector counts as it is built: trainable, whether images are
 * used or not (as published).
 *
 * @param encoders parameters of each; null where the inputs need none
 */
export function countParts(
  config: Config,
  model: AffectGptConfig,
  encoders: { readonly visual: number | null; readonly audio: number | null },
): PartCount[] {
  const trainable = trainableShapes(config, model);
  const decoder = decoderTensorShapes(model.decoder);
  const fusion = fusionTensorShapes(model.fusion);
  const counted = (
    part: PartCount['part'],
    shapes: Readonly<Record<string, readonly number[]>>,
  ): PartCount => {
    const trained = Object.fromEntries(Object.entries(shapes).filter(([name]) => name in trainable));
    const count = countElements(trained);
    return { part, trainable: count, frozen: countElements(shapes) - count };
  };
  const frozen = (part: PartCount['part'], count: number | null): PartCount[] =>
    count === null ? [] : [{ part, trainable: 0, frozen: count }];
  const fusionOf = (part: ReturnType<typeof fusionPart>): PartCount =>
    counted(part, Object.fromEntries(Object.entries(fusion).filter(([name]) => fusionPart(name) === part)));
  const adapters = Object.fromEntries(Object.entries(trainable).filter(([name]) => isAdapterTensor(name)));
  return [
    ...frozen('visual encoder', encoders.visual),
    ...frozen('audio encoder', encoders.audio),
    counted('decoder', decoder),
    counted('LoRA', adapters),
    fusionOf('pooling'),
    fusionOf('pre-fusion'),
    fusionOf('projectors'),
  ];
}

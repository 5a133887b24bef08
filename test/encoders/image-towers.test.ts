import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { dinov2 } from '../../encoders/dinov2.ts';
import { type EncoderDefinition, selectEncoderTensors, type VisualEncoder } from '../../encoders/encoder.ts';
import { bicubicWeights } from '../../encoders/position-interpolation.ts';
import { siglip } from '../../encoders/siglip.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { HostTensorMap } from '../../src/engine/types.ts';
import {
  expectGolden,
  type Fixture,
  loadFixture,
  readJson,
  toTensor,
  toTensors,
} from '../support/fixture.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

async function open(definition: EncoderDefinition, name: string) {
  const fixture = await loadFixture(name);
  const preprocessor = (await readJson(`${fixture.folder}/preprocessor_config.json`)) as object;
  const encoder = definition.create({ config: fixture.config, preprocessor }) as VisualEncoder;
  return { fixture, preprocessor, encoder };
}

/** Compares everything that a fixture of an image tower holds; pixels have to be equal, not only near. */
function expectStages(fixture: Fixture, encoder: VisualEncoder, selected: HostTensorMap) {
  const made = ['image.0', 'image.1'].flatMap((name) => {
    const { data, shape } = fixture.tensors[name]!;
    const frames = { data: Uint8Array.from(data), count: 1, height: shape[0]!, width: shape[1]! };
    return Array.from(encoder.preprocess(frames).pixelValues!.data);
  });
  expect(Float32Array.from(made)).toEqual(fixture.tensors.pixel_values!.data);
  const { features, intermediates } = encoder.forward(new Parameters(toTensors(selected)), {
    pixelValues: toTensor(fixture.tensors.pixel_values!),
  });
  expectGolden(fixture, 'hidden_states', tf.stack(intermediates.hiddenStates as tf.Tensor[]));
  expectGolden(fixture, 'last_hidden_state', intermediates.lastHiddenState as tf.Tensor);
  expectGolden(fixture, 'features', features);
}

const renamed = (weights: HostTensorMap, rename: (name: string) => string) =>
  new Map(Object.entries(weights).map(([name, tensor]) => [rename(name), tensor] as const));

describe('DINOv2', () => {
  it('agrees with Hugging Face at every stage', async () => {
    const { fixture, encoder } = await open(dinov2, 'dinov2');
    const selected = selectEncoderTensors(encoder, renamed(fixture.weights, String));
    expect(Object.keys(selected)).toHaveLength(Object.keys(fixture.weights).length - 1); // All but mask_token.
    expectStages(fixture, encoder, selected);
    const prefixed = renamed(fixture.weights, (name) => `dinov2.${name}`);
    expect(selectEncoderTensors(encoder, prefixed)).toEqual(selected);
  });

  it('needs the final norm for intermediates only', async () => {
    const { fixture, encoder } = await open(dinov2, 'dinov2');
    const { 'layernorm.weight': _, ...rest } = fixture.weights;
    const selected = selectEncoderTensors(encoder, renamed(rest, String));
    const { features, intermediates } = encoder.forward(new Parameters(toTensors(selected)), {
      pixelValues: toTensor(fixture.tensors.pixel_values!),
    });
    expectGolden(fixture, 'features', features);
    expect(intermediates).not.toHaveProperty('lastHiddenState');
  });

  it('interpolates between the same neighbours as the reference', () => {
    // From torch.nn.functional.interpolate of the unit vectors, 3 to 2 positions.
    const expected = [0.7734375, 0.26171875, -0.03515625, -0.03515625, 0.26171875, 0.7734375];
    bicubicWeights(3, 2).forEach((weight, i) => {
      expect(weight).toBeCloseTo(expected[i]!, 6);
    });
  });

  it('refuses what would change the features', async () => {
    const { fixture, preprocessor } = await open(dinov2, 'dinov2');
    const refusal =
      (config: object, files: object = preprocessor) =>
      () =>
        dinov2.create({ config: { ...(fixture.config as object), ...config }, preprocessor: files });
    expect(refusal({ model_type: 'dinov2_with_registers' })).toThrow(
      /model_type: is "dinov2_with_registers"; supported is dinov2/,
    );
    expect(refusal({ image_size: [70, 56] })).toThrow(/image_size: is \[70,56\]; supported are squares/);
    expect(refusal({ hidden_act: 'mish' })).toThrow(/"mish"/);
    expect(refusal({}, { crop_size: 12 })).toThrow(/12x12 pixels, smaller than one patch of 14/);
  });
});

describe('the SigLIP vision tower', () => {
  it('agrees with Hugging Face at every stage', async () => {
    const { fixture, encoder } = await open(siglip, 'siglip_vision');
    const selected = selectEncoderTensors(encoder, renamed(fixture.weights, String));
    expectStages(fixture, encoder, selected);
    // As transformers 5 writes the tower alone.
    const bare = renamed(fixture.weights, (name) => name.replace(/^vision_model\./, ''));
    expect(selectEncoderTensors(encoder, bare)).toEqual(selected);
    const { vision_config: tower } = fixture.config as { vision_config: object };
    const alone = siglip.create({ config: tower, preprocessor: { size: { height: 60, width: 60 } } });
    expect(alone.tensorShapes).toEqual(encoder.tensorShapes);
  });

  it('refuses what would change the features', async () => {
    const { fixture } = await open(siglip, 'siglip_vision');
    const create = (config: object, size: object) => () =>
      siglip.create({ config: { ...(fixture.config as object), ...config }, preprocessor: { size } });
    const size = { height: 60, width: 60 };
    expect(create({ model_type: 'siglip2' }, size)).toThrow(/"siglip2"/);
    expect(create({}, { height: 56, width: 56 })).toThrow(/56x56 pixels.*60x60.*not interpolated/);
    expect(create({}, { height: 60, width: 48 })).toThrow(/60x48/);
  });
});

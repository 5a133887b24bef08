import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { clip, clipVisionForward, parseClipConfig } from '../../encoders/clip.ts';
import { selectEncoderTensors } from '../../encoders/encoder.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import {
  expectGolden,
  type Fixture,
  loadFixture,
  readJson,
  toTensor,
  toTensors,
} from '../support/fixture.ts';

let fixture: Fixture;
let preprocessor: unknown;

beforeAll(async () => {
  await tf.setBackend('cpu');
  fixture = await loadFixture('clip_vision');
  preprocessor = await readJson(`${fixture.folder}/preprocessor_config.json`);
});

describe('the CLIP vision tower', () => {
  it('agrees with Hugging Face at every stage', () => {
    const config = parseClipConfig(fixture.config);
    const pixelValues = toTensor(fixture.tensors.pixel_values!);
    const output = clipVisionForward(config, new Parameters(toTensors(fixture.weights)), pixelValues);
    expectGolden(fixture, 'last_hidden_state', output.intermediates.lastHiddenState as tf.Tensor);
    expectGolden(fixture, 'post_layernorm_cls', output.intermediates.postLayernormCls as tf.Tensor);
    expectGolden(fixture, 'image_features', output.features);
  });

  it('takes its tensors out of a whole CLIP checkpoint and leaves the rest', () => {
    const encoder = clip.create({ config: fixture.config, preprocessor });
    const selected = selectEncoderTensors(encoder, new Map(Object.entries(fixture.weights)));
    const tower = Object.keys(fixture.weights).filter(
      (name) => /^(vision_model|visual_projection)\./.test(name) && !name.endsWith('position_ids'),
    );
    expect(Object.keys(selected).sort()).toEqual(tower.sort());
    const broken = { ...fixture.weights };
    delete broken['vision_model.pre_layrnorm.bias'];
    broken['visual_projection.weight'] = { ...broken['visual_projection.weight']!, shape: [64, 48] };
    expect(() => selectEncoderTensors(encoder, new Map(Object.entries(broken)))).toThrow(
      /pre_layrnorm\.bias is missing; visual_projection\.weight has shape \[64,48\] instead of \[48,64\]/,
    );
  });

  it('reads the configuration of the tower alone like that of the whole model', () => {
    const whole = fixture.config as { vision_config: object };
    expect(parseClipConfig(whole.vision_config)).toEqual(parseClipConfig(whole));
    // Published whole models may leave the inner size at its default: the outer one counts.
    const published = { ...whole, vision_config: { ...whole.vision_config, projection_dim: 512 } };
    expect(parseClipConfig(published).projectionDim).toBe(48);
  });

  it('reads what files of 2021 call vision_config_dict, which goes before vision_config', () => {
    const { vision_config: tower, ...rest } = fixture.config as { vision_config: object };
    const config = parseClipConfig(fixture.config);
    expect(parseClipConfig({ ...rest, vision_config_dict: tower })).toEqual(config);
    const other = { hidden_size: 12, num_attention_heads: 3 };
    const both = { ...rest, vision_config: other, vision_config_dict: tower };
    expect(parseClipConfig(both)).toEqual(config);
    expect(parseClipConfig({ ...rest, vision_config: tower, vision_config_dict: null })).toEqual(config);
    expect(parseClipConfig({ model_type: 'clip', vision_config: null })).toEqual(parseClipConfig({}));
  });

  it('names all faults of a configuration', () => {
    const config = {
      vision_config: { hidden_size: 30, num_attention_heads: 4, image_size: 8, patch_size: 15 },
    };
    expect(() => parseClipConfig(config)).toThrow(/multiple of num_attention_heads.*smaller than patch_size/);
  });

  it('refuses what would change the features', () => {
    const whole = fixture.config as { vision_config: object };
    const refusal = (change: object) => () =>
      parseClipConfig({ ...whole, vision_config: { ...whole.vision_config, ...change } });
    expect(refusal({ num_channels: 1 })).toThrow(/vision_config\.num_channels: is 1; only 3 is supported/);
    expect(refusal({ image_size: [56, 42] })).toThrow(/image_size: .*squares/);
    expect(refusal({ model_type: 'siglip_vision_model' })).toThrow(/model_type: is "siglip_vision_model"/);
    expect(() => parseClipConfig({ ...whole, model_type: 'chinese_clip' })).toThrow(/"chinese_clip"/);
    const crop = { ...(preprocessor as object), crop_size: { height: 42, width: 42 } };
    expect(() => clip.create({ config: whole, preprocessor: crop })).toThrow(/42x42 pixels.*56x56/);
  });
});

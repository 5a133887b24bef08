import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { data2vec } from '../../encoders/data2vec.ts';
import { type EncoderDefinition, selectEncoderTensors } from '../../encoders/encoder.ts';
import { parseWavLmConfig, relativePositionBuckets, wavlm } from '../../encoders/wavlm.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { HostTensorMap } from '../../src/engine/types.ts';
import { expectGolden, loadFixture, readJson, readTensors, toTensor, toTensors } from '../support/fixture.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** Compares everything that a fixture of a speech encoder holds. */
async function expectStages(definition: EncoderDefinition, name: string, stored?: HostTensorMap) {
  const fixture = await loadFixture(name);
  const preprocessor = await readJson(`${fixture.folder}/preprocessor_config.json`);
  const encoder = definition.create({ config: fixture.config, preprocessor });
  if (encoder.modality !== 'audio') throw new Error(`${name} hears`);
  const weights = stored ?? fixture.weights;
  const selected = selectEncoderTensors(encoder, new Map(Object.entries(weights)));
  expect(Object.keys(selected)).toHaveLength(Object.keys(weights).length - 1); // All but masked_spec_embed.
  const { data, shape } = fixture.tensors.waveform!;
  const waves = { data: Float32Array.from(data), count: shape[0]!, samples: shape[1]! };
  const run = (input: string) =>
    encoder.forward(new Parameters(toTensors(selected)), {
      inputValues: toTensor(fixture.tensors[input]!),
    });
  for (const [suffix, normalisation] of [
    ['', 'clip'],
    ['_joint', 'batch'],
  ] as const) {
    const policy = { meanRemoval: false, normalisation, clipsPerSample: 2 };
    expectGolden(fixture, `input_values${suffix}`, encoder.preprocess(waves, policy).inputValues!.data);
    expectGolden(fixture, `features${suffix}`, run(`input_values${suffix}`).features);
  }
  const { convFeatures, hiddenStates, lastLayerBeforeNorm } = run('input_values').intermediates;
  expectGolden(fixture, 'conv_features', convFeatures as tf.Tensor);
  expectGolden(fixture, 'hidden_states', tf.stack(hiddenStates as tf.Tensor[]));
  if (definition === wavlm) {
    expectGolden(fixture, 'last_layer_before_norm', lastLayerBeforeNorm as tf.Tensor);
  }
  const prefix = encoder.tensorPrefixes[0]!;
  const prefixed = Object.entries(weights).map(([tensor, value]) => [`${prefix}${tensor}`, value] as const);
  expect(selectEncoderTensors(encoder, new Map(prefixed))).toEqual(selected);
}

describe('WavLM', () => {
  it('agrees with Hugging Face at every stage', () => expectStages(wavlm, 'wavlm'));

  it('takes the older names of a normed weight', async () => {
    const { folder } = await loadFixture('wavlm');
    await expectStages(wavlm, 'wavlm', await readTensors(`${folder}/model.weight_g.safetensors`));
  });

  it('sorts distances into the buckets of the reference', () => {
    const bucketsFrom = (length: number, query: number) =>
      Array.from(relativePositionBuckets(length, 32, 128).subarray(query * length, (query + 1) * length));
    // 16, 32 and 64 lie on an edge, where only single precision decides.
    const ahead = bucketsFrom(130, 0);
    expect([1, 7, 8, 11, 12, 15, 16, 31, 32, 45, 46, 63, 64, 90, 91, 129].map((i) => ahead[i])).toEqual([
      17, 23, 24, 24, 25, 25, 26, 27, 28, 28, 29, 29, 30, 30, 31, 31,
    ]);
    expect(bucketsFrom(5, 2)).toEqual([2, 1, 0, 17, 18]);
  });

  it('refuses what would change the features', () => {
    expect(() => parseWavLmConfig({ add_adapter: true, num_buckets: 2 })).toThrow(
      /add_adapter: is true.*num_buckets|num_buckets.*add_adapter: is true/,
    );
    expect(() => parseWavLmConfig({ num_buckets: 320, max_bucket_distance: 80 })).toThrow(/quarter/);
    expect(() => parseWavLmConfig({ model_type: 'unispeech-sat' })).toThrow(/"unispeech-sat"/);
  });
});

describe('data2vec-audio', () => {
  it('agrees with Hugging Face at every stage', () => expectStages(data2vec, 'data2vec_audio'));

  it('refuses what it is not', () => {
    const create = (config: object) => () => data2vec.create({ config, preprocessor: {} });
    expect(create({ model_type: 'data2vec-vision' })).toThrow(
      /"data2vec-vision"; supported is data2vec-audio/,
    );
    expect(create({ hidden_size: 20, num_conv_pos_embedding_groups: 3 })).toThrow(/pos_embedding_groups/);
    expect(create({ feat_extract_activation: 'mish' })).toThrow(/"mish"/);
  });
});

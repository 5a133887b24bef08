import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { selectEncoderTensors, type WaveformPolicy } from '../../encoders/encoder.ts';
import { hubert, hubertForward } from '../../encoders/hubert.ts';
import { parseHubertConfig } from '../../encoders/hubert-config.ts';
import { preprocessWaveforms } from '../../encoders/waveform-preprocessing.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import {
  expectGolden,
  type Fixture,
  loadFixture,
  readJson,
  readTensors,
  toTensor,
  toTensors,
} from '../support/fixture.ts';

let fixture: Fixture;

beforeAll(async () => {
  await tf.setBackend('cpu');
  fixture = await loadFixture('hubert');
});

const preprocessor = { do_normalize: true, sampling_rate: 16_000 };
const policy: WaveformPolicy = { meanRemoval: false, normalisation: 'clip', clipsPerSample: 2 };

describe('HuBERT', () => {
  it.each(['model.safetensors', 'model.weight_g.safetensors'])(
    'agrees with Hugging Face (%s)',
    async (file) => {
      const stored = await readTensors(`${fixture.folder}/${file}`);
      const selected = selectEncoderTensors(
        hubert.create({ config: fixture.config, preprocessor }),
        new Map(Object.entries(stored)),
      );
      expect(Object.keys(selected)).toHaveLength(Object.keys(stored).length - 1); // All but masked_spec_embed.
      const parameters = new Parameters(toTensors(selected));
      const config = parseHubertConfig(fixture.config);
      const run = (name: string) => hubertForward(config, parameters, toTensor(fixture.tensors[name]!));
      const { features, intermediates } = run('input_values');
      expectGolden(fixture, 'conv_features', intermediates.convFeatures as tf.Tensor);
      expectGolden(fixture, 'hidden_states', tf.stack(intermediates.hiddenStates as tf.Tensor[]));
      expectGolden(fixture, 'last_layer_before_norm', intermediates.lastLayerBeforeNorm as tf.Tensor);
      expectGolden(fixture, 'features', features);
      expectGolden(fixture, 'features_joint', run('input_values_joint').features);
    },
  );

  it('finds its tensors below the prefix of a fine-tuned model', () => {
    const encoder = hubert.create({ config: fixture.config, preprocessor });
    const prefixed = new Map(
      Object.entries(fixture.weights).map(([name, tensor]) => [`hubert.${name}`, tensor] as const),
    );
    expect(selectEncoderTensors(encoder, prefixed)).toEqual(
      selectEncoderTensors(encoder, new Map(Object.entries(fixture.weights))),
    );
  });

  it('normalises over time and after each block in the form of hubert-base', () => {
    const json = { ...(fixture.config as object), do_stable_layer_norm: false, feat_extract_norm: 'group' };
    const encoder = hubert.create({ config: { ...json, conv_bias: false }, preprocessor });
    expect(encoder.tensorShapes).toHaveProperty(['feature_extractor.conv_layers.0.layer_norm.weight']);
    expect(encoder.tensorShapes).not.toHaveProperty(['feature_extractor.conv_layers.1.layer_norm.weight']);
    expect(encoder.tensorShapes).not.toHaveProperty(['feature_extractor.conv_layers.0.conv.bias']);
    const parameters = new Parameters(toTensors(encoder.init(3)));
    const config = parseHubertConfig({ ...json, conv_bias: false });
    const waves = toTensor(fixture.tensors.input_values!);
    const states = (input: tf.Tensor) => {
      const { convFeatures, hiddenStates } = hubertForward(config, parameters, input).intermediates;
      return { convFeatures: convFeatures as tf.Tensor, hiddenStates: hiddenStates as tf.Tensor[] };
    };
    const { convFeatures, hiddenStates } = states(waves);
    // A channel that is normalised over time does not change with the volume, whatever follows.
    const louder = states(tf.mul(waves, 8));
    const change = tf.max(tf.abs(tf.sub(convFeatures, louder.convFeatures))).dataSync()[0]!;
    expect(change / tf.max(tf.abs(convFeatures)).dataSync()[0]!).toBeLessThan(1e-3);
    // Fresh norms have weight 1 and bias 0: every state is normalised.
    for (const state of hiddenStates) {
      const { mean, variance } = tf.moments(state, -1);
      expect(tf.max(tf.abs(mean)).dataSync()[0]).toBeLessThan(1e-5);
      expect(tf.max(tf.abs(tf.sub(variance, 1))).dataSync()[0]).toBeLessThan(1e-2);
    }
  });

  it('refuses models whose features are not defined', () => {
    const config = { ...(fixture.config as object), num_hidden_layers: 2, conv_stride: [5] };
    expect(() => parseHubertConfig(config)).toThrow(/at least 3 layers/);
    expect(() => parseHubertConfig({ conv_stride: [5], hidden_act: 'gelu' })).toThrow(/differ in length/);
    expect(() => hubert.create({ config: { hidden_act: 'mish' }, preprocessor })).toThrow(/"mish"/);
    for (const key of ['add_adapter', 'conv_pos_batch_norm']) {
      expect(() => parseHubertConfig({ [key]: true })).toThrow(`${key}: is true; only false is supported`);
    }
    expect(() => parseHubertConfig({ adapter_attn_dim: 16 })).toThrow(/adapter_attn_dim: is 16/);
    expect(() => parseHubertConfig({ model_type: 'wav2vec2' })).toThrow(/model_type: is "wav2vec2"/);
    const spectrogram = { feature_extractor_type: 'ASTFeatureExtractor', feature_size: 80 };
    expect(() => hubert.create({ config: {}, preprocessor: spectrogram })).toThrow(
      /AST.*feature_size: is 80/,
    );
    expect(() => hubert.create({ config: {}, preprocessor: { sampling_rate: 8000 } })).toThrow(
      /is 8000; only 16000/,
    );
  });
});

describe('waveform preprocessing', () => {
  const waves = () => {
    const { data, shape } = fixture.tensors.waveform!;
    return { data: Float32Array.from(data), count: shape[0]!, samples: shape[1]! };
  };

  it('normalises each clip, or the clips of a sample together, as the extractor does', async () => {
    const file = await readJson(`${fixture.folder}/preprocessor_config.json`);
    const encoder = hubert.create({ config: fixture.config, preprocessor: file });
    if (encoder.modality !== 'audio') throw new Error('HuBERT hears');
    const values = (normalisation: WaveformPolicy['normalisation']) =>
      encoder.preprocess(waves(), { ...policy, normalisation }).inputValues!.data;
    expectGolden(fixture, 'input_values', values('clip'));
    expectGolden(fixture, 'input_values_joint', values('sample'));
    expectGolden(fixture, 'input_values_joint', values('batch'));
  });

  it('tells a sample from the batch', () => {
    const { data, samples } = waves();
    const four = { data: Float32Array.from([...data, ...data.map((x) => x * 3)]), count: 4, samples };
    const sample = preprocessWaveforms(four, { ...policy, normalisation: 'sample' }, true).data;
    const half = data.length;
    expect(Math.max(...sample.subarray(half).map((x, i) => Math.abs(x - sample[i]!)))).toBeLessThan(1e-3);
    const batch = preprocessWaveforms(four, { ...policy, normalisation: 'batch' }, true).data;
    expect(Math.max(...batch.subarray(half).map((x, i) => Math.abs(x - batch[i]!)))).toBeGreaterThan(0.5);
    expect(() => preprocessWaveforms(four, { ...policy, clipsPerSample: 3 }, true)).toThrow(/4 audio clips/);
  });

  it('removes the mean of each clip and leaves its input alone', () => {
    const input = { data: Float32Array.from([1, 2, 3, 10, 20, 30]), count: 2, samples: 3 };
    const { data, shape } = preprocessWaveforms(input, { ...policy, meanRemoval: true }, false);
    expect(Array.from(data)).toEqual([-1, 0, 1, -10, 0, 10]);
    expect(shape).toEqual([2, 3]);
    expect(input.data[0]).toBe(1);
  });
});

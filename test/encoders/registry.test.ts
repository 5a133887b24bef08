import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Encoder, EncoderFiles } from '../../encoders/encoder.ts';
import { createEncoder, encoderRegistry, missingEncoders } from '../../encoders/registry.ts';
import { configSchema } from '../../src/config/schema.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { HostTensorMap, TensorFunction, TensorMap } from '../../src/engine/types.ts';
import { maxAbsDifference, toTensors } from '../support/fixture.ts';

const tinyTower = {
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
};
const tinySpeech = {
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  conv_dim: [4, 8],
  conv_kernel: [320, 5],
  conv_stride: [320, 4],
  num_conv_pos_embedding_groups: 2,
};
const speechPreprocessor = { do_normalize: true, sampling_rate: 16_000 };

/** The smallest model of each architecture. Every registered encoder has to be here. */
const tinyModels: Readonly<Record<string, EncoderFiles & { readonly outputDimension: number }>> = {
  clip: {
    config: {
      vision_config: { ...tinyTower, image_size: 28, patch_size: 14 },
      projection_dim: 12,
    },
    preprocessor: { size: 28, crop_size: 28, image_mean: [0.5, 0.5, 0.5], image_std: [0.25, 0.25, 0.25] },
    outputDimension: 12,
  },
  dinov2: {
    config: {
      hidden_size: 16,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      mlp_ratio: 2,
      image_size: 42,
      use_swiglu_ffn: true,
    },
    preprocessor: { size: { shortest_edge: 32 }, crop_size: { height: 30, width: 30 } },
    outputDimension: 16,
  },
  siglip: {
    config: {
      vision_config: { ...tinyTower, image_size: 30, patch_size: 14 },
    },
    preprocessor: { size: { height: 30, width: 30 } },
    outputDimension: 16,
  },
  hubert: {
    config: {
      ...tinySpeech,
      conv_bias: true,
      feat_extract_norm: 'layer',
      do_stable_layer_norm: true,
      num_conv_pos_embeddings: 6,
    },
    preprocessor: speechPreprocessor,
    outputDimension: 16,
  },
  wavlm: {
    config: { ...tinySpeech, num_conv_pos_embeddings: 6, num_buckets: 8, max_bucket_distance: 6 },
    preprocessor: speechPreprocessor,
    outputDimension: 16,
  },
  data2vec: {
    config: { ...tinySpeech, num_conv_pos_embeddings: 2, conv_pos_kernel_size: 5 },
    preprocessor: speechPreprocessor,
    outputDimension: 16,
  },
};

/** Three different images or clips, preprocessed. */
function exampleInputs(encoder: Encoder): HostTensorMap {
  if (encoder.modality === 'visual') {
    const data = Uint8Array.from({ length: 3 * 40 * 30 * 3 }, (_, i) => (i * i * 7 + i * 13) % 256);
    return encoder.preprocess({ data, count: 3, height: 40, width: 30 });
  }
  const data = Float32Array.from(
    { length: 3 * 32_000 },
    (_, i) => Math.sin(i ** 1.3 / 50) * (i % 977 ? 0.3 : 0.9),
  );
  const policy = { meanRemoval: true, normalisation: 'clip', clipsPerSample: 1 } as const;
  return encoder.preprocess({ data, count: 3, samples: 32_000 }, policy);
}

/** Parameters that record which tensors are read. */
function recording(tensors: TensorMap): { parameters: Parameters; read: Set<string> } {
  const read = new Set<string>();
  const proxy = new Proxy(tensors, {
    get(target, name: string) {
      if (target[name] !== undefined) read.add(name);
      return target[name];
    },
  });
  return { parameters: new Parameters(proxy), read };
}

const rowOf = (map: HostTensorMap, index: number): HostTensorMap =>
  Object.fromEntries(
    Object.entries(map).map(([name, { dtype, shape, data }]) => {
      const size = data.length / shape[0]!;
      const row = data.slice(index * size, (index + 1) * size);
      return [name, { dtype, shape: [1, ...shape.slice(1)], data: row }];
    }),
  );

beforeAll(async () => {
  await tf.setBackend('cpu');
});
beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

describe('the encoder registry', () => {
  it('holds each encoder once, and each is tested here', () => {
    expect(encoderRegistry).toHaveLength(6);
    expect(encoderRegistry.map((entry) => entry.type).sort()).toEqual(Object.keys(tinyModels).sort());
  });

  it('lists what it knows when asked for something else', () => {
    expect(() => createEncoder('clap', { config: {}, preprocessor: {} })).toThrow(
      /no encoder of type "clap"; known are clip \(visual\), dinov2 \(visual\), .*hubert \(audio\)/,
    );
  });

  it('can be named in a configuration', () => {
    const { visualEncoder, audioEncoder } = configSchema.shape.model.unwrap().shape;
    const named = {
      visual: visualEncoder.unwrap().shape.type.unwrap().options,
      audio: audioEncoder.unwrap().shape.type.unwrap().options,
    };
    for (const { type, modality } of encoderRegistry) expect(named[modality]).toContain(type);
  });

  it('says why an encoder of the published ablation is not there', () => {
    for (const { type, name, reason } of missingEncoders) {
      expect(() => createEncoder(type, { config: {}, preprocessor: {} })).toThrow(
        `${name} ("${type}") is not offered: ${reason}; known are clip (visual)`,
      );
    }
    expect(() => createEncoder('EVA-CLIP-G', { config: {}, preprocessor: {} })).toThrow(/not offered/);
    expect(missingEncoders.map(({ type }) => type)).toContain('imagebind');
  });
});

describe.each(encoderRegistry)('the contract of $type', ({ type, modality }) => {
  const model = tinyModels[type]!;
  const encoder = createEncoder(type, model);

  it('says what it is', () => {
    expect(encoder).toMatchObject({ type, modality, outputDimension: model.outputDimension });
  });

  it('draws exactly the tensors that it lists, from the seed alone', () => {
    const weights = encoder.init(7);
    const shapes = Object.fromEntries(Object.entries(weights).map(([name, { shape }]) => [name, shape]));
    expect(shapes).toEqual(encoder.tensorShapes);
    expect(createEncoder(type, model).init(7)).toEqual(weights);
    expect(encoder.init(8)).not.toEqual(weights);
  });

  it('reads every tensor that it lists, and features depend on nothing else', () => {
    const { parameters, read } = recording(toTensors(encoder.init(1)));
    const features = encoder.forward(parameters, toTensors(exampleInputs(encoder))).features;
    expect([...read].sort()).toEqual(Object.keys(encoder.tensorShapes).sort());
    expect(features.shape).toEqual([3, encoder.outputDimension]);
  });

  it('takes the inputs that it declares', () => {
    const inputs = exampleInputs(encoder);
    expect(Object.keys(inputs)).toEqual(Object.keys(encoder.inputs));
    for (const [name, { dtype, shape }] of Object.entries(encoder.inputs)) {
      expect(inputs[name]!.dtype).toBe(dtype);
      expect(typeof shape[0]).toBe('string');
      expect(inputs[name]!.shape).toEqual([3, ...shape.slice(1)]);
    }
  });

  it('gives each image or clip the same features alone and among others', () => {
    const parameters = new Parameters(toTensors(encoder.init(1)));
    const inputs = exampleInputs(encoder);
    const together = encoder.forward(parameters, toTensors(inputs)).features.arraySync() as number[][];
    for (const index of [0, 2]) {
      const alone = encoder.forward(parameters, toTensors(rowOf(inputs, index))).features.dataSync();
      expect(maxAbsDifference(alone, together[index]!)).toBeLessThan(1e-6);
    }
    expect(maxAbsDifference(together[0]!, together[2]!)).toBeGreaterThan(1e-3);
  });

  it('gives the same features compiled, for any number of images or clips', async () => {
    const weights = encoder.init(1);
    const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
    const compiled = await engine.compile(
      (tensors) => ({
        outputs: { features: encoder.forward(new Parameters(tensors.weights), tensors.inputs).features },
      }),
      { name: type, inputs: encoder.inputs, weights },
    );
    for (const inputs of [exampleInputs(encoder), rowOf(exampleInputs(encoder), 1)]) {
      const { features } = await compiled.run(inputs);
      const eager = encoder.forward(new Parameters(toTensors(weights)), toTensors(inputs)).features;
      expect(features!.shape).toEqual(eager.shape);
      expect(maxAbsDifference(features!.data, eager.dataSync())).toBeLessThan(1e-5);
    }
    await compiled.dispose();
  });

  it('can be trained: gradients reach every tensor, compiled as eagerly', async () => {
    const weights = encoder.init(1);
    const state = Object.fromEntries(
      Object.entries(weights).map(([name, { shape }]) => [name, { dtype: 'float32' as const, shape }]),
    );
    const step: TensorFunction = ({ inputs, state: tensors }) => {
      const { gradients } = valueAndGradients((parameters) => {
        const features = encoder.forward(new Parameters(parameters), inputs).features;
        return tf.sum(tf.sin(tf.mul(features, 3))) as tf.Scalar;
      }, tensors);
      return { outputs: gradients as TensorMap };
    };
    const results: HostTensorMap[] = [];
    for (const engineType of ['cpu', 'onnxruntime'] as const) {
      const engine = await createEngine({ type: engineType });
      const compiled = await engine.compile(step, { name: type, inputs: encoder.inputs, state });
      results.push(await compiled.run(exampleInputs(encoder), engine.createState(weights)));
      await compiled.dispose();
    }
    const [eager, compiled] = results as [HostTensorMap, HostTensorMap];
    for (const [name, { data }] of Object.entries(eager)) {
      if (/\.(k_proj|key)\.bias$/.test(name)) continue; // Softmax ignores it: zero but for rounding.
      const largest = maxAbsDifference(data, new Float32Array(data.length));
      expect(largest, name).toBeGreaterThan(0);
      expect(maxAbsDifference(compiled[name]!.data, data) / largest, name).toBeLessThan(1e-4);
    }
  });

  it('refuses configurations that are not its own', () => {
    expect(() => createEncoder(type, { ...model, config: 'nothing' })).toThrow(/config\.json/);
    expect(() => createEncoder(type, { ...model, preprocessor: null })).toThrow(/preprocessor_config\.json/);
  });
});

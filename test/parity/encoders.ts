import * as tf from '@tensorflow/tfjs';
import type { AudioEncoder, Encoder, VisualEncoder, WaveformPolicy } from '../../encoders/encoder.ts';
import { createEncoder, encoderRegistry } from '../../encoders/registry.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { Engine, HostTensor, HostTensorMap, InputSpec, TensorMap } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { readModelJson } from '../../src/runtime/model-folder.ts';
import { openEncoder, type PretrainedEncoder } from '../../src/runtime/pretrained.ts';
import type { Actual, Part } from './compare.ts';
import { compareForms } from './forms.ts';
import type { ParityFixture, ParityHandler } from './handler.ts';

/** The entry of the encoder registry behind each kind of fixture. */
export const encoderTypes = {
  clip_vision: 'clip',
  dinov2: 'dinov2',
  siglip_vision: 'siglip',
  hubert: 'hubert',
  wavlm: 'wavlm',
  data2vec_audio: 'data2vec',
} as const;

/** `hidden_states` to `hiddenStates`. */
const camelCase = (name: string): string =>
  name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Names under which fixtures list the vectors that fusion takes. */
const featureNames = ['features', 'image_features'];
/** Ending of what was made with all clips normalised together, as the published training does. */
const joint = '_joint';

/** All `image.N` of a fixture, each preprocessed by itself. */
function preprocessImages(fixture: ParityFixture, encoder: VisualEncoder): HostTensorMap {
  const images = Object.keys(fixture.tensors)
    .filter((name) => /^image\.\d+$/.test(name))
    .sort((a, b) => Number(a.slice('image.'.length)) - Number(b.slice('image.'.length)));
  if (images.length === 0) {
    throw new InputError('PARITY_INPUT_MISSING', 'golden.safetensors holds no image.0, image.1, ...');
  }
  const rows = images.map((name) => {
    const { data, shape } = fixture.tensors[name]!;
    const [height, width] = shape as [number, number, number];
    return encoder.preprocess({ data: Uint8Array.from(data), count: 1, height, width });
  });
  return Object.fromEntries(
    Object.entries(rows[0]!).map(([input, { dtype, shape }]) => {
      const data = rows.flatMap((row) => Array.from(row[input]!.data));
      return [input, { dtype, shape: [rows.length, ...shape.slice(1)], data: Float32Array.from(data) }];
    }),
  );
}

function preprocessClips(
  fixture: ParityFixture,
  encoder: AudioEncoder,
  normalisation: WaveformPolicy['normalisation'],
): HostTensorMap {
  const waveform = fixture.tensors.waveform;
  if (waveform === undefined) {
    throw new InputError('PARITY_INPUT_MISSING', 'golden.safetensors holds no waveform.');
  }
  const [count, samples] = waveform.shape as [number, number];
  const clips = { data: Float32Array.from(waveform.data), count, samples };
  return encoder.preprocess(clips, { meanRemoval: false, normalisation, clipsPerSample: 1 });
}

const preprocess = (fixture: ParityFixture, encoder: Encoder, together: boolean): HostTensorMap =>
  encoder.modality === 'visual'
    ? preprocessImages(fixture, encoder)
    : preprocessClips(fixture, encoder, together ? 'batch' : 'clip');

/** Images after resizing and cropping: what an encoder prepares when told neither to scale nor to normalise. */
async function resizedImages(fixture: ParityFixture, folder: string, type: string): Promise<HostTensor> {
  const preprocessor = (await readModelJson(folder, 'preprocessor_config.json')) as object;
  const encoder = createEncoder(type, {
    config: await readModelJson(folder, 'config.json'),
    preprocessor: { ...preprocessor, do_rescale: false, do_normalize: false },
  });
  return Object.values(preprocess(fixture, encoder, false))[0]!;
}

/** Features and intermediates by the names of the fixture, from its own preprocessed inputs where it has them. */
async function encode(
  fixture: ParityFixture,
  engine: Engine,
  { encoder, weights }: PretrainedEncoder,
  names: readonly string[],
  together: boolean,
): Promise<Readonly<Record<string, Actual>>> {
  const suffix = together ? joint : '';
  const stored = Object.fromEntries(
    Object.keys(encoder.inputs).map((input) => [input, fixture.tensors[`${snakeCase(input)}${suffix}`]]),
  );
  const inputs = Object.values(stored).includes(undefined)
    ? preprocess(fixture, encoder, together)
    : (stored as HostTensorMap);
  const specs = Object.entries(encoder.inputs).map(([input, { dtype, shape }]): [string, InputSpec] => {
    // Clips are two seconds long; a fixture's may be shorter. The size of an image is part of its model.
    const sizes = encoder.modality === 'audio' ? inputs[input]!.shape : shape;
    return [input, { dtype, shape: [shape[0]!, ...sizes.slice(1)] }];
  });
  const compiled = await engine.compile(
    (tensors) => {
      const { features, intermediates } = encoder.forward(new Parameters(tensors.weights), tensors.inputs);
      // Always there, so that a graph computes something.
      const outputs: TensorMap = { [`features${suffix}`]: features };
      for (const name of names) {
        const plain = name.slice(0, name.length - suffix.length);
        const value = featureNames.includes(plain) ? features : intermediates[camelCase(plain)];
        if (value instanceof tf.Tensor) outputs[name] = value;
        else if (value !== undefined) outputs[name] = tf.stack([...value]);
      }
      return { outputs };
    },
    { name: encoder.type, inputs: Object.fromEntries(specs), weights },
  );
  try {
    return await compiled.run(inputs);
  } finally {
    await compiled.dispose();
  }
}

/** A frozen encoder of the registry: preprocessing, features and what lies on the way. */
export const encoderHandler = (type: string): ParityHandler => {
  return (fixture, engine) =>
    compareForms(fixture, async (folder): Promise<Part[]> => {
      const definition = encoderRegistry.find((entry) => entry.type === type);
      if (definition === undefined) {
        throw new InputError('ENCODER_UNKNOWN', `There is no encoder of type "${type}".`);
      }
      const opened = await openEncoder(type, folder, definition.modality);
      const { encoder } = opened;
      const prepared = Object.keys(encoder.inputs).map(snakeCase);
      const preprocessing = (together: boolean): Part => {
        const suffix = together ? joint : '';
        return {
          gives: (name) => prepared.some((input) => name === `${input}${suffix}`),
          compute: async (names) => {
            const values = preprocess(fixture, encoder, together);
            return Object.fromEntries(
              names.map((name) => [name, values[camelCase(name.slice(0, name.length - suffix.length))]!]),
            );
          },
        };
      };
      return [
        preprocessing(false),
        preprocessing(true),
        {
          gives: (name) => name === 'resized_u8' && encoder.modality === 'visual',
          compute: async ([name]) => ({ [name!]: await resizedImages(fixture, folder, type) }),
        },
        {
          gives: (name) => name.endsWith(joint) && encoder.modality === 'audio',
          compute: (names) => encode(fixture, engine, opened, names, true),
        },
        { gives: () => true, compute: (names) => encode(fixture, engine, opened, names, false) },
      ];
    });
};

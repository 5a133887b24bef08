import {
  type Encoder,
  type Frames,
  selectEncoderTensors,
  type WaveformPolicy,
  type Waveforms,
} from '../../../encoders/encoder.ts';
import { createEncoder } from '../../../encoders/registry.ts';
import type { FeatureName } from '../../../model/modes.ts';
import { audioClips, clipCount, clipSamples, meanOfChannels } from '../../../src/data/media/audio.ts';
import { frameIndices, frameSize } from '../../../src/data/media/frames.ts';
import { resizeBilinear } from '../../../src/data/media/resize.ts';
import { Parameters } from '../../../src/engine/parameters.ts';
import type { CompiledFunction, Engine, HostTensor, HostTensorMap } from '../../../src/engine/types.ts';
import { InputError } from '../../../src/errors.ts';
import type { AffectGptReference } from '../../support/affectgpt-reference.ts';
import { encoderTypes } from '../encoders.ts';

/** What the published code does to sound: its inference sees one sample, its training a batch of several. */
export const publishedPolicy = (samples: number): WaveformPolicy => ({
  meanRemoval: true,
  normalisation: samples === 1 ? 'sample' : 'batch',
  clipsPerSample: clipCount,
});

/** `preprocessor_config.json` of the published encoders, for pictures of the size that the tiny ones take. */
const preprocessors: Readonly<Record<string, (config: Readonly<Record<string, unknown>>) => object>> = {
  clip: ({ image_size: size }) => ({
    size,
    crop_size: size,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
  }),
  hubert: () => ({ do_normalize: true, sampling_rate: 16_000 }),
  wavlm: () => ({ do_normalize: true, sampling_rate: 16_000 }),
  data2vec: () => ({ do_normalize: true, sampling_rate: 16_000 }),
};

interface RunningEncoder<Kind extends Encoder = Encoder> {
  readonly type: string;
  readonly encoder: Kind;
  readonly compiled: CompiledFunction;
}

/** Raw frames, faces and waves of a folder, and its encoders, compiled. */
export class RawMedia {
  readonly #tensors: HostTensorMap;
  readonly #encoders: readonly RunningEncoder[];

  private constructor(tensors: HostTensorMap, encoders: readonly RunningEncoder[]) {
    this.#tensors = tensors;
    this.#encoders = encoders;
  }

  /** @param tensors content of `raw.safetensors` */
  static async open(
    reference: AffectGptReference,
    tensors: HostTensorMap,
    engine: Engine,
  ): Promise<RawMedia> {
    const encoders: RunningEncoder[] = [];
    for (const [kind, config] of Object.entries(reference.golden.tiny_model_configs)) {
      const type = Object.hasOwn(encoderTypes, kind) ? encoderTypes[kind as keyof typeof encoderTypes] : null;
      const stored = Object.entries(tensors).filter(([name]) => name.startsWith(`${type}/`));
      const preprocessor = type === null ? undefined : preprocessors[type];
      if (type === null || preprocessor === undefined || stored.length === 0) continue;
      const encoder = createEncoder(type, { config, preprocessor: preprocessor(config) });
      const checkpoint = new Map(stored.map(([name, tensor]) => [name.slice(type.length + 1), tensor]));
      const compiled = await engine.compile(
        ({ inputs, weights }) => ({
          outputs: { features: encoder.forward(new Parameters(weights), inputs).features },
        }),
        { name: type, inputs: encoder.inputs, weights: selectEncoderTensors(encoder, checkpoint) },
      );
      encoders.push({ type, encoder, compiled });
    }
    return new RawMedia(tensors, encoders);
  }

  async dispose(): Promise<void> {
    for (const { compiled } of this.#encoders) await compiled.dispose();
  }

  /** Whether names such as `hubert/...` are weights that were read. */
  isWeight(name: string): boolean {
    return this.#encoders.some(({ type }) => name.startsWith(`${type}/`));
  }

  #stored(name: string): HostTensor {
    const tensor = this.#tensors[name];
    if (tensor === undefined) {
      throw new InputError('PARITY_INPUT_MISSING', `raw.safetensors holds no ${name}.`);
    }
    return tensor;
  }

  #encoder<Modality extends Encoder['modality']>(
    modality: Modality,
    type?: string,
  ): RunningEncoder<Extract<Encoder, { modality: Modality }>> {
    const found = this.#encoders.find(
      (running) => running.encoder.modality === modality && (type ?? running.type) === running.type,
    );
    if (found === undefined) {
      throw new InputError('PARITY_INPUT_MISSING', `No ${type ?? modality} encoder of this folder is known.`);
    }
    return found as RunningEncoder<Extract<Encoder, { modality: Modality }>>;
  }

  /** Frames as the published loader gives them, RGB. */
  frames(): Frames {
    const { data, shape } = this.#stored('frames_uint8');
    const [count, height, width] = shape as [number, number, number, number];
    return { data: data as Uint8Array, count, height, width };
  }

  /** Face crops of a sample as they reach the encoder, in the colour order of the file. */
  faces(sample: number, wanted: number): Frames {
    const { data, shape } = this.#stored(`face_npy_${sample}`);
    const [count, height, width] = shape as [number, number, number, number];
    const size = height * width * 3;
    const chosen = new Uint8Array(wanted * size);
    frameIndices(count, wanted).forEach((index, i) => {
      chosen.set((data as Uint8Array).subarray(index * size, (index + 1) * size), i * size);
    });
    return resizeBilinear({ data: chosen, count: wanted, height, width }, frameSize, frameSize);
  }

  /** The clips of 16-bit recordings, one sample after the other. */
  clips(samples: readonly number[]): Waveforms {
    const data = new Float32Array(samples.length * clipCount * clipSamples);
    samples.forEach((sample, i) => {
      const stored = this.#stored(`wave_int16_${sample}`);
      const [channels, length] = stored.shape as [number, number];
      const interleaved = Float32Array.from({ length: channels * length }, (_, at) => {
        return stored.data[(at % channels) * length + Math.floor(at / channels)]! / 32_768;
      });
      data.set(audioClips(meanOfChannels(interleaved, channels), 'div8'), i * clipCount * clipSamples);
    });
    return { data, count: samples.length * clipCount, samples: clipSamples };
  }

  /** Pictures as the encoder wants them. */
  pixels(frames: Frames, type?: string): HostTensor {
    return Object.values(this.#encoder('visual', type).encoder.preprocess(frames))[0]!;
  }

  /** Sound as the encoder wants it, all samples as one batch. */
  sound(samples: readonly number[], type?: string): HostTensor {
    const { encoder } = this.#encoder('audio', type);
    return Object.values(encoder.preprocess(this.clips(samples), publishedPolicy(samples.length)))[0]!;
  }

  /** Features of pictures, `[1, frames, size]`. */
  async encodeFrames(frames: Frames, type?: string): Promise<HostTensor> {
    const { encoder, compiled } = this.#encoder('visual', type);
    const { dtype, shape, data } = (await compiled.run(encoder.preprocess(frames))).features!;
    return { dtype, shape: [1, ...shape], data };
  }

  /**
   * Features of recordings that are normalised together, `[samples, clips, size]`: one sample as the published
   * inference does it, several as the published training.
   */
  async encodeWaves(samples: readonly number[], type?: string): Promise<HostTensor> {
    const { encoder, compiled } = this.#encoder('audio', type);
    const inputs = encoder.preprocess(this.clips(samples), publishedPolicy(samples.length));
    const { dtype, shape, data } = (await compiled.run(inputs)).features!;
    return { dtype, shape: [samples.length, clipCount, ...shape.slice(1)], data };
  }

  /** Features of samples as a batch of the published training sees them. */
  async batch(
    needs: readonly FeatureName[],
    samples: readonly number[],
    frames: number,
  ): Promise<HostTensorMap> {
    const features: HostTensorMap = {};
    for (const kind of needs) {
      if (kind === 'audio') features.audio = await this.encodeWaves(samples);
      else if (kind === 'image') {
        throw new InputError('PARITY_INPUT_MISSING', 'raw.safetensors holds no still pictures.');
      } else {
        const rows: HostTensor[] = [];
        for (const sample of samples) {
          rows.push(await this.encodeFrames(kind === 'face' ? this.faces(sample, frames) : this.frames()));
        }
        features[kind] = stackRows(rows);
      }
    }
    return features;
  }
}

/** `[1, ...]` tensors as one. */
function stackRows(rows: readonly HostTensor[]): HostTensor {
  const [first] = rows;
  const size = first!.data.length;
  const data = new Float32Array(rows.length * size);
  rows.forEach((row, i) => {
    data.set(row.data, i * size);
  });
  return { dtype: 'float32', shape: [rows.length, ...first!.shape.slice(1)], data };
}

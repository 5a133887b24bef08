import type { Frames, Waveforms } from '../../encoders/encoder.ts';
import type { HostTensor } from '../engine/types.ts';
import { InputError, NumericError } from '../errors.ts';
import { limiter } from '../io/limiter.ts';
import type { FeatureStore } from './feature-store.ts';
import { fileIdentity } from './file-identity.ts';
import type { AudioTail } from './media/audio.ts';
import { audioClips, clipCount, clipSamples, decodeAudio, sampleRate } from './media/audio.ts';
import type { FaceDetector } from './media/face-detector.ts';
import { detectFaces, loadFaceDetector } from './media/face-detector.ts';
import type { ColorOrder } from './media/faces.ts';
import { loadFaces, reorderColors } from './media/faces.ts';
import type { MediaRunOptions } from './media/ffmpeg.ts';
import { findMediaTools, startMediaClock } from './media/ffmpeg.ts';
import { decodeFrames, frameSize, scalerFlags } from './media/frames.ts';
import type { FeatureSource, SampleRecord } from './records.ts';

/** Raised when what this file does to media changes, so that older cached features are not found. */
const programVersion = 1;

/** Media files decoded at a time; ffmpeg uses several threads for each. */
const decodesAtOnce = 2;

/** A frozen encoder with its preprocessing, run by whatever engine. */
export interface FeatureEncoder<Input> {
  /**
   * All that determines the output besides the input: weights, preprocessing, policies, number format. JSON; part of
   * the cache key.
   */
  readonly identity: unknown;
  /** Features `[count, size]` (or `[count, patches, size]`), count as in the input. */
  encode(input: Input): Promise<HostTensor>;
}

export interface FeatureOptions {
  readonly store: FeatureStore;
  /** Absent where the inputs need no pictures. */
  readonly visual?: FeatureEncoder<Frames>;
  /** Absent where the inputs need no sound. */
  readonly audio?: FeatureEncoder<Waveforms>;
  /** Frames or faces of a video. */
  readonly frames: number;
  readonly audioTail: AudioTail;
  /** Colour order of face crops in npy files, and that in which faces reach the encoder. */
  readonly faceColors: { readonly stored: ColorOrder; readonly encoded: ColorOrder };
  /**
   * Whether the clips of all samples of a batch are encoded together, as their normalisation demands. Such features
   * depend on neighbours and are never kept.
   */
  readonly jointAudio?: boolean;
  /** Time limit of decoding one file. */
  readonly media?: MediaRunOptions;
  /** Told once of each thing worth knowing. */
  readonly notify: (message: string) => void;
}

/** Features of samples: from the store where it has them, else decoded and encoded. */
export class FeatureExtractor {
  readonly #options: FeatureOptions;
  readonly #identities = new Map<string, Promise<unknown>>();
  readonly #said = new Set<string>();
  #detector: Promise<FaceDetector | undefined> | undefined;
  readonly #decodeLimit = limiter(decodesAtOnce);
  /** Encoders and detector run one at a time: an engine may not bear more. Decoding goes on beside them. */
  readonly #computeLimit = limiter(1);
  /** Media files decoded so far. */
  decodes = 0;

  /** @throws InputError `JOINT_AUDIO_CACHED` where features depend on neighbours and are to be cached all the same */
  constructor(options: FeatureOptions) {
    if (options.jointAudio && options.store.folder !== null) {
      throw new InputError(
        'JOINT_AUDIO_CACHED',
        'Sound that is normalised over a whole batch gives features that depend on neighbours, so they cannot be cached. Set data.featureCache to null or compat.audioNormalisation to "sample" or "clip".',
      );
    }
    this.#options = options;
  }

  /**
   * Features of one kind for the samples of a batch, `[batch, count, size]`.
   *
   * @throws InputError naming the sample and its row, with the code of what is wrong with its file
   * @throws NumericError `FEATURES_NOT_FINITE`
   */
  async batch(
    samples: readonly { readonly record: SampleRecord; readonly source: FeatureSource }[],
  ): Promise<HostTensor> {
    const joint = this.#options.jointAudio && samples[0]?.source.kind === 'audio';
    const tensors = joint
      ? await this.#jointAudio(samples)
      : await Promise.all(samples.map(({ record, source }) => this.one(record, source)));
    const [first] = tensors;
    const size = first!.data.length;
    const data = new Float32Array(size * tensors.length);
    tensors.forEach((tensor, i) => {
      data.set(tensor.data, i * size);
    });
    return { dtype: 'float32', shape: [tensors.length, ...first!.shape], data };
  }

  /** Features of one kind for one sample, `[count, size]`. Errors as in `batch`. */
  async one(record: SampleRecord, source: FeatureSource): Promise<HostTensor> {
    return named(record, async () =>
      this.#options.store.get(await this.#key(source), async () => {
        const input = await this.#decodeLimit(() => this.#decode(source));
        return this.#encode(record, () =>
          'samples' in input ? this.#audio.encode(input) : this.#visual.encode(input),
        );
      }),
    );
  }

  get #visual(): FeatureEncoder<Frames> {
    if (this.#options.visual === undefined) throw encoderMissing('visual');
    return this.#options.visual;
  }

  get #audio(): FeatureEncoder<Waveforms> {
    if (this.#options.audio === undefined) throw encoderMissing('audio');
    return this.#options.audio;
  }

  /** Clips of the whole batch through the encoder at once, then apart again. */
  async #jointAudio(
    samples: readonly { readonly record: SampleRecord; readonly source: FeatureSource }[],
  ): Promise<HostTensor[]> {
    const clips = await Promise.all(
      samples.map(({ record, source }) =>
        named(record, () => this.#decodeLimit(() => this.#clips(source.file))),
      ),
    );
    const data = new Float32Array(clips.length * clipCount * clipSamples);
    clips.forEach((clip, i) => {
      data.set(clip, i * clip.length);
    });
    const count = clips.length * clipCount;
    const { shape, data: values } = await this.#encode(samples[0]!.record, () =>
      this.#audio.encode({ data, count, samples: clipSamples }),
    );
    const size = values.length / clips.length;
    return clips.map((_, i) => ({
      dtype: 'float32',
      shape: [clipCount, ...shape.slice(1)],
      data: values.subarray(i * size, (i + 1) * size),
    }));
  }

  async #clips(file: string): Promise<Float32Array> {
    this.decodes++;
    return this.#timed(file, async (media) =>
      audioClips(await decodeAudio(file, media), this.#options.audioTail),
    );
  }

  /** Decodes within the time limit of one file, and says so where half of it is over: training may wait for it. */
  async #timed<T>(file: string, decode: (media: MediaRunOptions) => Promise<T>): Promise<T> {
    const clock = startMediaClock(this.#options.media);
    const half = clock.timeoutSeconds / 2;
    const timer = setTimeout(() => {
      this.#options.notify(
        `Still reading ${file} after ${half} s; it is given up after ${clock.timeoutSeconds} s (data.decodeTimeout).`,
      );
    }, half * 1000);
    try {
      return await decode(clock);
    } finally {
      clearTimeout(timer);
    }
  }

  async #decode(source: FeatureSource): Promise<Frames | Waveforms> {
    if (source.kind !== 'audio') return this.pictures(source);
    return { data: await this.#clips(source.file), count: clipCount, samples: clipSamples };
  }

  /** The frames or faces of a file as the encoder gets them, before its own preprocessing. */
  async pictures({ kind, file, column }: FeatureSource): Promise<Frames> {
    const { frames, faceColors } = this.#options;
    this.decodes++;
    if (kind === 'frame') return this.#timed(file, (media) => decodeFrames(file, frames, media));
    if (column === 'face') {
      return loadFaces(file, { frames, stored: faceColors.stored, wanted: faceColors.encoded });
    }
    return reorderColors(await this.#facesOfVideo(file), 'rgb', faceColors.encoded);
  }

  async #facesOfVideo(file: string): Promise<Frames> {
    const { frames } = this.#options;
    const detector = await this.#faceDetector();
    const faces =
      detector && (await this.#timed(file, (media) => detectFaces(file, frames, detector, media)));
    if (faces !== undefined) return faces;
    if (detector !== undefined) {
      this.#sayOnce(
        'no face',
        `No face was found in ${file}: its whole frames stand in for faces. Further clips of this kind are not announced.`,
      );
    }
    return this.#timed(file, (media) => decodeFrames(file, frames, media));
  }

  #faceDetector(): Promise<FaceDetector | undefined> {
    this.#detector ??= loadFaceDetector().then((detector) => {
      if (detector === undefined) {
        this.#sayOnce(
          'no detector',
          'Some samples have no face crops, and the optional package @vladmandic/face-api is not installed: whole frames stand in for faces. ' +
            'Install the package (npm install @vladmandic/face-api) or give crops in the column "face".',
        );
      }
      return (
        detector && {
          identity: detector.identity,
          detect: (pictures: Frames) => this.#computeLimit(() => detector.detect(pictures)),
        }
      );
    });
    return this.#detector;
  }

  async #encode(record: SampleRecord, run: () => Promise<HostTensor>): Promise<HostTensor> {
    const tensor = await this.#computeLimit(run);
    if (!tensor.data.every(Number.isFinite)) {
      throw new NumericError(
        'FEATURES_NOT_FINITE',
        `${record.origin}: the features of sample "${record.name}" contain NaN or infinity. Its media or the encoder's weights are damaged.`,
      );
    }
    return tensor;
  }

  /** Everything that determines the features of a file. */
  async #key({ kind, file, column }: FeatureSource): Promise<Record<string, unknown>> {
    const { frames, audioTail, faceColors } = this.#options;
    const source = await this.#identity(file);
    const common = { programVersion, kind, source };
    if (kind === 'audio') {
      const decoder = (await findMediaTools()).version;
      const policy = { sampleRate, clipCount, clipSamples, audioTail };
      return { ...common, decoder, policy, encoder: this.#audio.identity };
    }
    const picture = { ...common, encoder: this.#visual.identity };
    if (kind === 'face' && column === 'face') {
      return { ...picture, policy: { frames, frameSize, faceColors, faces: 'npy' } };
    }
    const decoder = (await findMediaTools()).version;
    const policy = { frames, frameSize, scalerFlags };
    if (kind === 'frame') return { ...picture, decoder, policy };
    const faces = (await this.#faceDetector())?.identity ?? 'whole frames';
    return { ...picture, decoder, policy: { ...policy, encoded: faceColors.encoded, faces } };
  }

  #identity(file: string): Promise<unknown> {
    const known = this.#identities.get(file) ?? fileIdentity(file);
    this.#identities.set(file, known);
    return known;
  }

  #sayOnce(topic: string, message: string): void {
    if (this.#said.has(topic)) return;
    this.#said.add(topic);
    this.#options.notify(message);
  }
}

const encoderMissing = (kind: string): InputError =>
  new InputError('ENCODER_MISSING', `The configured inputs need a ${kind} encoder, and none is given.`);

/** Adds sample and row to an error about a file. */
async function named<T>(record: SampleRecord, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(error.code, `${record.origin}, sample "${record.name}": ${error.message}`, {
      cause: error,
    });
  }
}

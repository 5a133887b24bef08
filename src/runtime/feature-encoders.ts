import type {
  AudioEncoder,
  Frames,
  VisualEncoder,
  WaveformPolicy,
  Waveforms,
} from '../../encoders/encoder.ts';
import type { FeatureEncoder } from '../data/features.ts';
import { Parameters } from '../engine/parameters.ts';
import type { CompiledFunction, Engine, HostTensor, HostTensorMap } from '../engine/types.ts';
import type { PretrainedEncoder } from './pretrained.ts';

/** Images or clips that go through an encoder together; bounds the memory of activations. */
const encodeBatch = 8;

/** Compiles an encoder's forward function: preprocessed inputs to features. */
async function compileEncoder(
  { encoder, weights }: PretrainedEncoder,
  engine: Engine,
): Promise<CompiledFunction> {
  return engine.compile(
    ({ inputs, weights: tensors }) => ({
      outputs: { features: encoder.forward(new Parameters(tensors), inputs).features },
    }),
    { name: `encoder.${encoder.type}`, inputs: encoder.inputs, weights },
  );
}

const rows = ({ dtype, shape, data }: HostTensor, from: number, to: number): HostTensor => {
  const size = data.length / shape[0]!;
  return { dtype, shape: [to - from, ...shape.slice(1)], data: data.subarray(from * size, to * size) };
};

/** Runs preprocessed inputs in pieces and joins the features. */
async function encodeAll(compiled: CompiledFunction, inputs: HostTensorMap): Promise<HostTensor> {
  const count = Object.values(inputs)[0]!.shape[0]!;
  const pieces: HostTensor[] = [];
  for (let from = 0; from < count; from += encodeBatch) {
    const to = Math.min(from + encodeBatch, count);
    const piece = Object.fromEntries(
      Object.entries(inputs).map(([name, tensor]) => [name, rows(tensor, from, to)]),
    );
    pieces.push((await compiled.run(piece)).features!);
  }
  const data = new Float32Array(pieces.reduce((length, piece) => length + piece.data.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    data.set(piece.data, offset);
    offset += piece.data.length;
  }
  return { dtype: 'float32', shape: [count, ...pieces[0]!.shape.slice(1)], data };
}

/** A frozen encoder ready to run; compiled at first use, so that a filled cache costs nothing. */
export class RunningEncoder<Input> implements FeatureEncoder<Input> {
  readonly identity: unknown;
  readonly #pretrained: PretrainedEncoder;
  readonly #engine: Engine;
  readonly #preprocess: (input: Input) => HostTensorMap;
  #compiled: Promise<CompiledFunction> | undefined;

  constructor(
    pretrained: PretrainedEncoder,
    engine: Engine,
    identity: unknown,
    preprocess: (input: Input) => HostTensorMap,
  ) {
    this.#pretrained = pretrained;
    this.#engine = engine;
    this.identity = identity;
    this.#preprocess = preprocess;
  }

  async encode(input: Input): Promise<HostTensor> {
    this.#compiled ??= compileEncoder(this.#pretrained, this.#engine);
    return encodeAll(await this.#compiled, this.#preprocess(input));
  }

  async dispose(): Promise<void> {
    await (await this.#compiled)?.dispose();
    this.#compiled = undefined;
  }
}

/** Frames to features `[frames, size]`. */
export function visualFeatures(
  pretrained: PretrainedEncoder<VisualEncoder>,
  engine: Engine,
): RunningEncoder<Frames> {
  const identity = { ...(pretrained.identity as object), engine: engine.name };
  return new RunningEncoder(pretrained, engine, identity, (frames) => pretrained.encoder.preprocess(frames));
}

/** Audio clips to features `[clips, size]`. */
export function audioFeatures(
  pretrained: PretrainedEncoder<AudioEncoder>,
  engine: Engine,
  policy: WaveformPolicy,
): RunningEncoder<Waveforms> {
  const identity = { ...(pretrained.identity as object), engine: engine.name, policy };
  return new RunningEncoder(pretrained, engine, identity, (clips) =>
    pretrained.encoder.preprocess(clips, policy),
  );
}

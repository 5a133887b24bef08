import type { AudioEncoder, VisualEncoder } from '../../../encoders/encoder.ts';
import { Parameters } from '../../engine/parameters.ts';
import type {
  CompiledFunction,
  Engine,
  HostTensor,
  HostTensorMap,
  WeightSource,
} from '../../engine/types.ts';
import type { ModelFunction } from '../generator-functions.ts';
import { openEncoder, type PretrainedEncoder } from '../pretrained.ts';
import { anyPiece, encodeInPieces, fixedPiece } from './batches.ts';
import type { EncoderInputs, EncoderStart, Modality, OpenEncoder, RunningEncoder } from './open-encoder.ts';

/** An encoder's forward function: preprocessed inputs to `features`. */
export const encoderFunction = ({ encoder, weights }: PretrainedEncoder): ModelFunction => ({
  fn: ({ inputs, weights: tensors }) => ({
    outputs: { features: encoder.forward(new Parameters(tensors), inputs).features },
  }),
  options: { name: `encoder.${encoder.type}`, inputs: encoder.inputs, weights },
});

/** A traced encoder on an engine. */
class CompiledEncoder<Input> implements RunningEncoder<Input> {
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
    this.#compiled ??= this.#compile();
    const compiled = await this.#compiled;
    return encodeInPieces(
      this.#preprocess(input),
      async (piece) => (await compiled.run(piece)).features!,
      this.#engine.fixedSizes ? fixedPiece : anyPiece,
    );
  }

  #compile(): Promise<CompiledFunction> {
    const { fn, options } = encoderFunction(this.#pretrained);
    return this.#engine.compile(fn, options);
  }

  async dispose(): Promise<void> {
    await (await this.#compiled)?.dispose();
    this.#compiled = undefined;
  }
}

const elements = ({ shape }: WeightSource): number => shape.reduce((product, size) => product * size, 1);

/** What visual and audio encoders have in common. */
const common = ({ encoder, weights }: PretrainedEncoder) => ({
  outputDimension: encoder.outputDimension,
  parameterCount: Object.values(weights).reduce((sum, weight) => sum + elements(weight), 0),
  description: null,
});

/** What of an engine shows in features: its name, and the precision where it is not fp32. */
const arithmeticOf = ({ name, precision = 'fp32' }: EncoderStart['engine']): string =>
  precision === 'fp32' ? name : `${name} ${precision}`;

function visual(pretrained: PretrainedEncoder<VisualEncoder>): OpenEncoder<EncoderInputs['visual']> {
  return {
    ...common(pretrained),
    start({ engine }: EncoderStart) {
      const identity = { ...(pretrained.identity as object), engine: arithmeticOf(engine) };
      return new CompiledEncoder(pretrained, engine, identity, (frames) =>
        pretrained.encoder.preprocess(frames),
      );
    },
  };
}

function audio(pretrained: PretrainedEncoder<AudioEncoder>): OpenEncoder<EncoderInputs['audio']> {
  return {
    ...common(pretrained),
    start({ engine, policy }: EncoderStart) {
      const identity = { ...(pretrained.identity as object), engine: arithmeticOf(engine), policy };
      return new CompiledEncoder(pretrained, engine, identity, (clips) =>
        pretrained.encoder.preprocess(clips, policy),
      );
    },
  };
}

/** Opens an encoder of the registry in Hugging Face layout. Errors as of `openEncoder`. */
export const openBuiltIn: {
  readonly [M in Modality]: (type: string, folder: string) => Promise<OpenEncoder<EncoderInputs[M]>>;
} = {
  visual: async (type, folder) => visual(await openEncoder(type, folder, 'visual')),
  audio: async (type, folder) => audio(await openEncoder(type, folder, 'audio')),
};

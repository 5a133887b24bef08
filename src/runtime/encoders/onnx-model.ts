import {
  describeValue,
  type OnnxOutline,
  type OnnxValue,
  readOnnxOutline,
} from '../../engine/onnxruntime/model-outline.ts';
import { onnxruntimeVersion, realTypes, UserModel } from '../../engine/onnxruntime/user-model.ts';
import type { HostTensor, HostTensorMap } from '../../engine/types.ts';
import { InputError } from '../../errors.ts';
import { contentIdentity } from '../../io/checksum.ts';
import { anyPiece, encodeInPieces, type PieceSize } from './batches.ts';
import type { OutputDescription } from './description.ts';
import type { DescriptionFaults } from './description-file.ts';
import type { RunningEncoder } from './open-encoder.ts';

/** An ONNX file whose features are wanted. */
export interface OnnxModel {
  readonly outline: OnnxOutline;
  /** What its features depend on besides input and description; part of cache keys. */
  readonly identity: unknown;
}

/** @throws InputError `ONNX_INVALID`, `ONNX_DATA_OUTSIDE`, `FILE_NOT_FOUND` (its external data included) */
export async function openOnnxModel(file: string): Promise<OnnxModel> {
  const outline = readOnnxOutline(file);
  const contents = await Promise.all([file, ...outline.dataFiles].map(contentIdentity));
  return { outline, identity: { contents, onnxruntime: onnxruntimeVersion } };
}

/** The values of a model in a sentence: `it has a float32 [n, 3] and b int64 [n]`. */
export const listValues = (values: readonly OnnxValue[]): string =>
  values.length === 0 ? 'it has none' : `it has ${values.map(describeValue).join(' and ')}`;

/** Which output holds the features, and how they come out of it. */
export interface FeatureOutput extends OutputDescription {
  /** Length of a feature vector. */
  readonly size: number;
  /** The description or model that says so, for errors. */
  readonly toldBy: string;
}

/**
 * Checks an output against what the model declares.
 * @param size as described, if it is
 * @returns the length of a feature vector, or undefined where something is wrong
 */
export function checkOutput(
  faults: DescriptionFaults,
  { outline }: OnnxModel,
  { name, pooling }: OutputDescription,
  size: number | undefined,
): number | undefined {
  const value = outline.outputs.find((output) => output.name === name);
  if (value === undefined) {
    faults.add('output.name', `"${name}" is no output of ${outline.file}; ${listValues(outline.outputs)}`);
    return undefined;
  }
  const { type, shape } = value;
  if (!realTypes.includes(type)) {
    faults.add('output.name', `${describeValue(value)} is not of type ${realTypes.join(' or ')}`);
  }
  const rank = pooling === 'none' ? 2 : 3;
  if (shape !== undefined && shape.length !== rank) {
    faults.add(
      'output.pooling',
      `"${pooling}" takes ${rank === 2 ? '[n, size]' : '[n, tokens, size]'}, but the output is ${describeValue(value)}`,
    );
    return undefined;
  }
  const declared = shape?.at(-1);
  if (typeof declared === 'number') {
    if (size !== undefined && size !== declared) {
      faults.add('size', `${size}, but the output is ${describeValue(value)}`);
    }
    return declared;
  }
  if (size === undefined) {
    faults.add('size', `missing, and the file does not say it: the output is ${describeValue(value)}`);
  }
  return size;
}

/**
 * One vector an image or clip from what the model gave.
 * @throws InputError `ENCODER_OUTPUT` where it has not the shape that was described
 */
export function pool(given: HostTensor, count: number, output: FeatureOutput): HostTensor {
  const { name, pooling, size, toldBy } = output;
  const { shape, data } = given;
  const rank = pooling === 'none' ? 2 : 3;
  if (shape.length !== rank || shape[0] !== count || shape.at(-1) !== size || data.length === 0) {
    const expected = [count, ...(rank === 2 ? [] : ['tokens']), size];
    throw new InputError(
      'ENCODER_OUTPUT',
      `${toldBy}: the output "${name}" came as [${shape.join(', ')}] where output.pooling "${pooling}" and size ${size} expect [${expected.join(', ')}].`,
    );
  }
  if (pooling === 'none') return given;
  const tokens = pooling === 'first' ? 1 : shape[1]!;
  const pooled = new Float32Array(count * size);
  for (let row = 0; row < count; row++) {
    for (let column = 0; column < size; column++) {
      let sum = 0;
      for (let token = 0; token < tokens; token++) sum += data[(row * shape[1]! + token) * size + column]!;
      pooled[row * size + column] = sum / tokens;
    }
  }
  return { dtype: 'float32', shape: [count, size], data: pooled };
}

export interface OnnxEncoderOptions<Input> {
  readonly identity: unknown;
  readonly model: OnnxModel;
  readonly output: FeatureOutput;
  readonly threads: number | null;
  /** Tensors for the inputs of the model, by name; the first axis counts images or clips. */
  readonly prepare: (input: Input) => HostTensorMap | Promise<HostTensorMap>;
}

/** An encoder whose ONNX file runs in onnxruntime; it is loaded at first use. */
export class OnnxEncoder<Input> implements RunningEncoder<Input> {
  readonly identity: unknown;
  readonly #options: OnnxEncoderOptions<Input>;
  /** The first axis has one size where the model was exported with a fixed one. */
  readonly #pieceSize: PieceSize;
  #session: Promise<UserModel> | undefined;

  constructor(options: OnnxEncoderOptions<Input>) {
    this.identity = options.identity;
    this.#options = options;
    const sizes = options.model.outline.inputs.map(({ shape }) => shape?.[0]);
    const fixed = sizes.find((size): size is number => typeof size === 'number');
    this.#pieceSize = fixed === undefined ? anyPiece : () => fixed;
  }

  async encode(input: Input): Promise<HostTensor> {
    const { model, threads, output, prepare } = this.#options;
    this.#session ??= UserModel.open(model.outline, threads);
    const session = await this.#session;
    return encodeInPieces(
      await prepare(input),
      async (piece) => {
        const count = Object.values(piece)[0]!.shape[0]!;
        return pool(await session.run(piece, output.name), count, output);
      },
      this.#pieceSize,
    );
  }

  async dispose(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await (await session)?.dispose();
  }
}

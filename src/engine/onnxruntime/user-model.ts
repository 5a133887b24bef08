import os from 'node:os';
import * as ort from 'onnxruntime-node';
import { InputError } from '../../errors.ts';
import { float32ToHalf, halfToFloat32 } from '../../io/float16.ts';
import type { HostTensor, HostTensorMap } from '../types.ts';
import type { OnnxOutline } from './model-outline.ts';

/** Part of the identity of whatever it computes. */
export const onnxruntimeVersion: string = ort.env.versions.node ?? ort.env.versions.common;

/** How host tensors become what the model declares; absent are types that no encoder takes. */
const inputTypes: Readonly<Record<string, (data: HostTensor['data']) => ort.Tensor.DataType>> = {
  float32: (data) => (data instanceof Float32Array ? data : Float32Array.from(data)),
  float16: (data) => {
    const halves = new Uint16Array(data.length);
    float32ToHalf(data instanceof Float32Array ? data : Float32Array.from(data), halves);
    return halves;
  },
  int64: (data) => BigInt64Array.from(data as Int32Array, BigInt),
  int32: (data) => Int32Array.from(data),
  bool: (data) => Uint8Array.from(data, (value) => Number(value !== 0)),
};

/** Types of inputs that can be fed. */
export const feedableTypes: readonly string[] = Object.keys(inputTypes);
/** Types that hold pictures, sound and features. */
export const realTypes: readonly string[] = ['float32', 'float16'];

function toHost({ type, dims, data }: ort.Tensor): HostTensor {
  if (type === 'float32') return { dtype: 'float32', shape: dims, data: data as Float32Array };
  // A Float16Array where the JavaScript engine has one, else a Uint16Array: the bits are the same.
  const { buffer, byteOffset, length } = data as Uint16Array;
  const values = new Float32Array(length);
  halfToFloat32(new Uint16Array(buffer as ArrayBuffer, byteOffset, length), values);
  return { dtype: 'float32', shape: dims, data: values };
}

/** An ONNX file of a user in a session of onnxruntime on the CPU. */
export class UserModel {
  readonly #session: ort.InferenceSession;
  readonly #outline: OnnxOutline;

  private constructor(session: ort.InferenceSession, outline: OnnxOutline) {
    this.#session = session;
    this.#outline = outline;
  }

  /**
   * Loads the model, with external data from beside it.
   * @param threads of one operation; null takes all cores
   * @throws InputError `ONNX_UNUSABLE` with what onnxruntime says
   */
  static async open(outline: OnnxOutline, threads: number | null): Promise<UserModel> {
    try {
      const session = await ort.InferenceSession.create(outline.file, {
        executionProviders: ['cpu'],
        intraOpNumThreads: threads ?? os.availableParallelism(),
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
        logSeverityLevel: 3,
      });
      return new UserModel(session, outline);
    } catch (error) {
      throw new InputError(
        'ONNX_UNUSABLE',
        `${outline.file} is not loaded by onnxruntime ${onnxruntimeVersion}: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  /**
   * Runs the model once. Inputs are converted to the types that it declares, a half-precision output to float32.
   * @param inputs one for every input of the outline
   * @param output name of the one that is wanted
   * @throws InputError `ONNX_RUN_FAILED` with the shapes given and what onnxruntime says
   */
  async run(inputs: HostTensorMap, output: string): Promise<HostTensor> {
    try {
      const feeds = Object.fromEntries(
        this.#outline.inputs.map(({ name, type }) => {
          const { data, shape } = inputs[name]!;
          return [
            name,
            new ort.Tensor(type as 'float32', inputTypes[type]!(data) as never, shape as number[]),
          ];
        }),
      );
      return toHost((await this.#session.run(feeds, [output]))[output]!);
    } catch (error) {
      const given = Object.entries(inputs).map(([name, { shape }]) => `${name} [${shape.join(', ')}]`);
      throw new InputError(
        'ONNX_RUN_FAILED',
        `${this.#outline.file} cannot be run with ${given.join(', ')}: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

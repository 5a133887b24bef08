import type { Tensor } from '@tensorflow/tfjs';
import { InputError } from '../errors.ts';
import type { TensorMap } from './types.ts';

/**
 * A view of named tensors below a prefix, so that a layer is written once and finds its own parameters:
 * `scope.at('self_attn').at('q_proj').get('weight')` is `model.layers.0.self_attn.q_proj.weight`.
 */
export class Parameters {
  readonly tensors: TensorMap;
  readonly prefix: string;

  constructor(tensors: TensorMap, prefix = '') {
    this.tensors = tensors;
    this.prefix = prefix;
  }

  /** The view one or more levels down; `path` may hold dots. */
  at(path: string | number): Parameters {
    return new Parameters(this.tensors, this.name(String(path)));
  }

  /** The full name of a parameter of this view. */
  name(path: string): string {
    return this.prefix === '' ? path : `${this.prefix}.${path}`;
  }

  has(path: string): boolean {
    return this.tensors[this.name(path)] !== undefined;
  }

  /** @throws InputError `PARAMETER_MISSING` */
  get(path: string): Tensor {
    const tensor = this.tensors[this.name(path)];
    if (tensor === undefined) {
      throw new InputError(
        'PARAMETER_MISSING',
        `The model needs a tensor named "${this.name(path)}", which its weights do not contain.`,
      );
    }
    return tensor;
  }
}

import { RandomGenerator } from '../src/engine/random.ts';
import type { HostTensorMap } from '../src/engine/types.ts';
import type { TensorShapes } from './encoder.ts';

/** How a fresh tensor is drawn. */
export type Initialiser =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'normal'; readonly std: number }
  /** Evenly over -bound to bound. */
  | { readonly kind: 'uniform'; readonly bound: number };

export const constant = (value: number): Initialiser => ({ kind: 'constant', value });
export const normal = (std: number): Initialiser => ({ kind: 'normal', std });
export const uniform = (bound: number): Initialiser => ({ kind: 'uniform', bound });

/** The tensors of a module by name: the one list from which both shapes and fresh weights are made. */
export type TensorPlan = Record<string, { readonly shape: readonly number[]; readonly init: Initialiser }>;

/** A layer norm as PyTorch starts it. */
export function normPlan(name: string, size: number): TensorPlan {
  return {
    [`${name}.weight`]: { shape: [size], init: constant(1) },
    [`${name}.bias`]: { shape: [size], init: constant(0) },
  };
}

/** A linear layer without bias at the start. */
export function densePlan(name: string, outputs: number, inputs: number, init: Initialiser): TensorPlan {
  return {
    [`${name}.weight`]: { shape: [outputs, inputs], init },
    [`${name}.bias`]: { shape: [outputs], init: constant(0) },
  };
}

export function tensorShapes(plan: TensorPlan): TensorShapes {
  return Object.fromEntries(Object.entries(plan).map(([name, { shape }]) => [name, shape]));
}

function draw(init: Initialiser, count: number, random: RandomGenerator): Float32Array {
  switch (init.kind) {
    case 'constant':
      return new Float32Array(count).fill(init.value);
    case 'normal':
      return random.normalFloat32(count, 0, init.std);
    case 'uniform':
      return random.uniformFloat32(count, -init.bound, init.bound);
  }
}

/** Fresh float32 tensors. Each depends on the seed, its own name and its shape only. */
export function drawTensors(plan: TensorPlan, seed: number): HostTensorMap {
  const random = new RandomGenerator(seed);
  return Object.fromEntries(
    Object.entries(plan).map(([name, { shape, init }]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [name, { dtype: 'float32', shape, data: draw(init, count, random.split(name)) }];
    }),
  );
}

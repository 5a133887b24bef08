import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ropeTables, rotate } from '../../model/attention.ts';
import { rmsNorm, swiGlu } from '../../model/decoder.ts';
import { crossEntropy, supervisedPositions } from '../../model/loss.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { TensorMap } from '../../src/engine/types.ts';
import { int32 } from '../support/decoder.ts';
import { maxAbsDifference, toTensor } from '../support/fixture.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const random = new RandomGenerator(31);
const normal = (name: string, shape: number[]) =>
  tf.tensor(random.split(name).normalFloat32(tf.util.sizeFromShape(shape)), shape);

/** Weights each element of an output differently, so that no error cancels in the sum. */
const weighted = (x: tf.Tensor): tf.Scalar => tf.sum(tf.mul(x, normal('output weights', x.shape)));

/** Central differences in float32: half a step is 1e-2, so errors are about 1e-4 of values near 1. */
function expectGradients(fn: (tensors: TensorMap) => tf.Scalar, tensors: TensorMap): void {
  const { gradients } = valueAndGradients(fn, tensors);
  for (const [name, tensor] of Object.entries(tensors)) {
    const values = Array.from(tensor.dataSync());
    const numeric = values.map((_, i) => {
      const at = (delta: number) => {
        const moved = tf.tensor(
          values.map((value, j) => (i === j ? value + delta : value)),
          tensor.shape,
        );
        return fn({ ...tensors, [name]: moved }).dataSync()[0]!;
      };
      return (at(1e-2) - at(-1e-2)) / 2e-2;
    });
    const scale = Math.max(...numeric.map(Math.abs));
    const difference = maxAbsDifference(gradients[name]!.dataSync(), numeric);
    expect(difference / scale, `gradient of ${name}`).toBeLessThan(2e-3);
  }
}

describe('own gradients against finite differences', () => {
  it('rmsNorm', () => {
    expectGradients(({ x, weight }) => weighted(rmsNorm(new Parameters({ weight: weight! }), x!, 0.1)), {
      x: normal('x', [3, 6]),
      weight: normal('weight', [6]),
    });
  });

  it('swiGlu', () => {
    expectGradients(({ gate, up }) => weighted(swiGlu(gate!, up!)), {
      gate: normal('gate', [3, 5]),
      up: normal('up', [3, 5]),
    });
  });

  it('rotate', () => {
    const { cos, sin } = ropeTables({ headDim: 6, ropeTheta: 10 }, [3, 4, 5, 0]);
    expectGradients(({ x }) => weighted(rotate(x!, toTensor(cos), toTensor(sin))), {
      x: normal('x', [2, 1, 4, 6]),
    });
  });

  it('crossEntropy, with weights', () => {
    const targets = tf.tensor1d([2, 0, 4, 2], 'int32');
    expectGradients(({ logits }) => crossEntropy(logits!, targets, tf.tensor1d([1, 0.5, 2, 0])).lossSum, {
      logits: normal('logits', [4, 5]),
    });
  });

  it('rows, with one taken twice', () => {
    expectGradients(({ x }) => weighted(tf.gather(x!, tf.tensor1d([2, 0, 2], 'int32'))), {
      x: normal('x', [4, 3]),
    });
  });
});

describe('loss', () => {
  it('is finite and exact for scores that overflow exponentials', () => {
    const { tokenLoss } = crossEntropy(
      tf.tensor2d([
        [1000, 0, -1000],
        [-3000, -3000, -3000],
      ]),
      tf.tensor1d([1, 2], 'int32'),
      tf.tensor1d([1, 1]),
    );
    expect(maxAbsDifference(tokenLoss.dataSync(), [1000, Math.log(3)])).toBeLessThan(1e-4);
  });

  it('takes the rows before labels, and no row across samples', () => {
    const labels = int32([7, -100, 8, 9, 5, -100, -100, 6], [2, 4]);
    expect(supervisedPositions(labels)).toEqual({
      positions: Int32Array.of(1, 2, 6),
      targets: Int32Array.of(8, 9, 6),
    });
  });
});

describe('valueAndGradients', () => {
  it('gives null where the value does not depend on a parameter, even for all of them', () => {
    const parameters = { used: tf.scalar(3), unused: tf.scalar(4) };
    const { value, gradients } = valueAndGradients(({ used }) => tf.square(used!) as tf.Scalar, parameters);
    expect(value.dataSync()[0]).toBe(9);
    expect(gradients.used!.dataSync()[0]).toBe(6);
    expect(gradients.unused).toBeNull();
    expect(valueAndGradients(() => tf.scalar(1), parameters).gradients).toEqual({ used: null, unused: null });
  });
});

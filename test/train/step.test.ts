import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { openSafetensors } from '../../src/io/safetensors.ts';
import { createTrainState, decays, TrainStep } from '../../train/step.ts';
import { fixturePath, readJson } from '../support/fixture.ts';

interface Golden {
  readonly variants: Readonly<
    Record<string, { param_groups: readonly { weight_decay: number; names: readonly string[] }[] }>
  >;
}

describe('weight decay', () => {
  it('falls on the tensors that the published optimizer groups name', async () => {
    const folder = fixturePath('affectgpt_reference');
    const { variants } = (await readJson(`${folder}/golden.json`)) as Golden;
    let checked = 0;
    for (const [variant, { param_groups: groups }] of Object.entries(variants)) {
      const { entries } = await openSafetensors(`${folder}/variant-${variant}.safetensors`);
      for (const { weight_decay: decay, names } of groups) {
        for (const name of names) {
          const { shape } = entries.get(`param/${name}`)!;
          expect(decays(name, shape), `${variant}: ${name}`).toBe(decay > 0);
          checked++;
        }
      }
    }
    expect(Object.keys(variants)).toHaveLength(15);
    expect(checked).toBeGreaterThan(400);
  });
});

const filled = (shape: number[], value: number): HostTensor => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value),
});
const parameters = {
  'used.weight': filled([2, 3], 2),
  'used.bias': filled([3], 2),
  'unused.weight': filled([2, 2], 2),
};

/** Parameters after one step of learning rate 0.1 on a loss that is linear in weight and bias. */
async function afterOneStep(settings: {
  weightDecay: number;
  decayUnusedParameters?: boolean;
  clipNorm?: number;
}) {
  const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
  const step = new TrainStep(engine, {
    name: 'linear',
    lossSum: ({ inputs, parameters: p }) =>
      tf.sum(tf.add(tf.matMul(inputs.x!, p['used.weight']!), p['used.bias']!)) as tf.Scalar,
    inputs: { x: { dtype: 'float32', shape: ['n', 2] } },
    trainable: Object.fromEntries(Object.entries(parameters).map(([name, { shape }]) => [name, shape])),
    weights: {},
    // A large eps, so that the size of the gradient shows in the step.
    optimizer: { betas: [0.9, 0.999], eps: 1, weightDecay: settings.weightDecay },
    clipNorm: settings.clipNorm ?? null,
    decayUnusedParameters: settings.decayUnusedParameters ?? false,
  });
  const state = createTrainState(engine, parameters);
  const result = await step.run(state, [{ x: filled([4, 2], 1) }], {
    supervisedTokens: 4,
    learningRate: 0.1,
    step: 1,
  });
  const values = await state.read(Object.keys(parameters));
  await step.dispose();
  return { ...result, value: (name: keyof typeof parameters) => values[name]!.data[0]! };
}

describe('one step', () => {
  it('decays weights, not biases, and leaves alone what the loss does not reach', async () => {
    const plain = await afterOneStep({ weightDecay: 0 });
    const decayed = await afterOneStep({ weightDecay: 0.5 });
    expect(plain.value('used.weight') - decayed.value('used.weight')).toBeCloseTo(0.1 * 0.5 * 2, 5);
    expect(decayed.value('used.bias')).toBe(plain.value('used.bias'));
    expect(decayed.value('unused.weight')).toBe(2);
  });

  it('decays what the loss does not reach where that is asked for', async () => {
    const { value } = await afterOneStep({ weightDecay: 0.5, decayUnusedParameters: true });
    expect(value('unused.weight')).toBeCloseTo(2 - 0.1 * 0.5 * 2, 5);
  });

  it('reports the norm before clipping and steps by the clipped gradient', async () => {
    const plain = await afterOneStep({ weightDecay: 0 });
    // Nine gradients of 1: each of six weights and three biases, averaged over the supervised tokens.
    expect(plain.loss).toBeCloseTo((4 * 3 * (2 * 2 + 2)) / 4, 5);
    expect(plain.gradNorm).toBeCloseTo(3, 5);
    expect(2 - plain.value('used.weight')).toBeCloseTo(0.1 / 2, 5);
    const clipped = await afterOneStep({ weightDecay: 0, clipNorm: 0.3 });
    expect(clipped.gradNorm).toBeCloseTo(3, 5);
    expect(2 - clipped.value('used.weight')).toBeCloseTo((0.1 * 0.1) / 1.1, 5);
  });
});

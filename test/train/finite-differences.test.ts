import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import type { HostTensorMap } from '../../src/engine/types.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import { ValidationLoss } from '../../train/validation/loss.ts';
import { compilingEngines } from '../support/compiling-engines.ts';
import { watchSizes } from '../support/sizes-asked.ts';
import { makeTinyTraining, openTinyTraining } from '../support/tiny-training.ts';

const training = await makeTinyTraining(3);
// Batches as xla gets them: with sizes rounded up.
const { engine: encoding } = watchSizes(await createEngine({ type: 'onnxruntime', threads: 1 }), true);
const { task } = await openTinyTraining(training.config(), encoding);
const norm = (tensors: HostTensorMap): number =>
  Math.hypot(...Object.values(tensors).map(({ data }) => Math.hypot(...data)));

/** Tensors of the same kind in all layers are moved together. */
const kindOf = (name: string): string => name.replace(/\.\d+\./, '.*.');

async function* once<T>(one: T): AsyncGenerator<T> {
  yield one;
}

describe.each(compilingEngines)('the gradient of the whole loss, on %s', (type) => {
  it('equals finite differences along the tensors of each kind, with dropout', async () => {
    const engine = await createEngine({ type, threads: 1, precision: 'fp32' });
    const step = new TrainStep(engine, task.stepOptions);
    const forward = new ValidationLoss(engine, task.stepOptions);
    const names = task.names.slice(0, 2);
    const batch = { ...(await task.loadBatch(names, { epoch: 1, step: 1 })), names };
    const state = createTrainState(engine, task.initialParameters, { accumulation: 2 });
    const { gradients } = await step.gradients(state, [batch.inputs], batch.supervisedTokens);
    const largest = norm(gradients);
    const checked: string[] = [];
    for (const kind of new Set(Object.keys(gradients).map(kindOf))) {
      const some = Object.fromEntries(Object.entries(gradients).filter(([name]) => kindOf(name) === kind));
      const slope = norm(some);
      // The loss, a float32 number, would show smaller ones only where they had moved far.
      if (slope < largest / 30) continue;
      const distance = 2e-3 / slope;
      /** So far along the gradient. */
      const lossAt = async (way: number): Promise<number> => {
        for (const [name, { data }] of Object.entries(some)) {
          const before = task.initialParameters[name]!;
          const moved = Float32Array.from(before.data, (value, i) => value + (way * data[i]!) / slope);
          await state.write({ [name]: { ...before, data: moved } });
        }
        return (await forward.mean(state, once(batch), () => false))!.loss;
      };
      const numeric = ((await lossAt(distance)) - (await lossAt(-distance))) / (2 * distance);
      expect(Math.abs(numeric / slope - 1), kind).toBeLessThan(2e-3);
      for (const name of Object.keys(some)) await state.write({ [name]: task.initialParameters[name]! });
      checked.push(kind);
    }
    expect(checked.length).toBeGreaterThan(20);
    state.dispose();
    await step.dispose();
    await forward.dispose();
  }, 180_000);
});

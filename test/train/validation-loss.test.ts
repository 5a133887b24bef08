import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import { createTrainState } from '../../train/step.ts';
import { ValidationLoss } from '../../train/validation/loss.ts';
import { tinyLineTask } from './tiny-tasks.ts';

const engine = await createEngine({ type: 'onnxruntime', threads: 1 });

describe('the loss of held-out samples', () => {
  const { initialParameters, stepOptions, loadBatch, names } = tinyLineTask(7);
  const weight = Float32Array.of(0.5, -1, 2);
  const parameters = { weight: { ...initialParameters.weight!, data: weight } };
  async function* batches(...groups: (readonly string[])[]) {
    for (const group of groups) yield { ...(await loadBatch(group, { epoch: 0, step: 0 })), names: group };
  }
  const never = () => false;

  it('is the mean over all tokens, however samples are batched, and only reads the state', async () => {
    let sum = 0;
    for (const name of names.slice(0, 4)) {
      const { x, y } = (await loadBatch([name], { epoch: 0, step: 0 })).inputs;
      sum += (weight.reduce((dot, w, i) => dot + w * x!.data[i]!, 0) - y!.data[0]!) ** 2;
    }
    const loss = new ValidationLoss(engine, stepOptions);
    const state = createTrainState(engine, parameters);
    const before = await state.read();
    const apart = await loss.mean(state, batches(names.slice(0, 3), names.slice(3, 4)), never);
    expect(apart).toEqual({ loss: expect.closeTo(sum / 4, 5), supervisedTokens: 4 });
    const together = await loss.mean(state, batches(names.slice(0, 4)), never);
    expect(together!.loss).toBeCloseTo(apart!.loss, 6);
    expect(await state.read()).toEqual(before);
    state.dispose();
    await loss.dispose();
  });

  it('is given up between batches', async () => {
    const loss = new ValidationLoss(engine, stepOptions);
    const state = createTrainState(engine, parameters);
    let asked = 0;
    expect(await loss.mean(state, batches(['point-0'], ['point-1']), () => ++asked > 1)).toBeUndefined();
    expect(asked).toBe(2);
    state.dispose();
    await loss.dispose();
  });

  it('says which samples give no number', async () => {
    const bad = tinyLineTask(3, 'point-1');
    const loss = new ValidationLoss(engine, bad.stepOptions);
    const state = createTrainState(engine, parameters);
    const loaded = async function* () {
      yield { ...(await bad.loadBatch(bad.names, { epoch: 0, step: 0 })), names: bad.names };
    };
    await expect(loss.mean(state, loaded(), never)).rejects.toMatchObject({
      code: 'VALIDATION_LOSS_NOT_FINITE',
      exitCode: 3,
      message: expect.stringContaining('point-0, point-1, point-2 is NaN'),
    });
    state.dispose();
    await loss.dispose();
  });
});

import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { causalBias, ropeTables } from '../../model/decoder.ts';
import { placeSlots } from '../../model/splice.ts';
import { sizeOf } from '../../src/export/graphs/arithmetic.ts';
import { causalBiasGraph, placeSlotsGraph, ropeGraph } from '../../src/export/graphs/decoder.ts';
import { openProgram } from '../support/onnx-program.ts';

const int64 = (values: ArrayLike<number>, dims: readonly number[]) =>
  new ort.Tensor('int64', BigInt64Array.from(Array.from(values), BigInt), dims);
const int32 = (values: readonly number[], shape: readonly number[]) =>
  ({ dtype: 'int32', shape, data: Int32Array.from(values) }) as const;

describe('what the exported decoder computes before the model', () => {
  it('are the rope tables of training', async () => {
    const config = { headDim: 8, ropeTheta: 1e6 };
    const positions = [0, 0, 1, 2, 3, 500, 501, 32_767];
    const expected = ropeTables(config, positions, 2);
    for (const part of ['cos', 'sin'] as const) {
      const run = await openProgram(
        [{ name: 'positions', type: 'int64', shape: ['batch', 'tokens'] }],
        { type: 'float32', shape: ['batch', 1, 'tokens', 8] },
        (emitter) => ropeGraph(emitter, 'positions', config)[part],
      );
      const { data, dims } = await run({ positions: int64(positions, [2, 4]) });
      expect(dims).toEqual([2, 1, 4, 8]);
      (data as Float32Array).forEach((value, i) => {
        expect(Math.abs(value - expected[part].data[i]!)).toBeLessThan(1e-7);
      });
    }
  });

  it.each([0, 1, 3])('is the mask of training, %i tokens before', async (past) => {
    const mask = int32([0, 0, 1, 1, 1, 1, 1, 1, 1, 1], [2, 5]);
    const run = await openProgram(
      [
        { name: 'mask', type: 'int64', shape: ['batch', 'total'] },
        { name: 'ids', type: 'int64', shape: ['batch', 'tokens'] },
      ],
      { type: 'float32', shape: ['batch', 1, 'tokens', 'total'] },
      (emitter) => causalBiasGraph(emitter, 'mask', sizeOf(emitter, 'ids', 1)),
    );
    const tokens = 5 - past;
    const feeds = { mask: int64(mask.data, [2, 5]), ids: int64(new Int32Array(2 * tokens), [2, tokens]) };
    const expected = causalBias(mask, past);
    const { data, dims } = await run(feeds);
    expect(dims).toEqual(expected.shape);
    expect(data).toEqual(expected.data);
  });

  it('are the places of the vectors, whatever their order in the text', async () => {
    const runs = [
      { id: 90, tokens: 2 },
      { id: 91, tokens: 1 },
    ];
    const ids = int32([5, 91, 6, 90, 90, 7, 0, 90, 90, 8, 91, 9], [2, 6]);
    const expected = placeSlots(ids, runs);
    for (const part of ['inputIds', 'slotIndex', 'isSlot'] as const) {
      const type = part === 'isSlot' ? 'float32' : 'int32';
      const run = await openProgram(
        [{ name: 'ids', type: 'int64', shape: ['batch', 'tokens'] }],
        { type, shape: ['batch', 'tokens'] },
        (emitter) => placeSlotsGraph(emitter, 'ids', runs)[part],
      );
      expect((await run({ ids: int64(ids.data, [2, 6]) })).data, part).toEqual(expected[part].data);
    }
  });
});

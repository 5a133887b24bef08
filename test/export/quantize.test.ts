import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { encodeModel } from '../../src/engine/onnxruntime/model-file.ts';
import type { ExportGraph, ExportInitializer } from '../../src/export/graphs/model-graph.ts';
import {
  blockSize,
  eightBits,
  fourBits,
  quantizeProducts,
  quantizeToInt4,
  quantizeToInt8,
} from '../../src/export/quantize.ts';
import { Random } from '../../src/quickstart/random.ts';

const random = new Random(1, 'quantize');
const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal());
const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** `x W^T`, and rows of W. */
function tiedGraph(weights: Float32Array, rows: number, columns: number): ExportGraph {
  return {
    name: 'tied',
    nodes: [
      { op: 'Gemm', inputs: ['x', 'W'], outputs: ['y'], attributes: { transA: 0, transB: 1 } },
      { op: 'Gather', inputs: ['W', 'ids'], outputs: ['picked'], attributes: { axis: 0 } },
    ],
    initializers: [
      {
        name: 'W',
        type: 'float32',
        shape: [rows, columns],
        data: { bytes: weights.byteLength, read: async () => bytes(weights) },
      },
    ],
    inputs: [
      { name: 'x', type: 'float32', shape: ['n', columns] },
      { name: 'ids', type: 'int64', shape: ['k'] },
    ],
    outputs: [
      { name: 'y', type: 'float32', shape: ['n', rows] },
      { name: 'picked', type: 'float32', shape: ['k', columns] },
    ],
  };
}

async function runGraph(graph: ExportGraph, x: Float32Array, columns: number) {
  const loaded = graph.initializers.map(async (initializer: ExportInitializer) => ({
    ...initializer,
    data: initializer.data instanceof Uint8Array ? initializer.data : await initializer.data.read(),
  }));
  const model = encodeModel({ ...graph, initializers: await Promise.all(loaded) }, 21);
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  return session.run({
    x: new ort.Tensor('float32', x, [x.length / columns, columns]),
    ids: new ort.Tensor('int64', BigInt64Array.of(3n), [1]),
  });
}

describe.each([
  ['8 bits', eightBits, quantizeToInt8, 1 / 127],
  ['4 bits', fourBits, quantizeToInt4, 1 / 7],
] as const)('a matrix in %s', (name, storage, quantize, step) => {
  it.each([
    [6, 64],
    [5, 40],
    [7, 16],
  ])(
    '[%i, %i] multiplies as its rounded numbers do, and its rows can still be picked',
    async (rows, columns) => {
      const weights = normal(rows * columns);
      const x = normal(3 * columns);
      const { codes, scales } = quantize(weights, rows, columns);
      const blocks = Math.ceil(columns / blockSize);
      const rounded = weights.map((value, i) => {
        const [row, column] = [Math.floor(i / columns), i % columns];
        const at = row * blocks + Math.floor(column / blockSize);
        const byte = codes[name === '8 bits' ? i : (at * blockSize + (column % blockSize)) >> 1]!;
        const code =
          name === '8 bits' ? (byte << 24) >> 24 : ((column % 2 === 0 ? byte : byte >> 4) & 15) - 8;
        const stored = code * scales[at]!;
        const largest = Math.max(
          ...weights
            .subarray(row * columns, (row + 1) * columns)
            .subarray(Math.floor(column / blockSize) * blockSize)
            .subarray(0, blockSize)
            .map(Math.abs),
        );
        // Half a step, and what a narrower scale cuts off at the ends.
        expect(Math.abs(stored - value)).toBeLessThanOrEqual(
          largest * (name === '8 bits' ? step / 2 + 1e-6 : 0.31),
        );
        return stored;
      });
      const graph = quantizeProducts(tiedGraph(weights, rows, columns), storage);
      const { y, picked } = await runGraph(graph, x, columns);
      expect(picked!.data).toEqual(weights.subarray(3 * columns, 4 * columns));
      (y!.data as Float32Array).forEach((value, i) => {
        const [n, row] = [Math.floor(i / rows), i % rows];
        let sum = 0;
        for (let k = 0; k < columns; k++) sum += x[n * columns + k]! * rounded[row * columns + k]!;
        expect(Math.abs(value - sum)).toBeLessThan(1e-4);
      });
    },
  );
});

describe('rounding', () => {
  it('keeps zeros, and exact multiples of the scale', () => {
    const values = Float32Array.from({ length: 64 }, (_, i) => (i < 32 ? 0 : (i % 16) - 8));
    const { codes, scales } = quantizeToInt4(values, 1, 64);
    expect([...scales]).toEqual([0, 1]);
    expect([...codes.subarray(0, 16)]).toEqual(Array(16).fill(0x88));
    expect([...codes.subarray(16, 20)]).toEqual([0x10, 0x32, 0x54, 0x76]);
  });
});

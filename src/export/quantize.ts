import type { OnnxNode } from '../engine/onnxruntime/model-file.ts';
import {
  bytesOf,
  type ExportGraph,
  type ExportInitializer,
  elementsOf,
  type LazyBytes,
} from './graphs/model-graph.ts';

/** Numbers of a row that share a scale. */
export const blockSize = 32;

/** A matrix `[rows, columns]` as whole numbers, each row in blocks with a scale of their own. */
export interface QuantizedMatrix {
  /** int8 `[rows, columns]`, or two 4-bit numbers a byte (the first one low), `[rows, blocks, blockSize / 2]`. */
  readonly codes: Uint8Array;
  /** `[rows, blocks]` */
  readonly scales: Float32Array;
}

/** The number of a block with the largest magnitude. */
function extreme(values: Float32Array, from: number, to: number): number {
  let largest = 0;
  for (let i = from; i < to; i++) if (Math.abs(values[i]!) > Math.abs(largest)) largest = values[i]!;
  return largest;
}

/** Rounds to -127 ... 127 times a scale. */
export function quantizeToInt8(values: Float32Array, rows: number, columns: number): QuantizedMatrix {
  const blocks = Math.ceil(columns / blockSize);
  const codes = new Int8Array(rows * columns);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const from = row * columns + block * blockSize;
      const to = Math.min(from + blockSize, (row + 1) * columns);
      const scale = Math.fround(Math.abs(extreme(values, from, to)) / 127);
      scales[row * blocks + block] = scale;
      if (scale === 0) continue;
      for (let i = from; i < to; i++) codes[i] = Math.round(values[i]! / scale);
    }
  }
  return { codes: bytesOf(codes), scales };
}

/** Scales that are tried for a block of 4-bit numbers, as shares of the one that reaches its extreme. */
const triedShares = [1, 0.95, 0.9, 0.85, 0.8];

const clipToFourBits = (value: number): number => Math.min(Math.max(Math.round(value) + 8, 0), 15);

/** Sum of squared errors of a block in 4 bits. */
function fourBitError(values: Float32Array, from: number, to: number, scale: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (values[i]! - (clipToFourBits(values[i]! / scale) - 8) * scale) ** 2;
  return sum;
}

/**
 * Rounds to -8 ... 7 times a scale, stored with 8 added. The extreme of a block becomes -8, so that the whole range is used;
 * of a few scales below that the one with the least squared error is taken.
 */
export function quantizeToInt4(values: Float32Array, rows: number, columns: number): QuantizedMatrix {
  const blocks = Math.ceil(columns / blockSize);
  const zero = 8;
  // What fills up the last block is zero too.
  const codes = new Uint8Array((rows * blocks * blockSize) / 2).fill(zero | (zero << 4));
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const from = row * columns + block * blockSize;
      const to = Math.min(from + blockSize, (row + 1) * columns);
      const widest = extreme(values, from, to) / -8;
      if (widest === 0) continue;
      let [scale, least] = [0, Number.POSITIVE_INFINITY];
      for (const share of triedShares) {
        const tried = Math.fround(widest * share);
        const error = tried === 0 ? Number.POSITIVE_INFINITY : fourBitError(values, from, to, tried);
        if (error < least) [scale, least] = [tried, error];
      }
      if (scale === 0) continue;
      scales[row * blocks + block] = scale;
      const begin = ((row * blocks + block) * blockSize) / 2;
      for (let i = from; i < to; i++) {
        const code = clipToFourBits(values[i]! / scale);
        const at = begin + ((i - from) >> 1);
        codes[at] = (i - from) % 2 === 0 ? (codes[at]! & 0xf0) | code : (codes[at]! & 0x0f) | (code << 4);
      }
    }
  }
  return { codes, scales };
}

/** Quantizes once for the two tensors that are written of it, and keeps the result no longer than that. */
function parts(
  source: LazyBytes,
  quantize: (values: Float32Array) => QuantizedMatrix,
): Record<keyof QuantizedMatrix, () => Promise<Uint8Array>> {
  let made: Promise<QuantizedMatrix> | undefined;
  const taken = new Set<string>();
  const take = async (part: keyof QuantizedMatrix): Promise<Uint8Array> => {
    made ??= source
      .read()
      .then(({ buffer, byteOffset, byteLength }) =>
        quantize(new Float32Array(buffer, byteOffset, byteLength / 4)),
      );
    const matrix = await made;
    taken.add(part);
    if (taken.size === 2) {
      made = undefined;
      taken.clear();
    }
    return bytesOf(matrix[part]);
  };
  return { codes: () => take('codes'), scales: () => take('scales') };
}

/** How one matrix is stored, and what takes the place of the product with it. */
export type Storage = (weight: ExportInitializer & { readonly data: LazyBytes }) => {
  readonly initializers: ExportInitializer[];
  readonly product: (gemm: OnnxNode) => OnnxNode[];
};

/** Eight bits, made float32 again by the standard's blocked DequantizeLinear (opset 21). */
export const eightBits: Storage = ({ name, shape, data }) => {
  const [rows, columns] = shape as [number, number];
  const blocks = Math.ceil(columns / blockSize);
  const { codes, scales } = parts(data, (values) => quantizeToInt8(values, rows, columns));
  const names = { codes: `${name}:int8`, scales: `${name}:scale`, values: `${name}:dequantized` };
  return {
    initializers: [
      { name: names.codes, type: 'int8', shape, data: { bytes: rows * columns, read: codes } },
      {
        name: names.scales,
        type: 'float32',
        shape: [rows, blocks],
        data: { bytes: rows * blocks * 4, read: scales },
      },
    ],
    product: (gemm) => [
      {
        op: 'DequantizeLinear',
        inputs: [names.codes, names.scales],
        outputs: [names.values],
        attributes: { axis: 1, block_size: blockSize },
      },
      { ...gemm, inputs: [gemm.inputs[0]!, names.values] },
    ],
  };
};

/** Four bits, multiplied as they are by onnxruntime's MatMulNBits. */
export const fourBits: Storage = ({ name, shape, data }) => {
  const [rows, columns] = shape as [number, number];
  const blocks = Math.ceil(columns / blockSize);
  const { codes, scales } = parts(data, (values) => quantizeToInt4(values, rows, columns));
  const names = { codes: `${name}:int4`, scales: `${name}:scale` };
  return {
    initializers: [
      {
        name: names.codes,
        type: 'uint8',
        shape: [rows, blocks, blockSize / 2],
        data: { bytes: (rows * blocks * blockSize) / 2, read: codes },
      },
      {
        name: names.scales,
        type: 'float32',
        shape: [rows, blocks],
        data: { bytes: rows * blocks * 4, read: scales },
      },
    ],
    product: ({ inputs, outputs }) => [
      {
        op: 'MatMulNBits',
        domain: 'com.microsoft',
        inputs: [inputs[0]!, names.codes, names.scales],
        outputs,
        attributes: { K: columns, N: rows, bits: 4, block_size: blockSize },
      },
    ],
  };
};

/** `x W^T` with W as Hugging Face stores it. */
const isProductWith = (node: OnnxNode, weight: string): boolean =>
  node.op === 'Gemm' &&
  node.inputs.length === 2 &&
  node.inputs[1] === weight &&
  node.inputs[0] !== weight &&
  node.attributes?.transB === 1 &&
  node.attributes.transA !== 1;

/**
 * Stores the matrices of linear layers as whole numbers. A table that is also looked up in (tied embeddings) stays beside
 * its quantized form; what is used in other ways stays as it is.
 */
export function quantizeProducts(graph: ExportGraph, storage: Storage): ExportGraph {
  const products = new Map<OnnxNode, OnnxNode[]>();
  const initializers = graph.initializers.flatMap((initializer): ExportInitializer[] => {
    const { name, type, shape, data } = initializer;
    if (data instanceof Uint8Array || type !== 'float32' || shape.length !== 2) return [initializer];
    const users = graph.nodes.filter(({ inputs }) => inputs.includes(name));
    const gemms = users.filter((node) => isProductWith(node, name));
    if (gemms.length === 0 || elementsOf(shape) === 0) return [initializer];
    const stored = storage({ ...initializer, data });
    gemms.forEach((gemm, i) => {
      const nodes = stored.product(gemm);
      // What is dequantized for one product serves all.
      products.set(gemm, i === 0 ? nodes : nodes.slice(-1));
    });
    return users.length > gemms.length ? [initializer, ...stored.initializers] : stored.initializers;
  });
  return { ...graph, initializers, nodes: graph.nodes.flatMap((node) => products.get(node) ?? [node]) };
}

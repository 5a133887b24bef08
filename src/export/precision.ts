import type { OnnxNode } from '../engine/onnxruntime/model-file.ts';
import { onnxElementType, opset } from '../engine/onnxruntime/model-file.ts';
import { bytesOf, type ExportGraph, type ExportInitializer, elementsOf } from './graphs/model-graph.ts';
import { toHalf } from './half.ts';
import type { Precision } from './manifest.ts';
import { blockSize, eightBits, fourBits, quantizeProducts, type Storage } from './quantize.ts';

/** Changes how the weights of a graph are stored; what the graph takes and gives stays. */
export type PrecisionPass = (graph: ExportGraph) => ExportGraph;

/** Matrices and larger tensors; vectors (norms, biases) are small and stay as they are. */
const isMatrix = ({ data, shape, type }: ExportInitializer): boolean =>
  !(data instanceof Uint8Array) && type === 'float32' && shape.length >= 2;

function halved(initializer: ExportInitializer): ExportInitializer {
  const { data, name, shape } = initializer;
  if (data instanceof Uint8Array) return initializer;
  return {
    ...initializer,
    type: 'float16',
    data: {
      bytes: elementsOf(shape) * 2,
      async read() {
        const { buffer, byteOffset, byteLength } = await data.read();
        const values = new Float32Array(buffer, byteOffset, byteLength / 4);
        return bytesOf(toHalf(name, values, '--precision fp32'));
      },
    },
  };
}

/**
 * Stores matrices as float16. They are cast to float32 where they are used, so that all arithmetic stays in float32; rows
 * of a table (embeddings) are picked first and cast afterwards.
 */
const storeAsHalf: PrecisionPass = (graph) => {
  const matrices = new Set(graph.initializers.filter(isMatrix).map(({ name }) => name));
  const single = onnxElementType('float32');
  const castName = (name: string): string => `${name}:float32`;
  const cast = (input: string, output: string): OnnxNode => ({
    op: 'Cast',
    inputs: [input],
    outputs: [output],
    attributes: { to: single },
  });
  const wanted = new Set<string>();
  const nodes = graph.nodes.flatMap((node): OnnxNode[] => {
    const [first] = node.inputs;
    if (node.op === 'Gather' && matrices.has(first!)) {
      const [output] = node.outputs;
      const rows = `${output}:float16`;
      return [{ ...node, outputs: [rows] }, cast(rows, output!)];
    }
    const inputs = node.inputs.map((name) => {
      if (!matrices.has(name)) return name;
      wanted.add(name);
      return castName(name);
    });
    return [{ ...node, inputs }];
  });
  return {
    ...graph,
    nodes: [...[...wanted].map((name) => cast(name, castName(name))), ...nodes],
    initializers: graph.initializers.map((initializer) =>
      matrices.has(initializer.name) ? halved(initializer) : initializer,
    ),
  };
};

/** Linear layers as whole numbers, all other matrices as float16. Fusion modules are small, and what they make is spliced in as it is. */
const quantized =
  (storageOf: (graph: string) => Storage): PrecisionPass =>
  (graph) =>
    storeAsHalf(graph.name === 'fusion' ? graph : quantizeProducts(graph, storageOf(graph.name)));

/** What a precision does, and what an export in it has to keep of the training engine's results. */
export interface PrecisionRule {
  readonly pass: PrecisionPass;
  /** Version of ONNX's operators that it needs. */
  readonly opset: number;
  readonly arithmetic: string;
  /** Largest difference of any score; null where it is not bounded. */
  readonly logitBound: number | null;
  /** Least share of generated tokens that have to be the most likely ones here too. */
  readonly agreementBound: number;
}

const othersAsHalf = 'other matrices are stored as float16 and cast';
const eight = `stored as int8, ${blockSize} numbers of a row to a scale, and made float32 by DequantizeLinear`;

export const precisionRules: Readonly<Record<Precision, PrecisionRule>> = {
  fp32: {
    pass: (graph) => graph,
    opset,
    arithmetic: 'float32',
    logitBound: 1e-4,
    agreementBound: 1,
  },
  fp16: {
    pass: storeAsHalf,
    opset,
    arithmetic: 'float32; matrices are stored as float16 and cast',
    logitBound: null,
    agreementBound: 0.95,
  },
  int8: {
    pass: quantized(() => eightBits),
    opset: 21,
    arithmetic: `float32; linear layers of encoders and decoder are ${eight}; ${othersAsHalf}`,
    logitBound: null,
    agreementBound: 0.9,
  },
  int4: {
    pass: quantized((graph) => (graph === 'decoder' ? fourBits : eightBits)),
    opset: 21,
    arithmetic: `float32; linear layers of the decoder are stored in 4 bits, ${blockSize} numbers of a row to a scale, and multiplied by MatMulNBits; those of the encoders are ${eight}; ${othersAsHalf}`,
    logitBound: null,
    agreementBound: 0.75,
  },
};

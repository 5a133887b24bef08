import * as tf from '@tensorflow/tfjs';
import type { OperatorName } from '../ir/operators.ts';
import { type TraceBackend, traceBackendName } from './backend.ts';

const { util, backend_util: backendUtil, slice_util: sliceUtil } = tf;

// biome-ignore lint/suspicious/noExplicitAny: kernel attributes differ from kernel to kernel and tfjs gives them no common type.
type KernelAttributes = any;
type KernelInputs = Record<string, tf.TensorInfo>;
type Kernel = (
  backend: TraceBackend,
  inputs: KernelInputs,
  attributes: KernelAttributes,
) => tf.TensorInfo | tf.TensorInfo[];

const kernels: Record<string, Kernel> = {};

const unaryKernels: Record<string, OperatorName> = {
  Neg: 'Negate',
  Exp: 'Exp',
  Log: 'Log',
  Sqrt: 'Sqrt',
  Reciprocal: 'Reciprocal',
  Sigmoid: 'Sigmoid',
  Tanh: 'Tanh',
  Erf: 'Erf',
  Abs: 'Abs',
  Sign: 'Sign',
  Floor: 'Floor',
  Relu: 'Relu',
  Sin: 'Sin',
  Cos: 'Cos',
  LogicalNot: 'LogicalNot',
};
for (const [kernel, op] of Object.entries(unaryKernels)) {
  kernels[kernel] = (backend, { x }) => backend.describe(backend.builder.add(op, [backend.graphValue(x!)]));
}

const binaryKernels: Record<string, OperatorName> = {
  Add: 'Add',
  Sub: 'Subtract',
  Multiply: 'Multiply',
  RealDiv: 'Divide',
  Maximum: 'Maximum',
  Minimum: 'Minimum',
  Pow: 'Power',
  Greater: 'Greater',
  GreaterEqual: 'GreaterEqual',
  Less: 'Less',
  LessEqual: 'LessEqual',
  Equal: 'Equal',
  NotEqual: 'NotEqual',
  LogicalAnd: 'LogicalAnd',
  LogicalOr: 'LogicalOr',
};
for (const [kernel, op] of Object.entries(binaryKernels)) {
  kernels[kernel] = (backend, { a, b }) =>
    backend.describe(backend.builder.add(op, [backend.graphValue(a!), backend.graphValue(b!)]));
}

const reductionKernels: Record<string, [OperatorName, 'axis' | 'reductionIndices']> = {
  Sum: ['ReduceSum', 'axis'],
  Mean: ['ReduceMean', 'axis'],
  Max: ['ReduceMax', 'reductionIndices'],
  Min: ['ReduceMin', 'axis'],
};
for (const [kernel, [op, axisName]] of Object.entries(reductionKernels)) {
  kernels[kernel] = (backend, { x }, attributes) => {
    const axes = util.parseAxisParam(attributes[axisName], x!.shape);
    const { keepDims } = attributes;
    return backend.describe(
      backend.builder.add(op, [backend.graphValue(x!)], { axes, keepDims: keepDims === true }),
    );
  };
}

const reshaped = (backend: TraceBackend, x: tf.TensorInfo, shape: readonly number[]) =>
  backend.describe(backend.builder.add('Reshape', [backend.graphValue(x)], {}, { shape }));

const filled = (backend: TraceBackend, value: number, shape: readonly number[], dtype: string) =>
  backend.describe(backend.builder.add('Fill', [], { value, dtype }, { shape }));

const sliced = (backend: TraceBackend, value: number, begin: readonly number[], size: readonly number[]) =>
  backend.describe(backend.builder.add('Slice', [value], {}, { begin, size }));

kernels.Identity = (backend, { x }) => backend.describe(backend.graphValue(x!));

kernels.Cast = (backend, { x }, { dtype }) =>
  backend.describe(
    x!.dtype === dtype
      ? backend.graphValue(x!)
      : backend.builder.add('Cast', [backend.graphValue(x!)], { to: dtype }),
  );

kernels.Square = (backend, { x }) => {
  const value = backend.graphValue(x!);
  return backend.describe(backend.builder.add('Multiply', [value, value]));
};

kernels.SquaredDifference = (backend, { a, b }) => {
  const difference = backend.builder.add('Subtract', [backend.graphValue(a!), backend.graphValue(b!)]);
  return backend.describe(backend.builder.add('Multiply', [difference, difference]));
};

kernels.Rsqrt = (backend, { x }) => {
  const root = backend.builder.add('Sqrt', [backend.graphValue(x!)]);
  return backend.describe(backend.builder.add('Reciprocal', [root]));
};

/** 1 where x > 0, `alpha` elsewhere (the gradient of relu and abs). */
kernels.Step = (backend, { x }, { alpha }) => {
  const { builder } = backend;
  const scalar = (value: number) => builder.add('Fill', [], { value, dtype: 'float32' }, { shape: [] });
  const positive = builder.add('Greater', [backend.graphValue(x!), scalar(0)]);
  return backend.describe(builder.add('Select', [positive, scalar(1), scalar(alpha)]));
};

kernels.ClipByValue = (backend, { x }, { clipValueMin, clipValueMax }) => {
  const { builder } = backend;
  const scalar = (value: number) => builder.add('Fill', [], { value, dtype: x!.dtype }, { shape: [] });
  const raised = builder.add('Maximum', [backend.graphValue(x!), scalar(clipValueMin)]);
  return backend.describe(builder.add('Minimum', [raised, scalar(clipValueMax)]));
};

kernels.AddN = (backend, inputs) => {
  const values = Object.values(inputs).map((tensor) => backend.graphValue(tensor));
  return backend.describe(values.reduce((sum, value) => backend.builder.add('Add', [sum, value])));
};

kernels.Select = (backend, { condition, t, e }) => {
  const values = [condition!, t!, e!].map((tensor) => backend.graphValue(tensor));
  return backend.describe(backend.builder.add('Select', values));
};

kernels.Reshape = (backend, { x }, { shape }) =>
  reshaped(backend, x!, util.inferFromImplicitShape(shape, util.sizeFromShape(x!.shape)));

kernels.ExpandDims = (backend, { input }, { dim }) => {
  const shape = [...input!.shape];
  shape.splice(dim < 0 ? shape.length + dim + 1 : dim, 0, 1);
  return reshaped(backend, input!, shape);
};

kernels.Transpose = (backend, { x }, { perm }) =>
  backend.describe(backend.builder.add('Transpose', [backend.graphValue(x!)], { permutation: perm }));

kernels.Fill = (backend, _, { shape, value, dtype }) => filled(backend, value, shape, dtype || 'float32');
kernels.ZerosLike = (backend, { x }) => filled(backend, 0, x!.shape, x!.dtype);
kernels.OnesLike = (backend, { x }) => filled(backend, 1, x!.shape, x!.dtype);

kernels.BroadcastTo = (backend, { x }, { shape }) =>
  backend.describe(backend.builder.add('Expand', [backend.graphValue(x!)], {}, { shape }));

kernels.Slice = (backend, { x }, { begin, size }) => {
  const [starts, sizes] = sliceUtil.parseSliceParams(x as tf.Tensor, begin, size);
  return sliced(backend, backend.graphValue(x!), starts!, sizes!);
};

kernels.SplitV = (backend, { x }, { numOrSizeSplits, axis }) => {
  const along = util.parseAxisParam(axis, x!.shape)[0]!;
  const lengths = backendUtil.prepareSplitSize(x as tf.Tensor, numOrSizeSplits, along);
  const value = backend.graphValue(x!);
  let offset = 0;
  return lengths.map((length) => {
    const begin = x!.shape.map((_, i) => (i === along ? offset : 0));
    const size = x!.shape.map((whole, i) => (i === along ? length : whole));
    offset += length;
    return sliced(backend, value, begin, size);
  });
};

kernels.Concat = (backend, inputs, { axis }) => {
  const tensors = Object.values(inputs);
  const along = util.parseAxisParam(axis, tensors[0]!.shape)[0]!;
  return backend.describe(
    backend.builder.add(
      'Concat',
      tensors.map((tensor) => backend.graphValue(tensor)),
      { axis: along },
    ),
  );
};

kernels.Pack = (backend, inputs, { axis }) => {
  const values = Object.values(inputs).map((tensor) => {
    const shape = [...tensor.shape];
    shape.splice(axis, 0, 1);
    return backend.builder.add('Reshape', [backend.graphValue(tensor)], {}, { shape });
  });
  return backend.describe(backend.builder.add('Concat', values, { axis }));
};

kernels.Unpack = (backend, { value }, { axis }) => {
  const along = axis < 0 ? axis + value!.shape.length : axis;
  const source = backend.graphValue(value!);
  const rest = value!.shape.filter((_, i) => i !== along);
  return Array.from({ length: value!.shape[along]! }, (_, index) => {
    const begin = value!.shape.map((_, i) => (i === along ? index : 0));
    const size = value!.shape.map((whole, i) => (i === along ? 1 : whole));
    return reshaped(backend, sliced(backend, source, begin, size), rest);
  });
};

kernels.PadV2 = (backend, { x }, { paddings, constantValue }) => {
  const pairs = paddings as [number, number][];
  return backend.describe(
    backend.builder.add(
      'Pad',
      [backend.graphValue(x!)],
      { value: constantValue },
      { before: pairs.map(([before]) => before), after: pairs.map(([, after]) => after) },
    ),
  );
};

kernels.Tile = (backend, { x }, { reps }) =>
  backend.describe(backend.builder.add('Tile', [backend.graphValue(x!)], {}, { repeats: reps }));

kernels.GatherV2 = (backend, { x, indices }, { axis, batchDims }) => {
  const along = util.parseAxisParam(axis, x!.shape)[0]!;
  if (along !== 0 || batchDims) {
    throw new Error('gather is traced along axis 0 and without batch dimensions only');
  }
  return backend.describe(
    backend.builder.add('Gather', [backend.graphValue(x!), backend.graphValue(indices!)]),
  );
};

kernels.UnsortedSegmentSum = (backend, { x, segmentIds }, { numSegments }) =>
  backend.describe(
    backend.builder.add(
      'SegmentSum',
      [backend.graphValue(x!), backend.graphValue(segmentIds!)],
      {},
      { count: [numSegments] },
    ),
  );

kernels.OneHot = (backend, { indices }, { depth, onValue, offValue, dtype }) =>
  backend.describe(
    backend.builder.add(
      'OneHot',
      [backend.graphValue(indices!)],
      { onValue, offValue, dtype: dtype || 'float32' },
      { depth: [depth] },
    ),
  );

kernels.BatchMatMul = (backend, { a, b }, { transposeA, transposeB }) =>
  backend.describe(
    backend.builder.add('MatMul', [backend.graphValue(a!), backend.graphValue(b!)], {
      transposeA: transposeA === true,
      transposeB: transposeB === true,
    }),
  );

kernels.Softmax = (backend, { logits }) =>
  backend.describe(backend.builder.add('Softmax', [backend.graphValue(logits!)]));

kernels.LogSoftmax = (backend, { logits }) =>
  backend.describe(backend.builder.add('LogSoftmax', [backend.graphValue(logits!)]));

/** Padding and strides of a tfjs convolution; its own rule decides, so that eager and traced agree. */
function convolution(xShape: number[], filterShape: number[], attributes: KernelAttributes) {
  const { strides, pad, dataFormat, dilations, dimRoundingMode } = attributes;
  const info = backendUtil.computeConv2DInfo(
    xShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    strides,
    dilations ?? 1,
    pad,
    dimRoundingMode,
    false,
    backendUtil.convertConv2DDataFormat(dataFormat ?? 'NHWC'),
  );
  if (info.dilationHeight !== 1 || info.dilationWidth !== 1 || info.dataFormat !== 'channelsLast') {
    throw new Error('convolutions are traced without dilation and with channels last only');
  }
  const { padInfo } = info;
  return {
    strides: [info.strideHeight, info.strideWidth],
    before: [padInfo.top, padInfo.left],
    after: [padInfo.bottom, padInfo.right],
  };
}

kernels.Conv2D = (backend, { x, filter }, attributes) =>
  backend.describe(
    backend.builder.add(
      'Convolution',
      [backend.graphValue(x!), backend.graphValue(filter!)],
      convolution(x!.shape, filter!.shape, attributes),
    ),
  );

kernels.Conv2DBackpropInput = (backend, { dy, filter }, attributes) => {
  const inputShape = attributes.inputShape as number[];
  return backend.describe(
    backend.builder.add('ConvolutionInputGradient', [backend.graphValue(dy!), backend.graphValue(filter!)], {
      ...convolution(inputShape, filter!.shape, attributes),
      inputSize: inputShape.slice(1, 3),
    }),
  );
};

kernels.Conv2DBackpropFilter = (backend, { x, dy }, attributes) => {
  const filterShape = attributes.filterShape as number[];
  return backend.describe(
    backend.builder.add('ConvolutionFilterGradient', [backend.graphValue(x!), backend.graphValue(dy!)], {
      ...convolution(x!.shape, filterShape, attributes),
      filterSize: filterShape.slice(0, 2),
    }),
  );
};

kernels.DropoutMask = (backend, { rowKeys }, { columns, rate, moduleKey }) =>
  backend.describe(
    backend.builder.add('DropoutMask', [backend.graphValue(rowKeys!)], { columns, rate, moduleKey }),
  );

kernels.AllReduceSum = (backend, { x }) =>
  backend.describe(backend.builder.add('AllReduceSum', [backend.graphValue(x!)]));

/** Names of all tfjs kernels that can be traced; a test checks each against eager tfjs. */
export const tracedKernelNames: readonly string[] = Object.keys(kernels);

let registered = false;

export function registerTraceKernels(): void {
  if (registered) return;
  registered = true;
  for (const [kernelName, kernel] of Object.entries(kernels)) {
    tf.registerKernel({
      kernelName,
      backendName: traceBackendName,
      kernelFunc: ({ inputs, attrs, backend }) =>
        kernel(backend as TraceBackend, inputs as KernelInputs, attrs as KernelAttributes),
    });
  }
}

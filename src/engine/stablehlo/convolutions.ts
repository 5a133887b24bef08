import type { SymbolicNode } from '../ir/symbolic.ts';
import type { Emitter, StablehloValue } from './emitter.ts';

interface Window {
  readonly strides: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
}

interface ConvolutionForm {
  /** Layouts of input, filter and result, e.g. `[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]`. */
  readonly layouts: string;
  readonly stride?: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  readonly inputDilation?: readonly number[];
  readonly filterDilation?: readonly number[];
  readonly reversed?: boolean;
}

const one = [1, 1];

function convolve(
  emitter: Emitter,
  node: SymbolicNode,
  [x, filter]: readonly [StablehloValue, StablehloValue],
  form: ConvolutionForm,
): StablehloValue {
  const list = (values: readonly (number | boolean)[]) => `[${values.join(', ')}]`;
  const window = [
    `stride = ${list(form.stride ?? one)}`,
    `pad = [${form.padding.map((pair) => list(pair)).join(', ')}]`,
    `lhs_dilate = ${list(form.inputDilation ?? one)}`,
    `rhs_dilate = ${list(form.filterDilation ?? one)}`,
    `reverse = ${list([form.reversed === true, form.reversed === true])}`,
  ].join(', ');
  const precision = x.type === 'bf16' ? 'DEFAULT' : 'HIGHEST';
  const text = `stablehlo.convolution(${x.name}, ${filter.name}) dim_numbers = ${form.layouts}, window = {${window}} {batch_group_count = 1 : i64, feature_group_count = 1 : i64, precision_config = [#stablehlo<precision ${precision}>, #stablehlo<precision ${precision}>]}`;
  return emitter.statement(text, [x, filter], emitter.describe(node.output));
}

const windowOf = (node: SymbolicNode) => node.attributes as unknown as Window;

const inputsOf = (emitter: Emitter, node: SymbolicNode) =>
  emitter.inputs(node) as [StablehloValue, StablehloValue];

export function convolution(emitter: Emitter, node: SymbolicNode): StablehloValue {
  const { strides, before, after } = windowOf(node);
  return convolve(emitter, node, inputsOf(emitter, node), {
    layouts: '[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]',
    stride: strides,
    padding: [0, 1].map((i) => [before[i]!, after[i]!] as const),
  });
}

/** dy spread out by the strides, convolved with the reversed filter. */
export function convolutionInputGradient(emitter: Emitter, node: SymbolicNode): StablehloValue {
  const { strides, before } = windowOf(node);
  const inputSize = node.attributes.inputSize as number[];
  const [dy, filter] = inputsOf(emitter, node);
  const padding = [0, 1].map((i) => {
    const low = filter.shape[i]! - 1 - before[i]!;
    const spread = (dy.shape[1 + i]! - 1) * strides[i]! + 1;
    return [low, inputSize[i]! + filter.shape[i]! - 1 - spread - low] as const;
  });
  return convolve(emitter, node, [dy, filter], {
    layouts: '[b, 0, 1, f]x[0, 1, o, i]->[b, 0, 1, f]',
    padding,
    inputDilation: strides,
    reversed: true,
  });
}

/** x convolved with dy as the filter, spread out by the strides; channels of x take the place of the batch. */
export function convolutionFilterGradient(emitter: Emitter, node: SymbolicNode): StablehloValue {
  const { strides, before } = windowOf(node);
  const filterSize = node.attributes.filterSize as number[];
  const [x, dy] = inputsOf(emitter, node);
  const padding = [0, 1].map((i) => {
    const spread = (dy.shape[1 + i]! - 1) * strides[i]! + 1;
    return [before[i]!, filterSize[i]! - 1 + spread - x.shape[1 + i]! - before[i]!] as const;
  });
  return convolve(emitter, node, [x, dy], {
    layouts: '[f, 0, 1, b]x[i, 0, 1, o]->[0, 1, b, f]',
    padding,
    filterDilation: strides,
  });
}

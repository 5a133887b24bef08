import { EngineError } from '../../errors.ts';
import { dropoutConstants, dropThreshold } from '../dropout.ts';
import type { OperatorName } from '../ir/operators.ts';
import type { Emitter } from '../onnxruntime/emitter.ts';
import type { Emit } from '../onnxruntime/operators.ts';

/**
 * `x >>> bits` of int32, from operations that OpenVINO does exactly: it has no unsigned numbers, and divides by way of
 * float32. So the halves of 16 bits are taken apart, and what is divided has no more than 16 bits and leaves nothing.
 */
function shiftRight(emitter: Emitter, x: string, bits: number): string {
  const integer = (value: number) => emitter.scalar(value | 0, 'int32');
  const and = (value: string, mask: number) => emitter.add('BitwiseAnd', [value, integer(mask)]);
  const upper = and(emitter.add('Div', [and(x, 0xffff0000), integer(0x10000)]), 0xffff);
  if (bits === 16) return upper;
  const lower = emitter.add('Div', [and(x, 0xffff & -(2 ** bits)), integer(2 ** bits)]);
  return emitter.add('Add', [emitter.add('Mul', [upper, integer(2 ** (16 - bits))]), lower]);
}

/** The integer mixing of `dropout.ts`, in int32 alone. */
const dropoutMask: Emit = (emitter, node) => {
  const { columns, rate, moduleKey } = node.attributes as {
    columns: number;
    rate: number;
    moduleKey: number;
  };
  const { golden, multipliers, shifts } = dropoutConstants;
  const offsets = Array.from({ length: columns }, (_, column) => Math.imul(column, golden));
  const rows = emitter.add('Unsqueeze', [emitter.name(node.inputs[0]!), emitter.integers([1])]);
  const keys = emitter.add('Add', [rows, emitter.scalar(moduleKey, 'int32')]);
  let state = emitter.add('Add', [keys, emitter.constant('int32', offsets, [1, columns])]);
  multipliers.forEach((multiplier, round) => {
    const mixed = emitter.add('BitwiseXor', [state, shiftRight(emitter, state, shifts[round]!)]);
    state = emitter.add('Mul', [mixed, emitter.scalar(multiplier | 0, 'int32')]);
  });
  const draw = shiftRight(emitter, state, 8);
  const kept = emitter.add('GreaterOrEqual', [draw, emitter.scalar(dropThreshold(rate), 'int32')]);
  return emitter.add('Where', [kept, emitter.scalar(1 / (1 - rate)), emitter.scalar(0)]);
};

/** OpenVINO takes filters of fixed size only, and here the batch is one of the filter's sizes. */
const noFilterGradient: Emit = ({ graph }) => {
  throw new EngineError(
    'ENGINE_OPERATION',
    `"${graph.name}" needs the gradient of a convolution's filter, which openvino does not compute. Train the encoder on another engine.`,
  );
};

/** Operators that OpenVINO needs in another form than onnxruntime. */
export const openvinoOperators: Partial<Record<OperatorName, Emit>> = {
  DropoutMask: dropoutMask,
  ConvolutionFilterGradient: noFilterGradient,
};

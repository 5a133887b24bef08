import { EngineError } from '../../errors.ts';
import type { OperatorName } from '../ir/operators.ts';
import type { Emitter } from '../onnxruntime/emitter.ts';
import { dropoutMask, type Emit } from '../onnxruntime/operators.ts';

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

/** OpenVINO takes filters of fixed size only, and here the batch is one of the filter's sizes. */
const noFilterGradient: Emit = ({ graph }) => {
  throw new EngineError(
    'ENGINE_OPERATION',
    `"${graph.name}" needs the gradient of a convolution's filter, which openvino does not compute. Train the encoder on another engine.`,
  );
};

/** Operators that OpenVINO needs in another form than onnxruntime. */
export const openvinoOperators: Partial<Record<OperatorName, Emit>> = {
  DropoutMask: dropoutMask(shiftRight),
  ConvolutionFilterGradient: noFilterGradient,
};

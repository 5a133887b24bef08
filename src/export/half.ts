import { InputError } from '../errors.ts';
import { float32ToHalf } from '../io/float16.ts';

/**
 * Numbers of a tensor in half precision, rounded to nearest even.
 *
 * @param name of the tensor, for the message
 * @param instead what to choose where float16 does not hold them
 * @throws InputError `EXPORT_FLOAT16_RANGE` where a number would become infinite
 */
export function toHalf(name: string, values: Float32Array, instead: string): Uint16Array {
  const halves = new Uint16Array(values.length);
  float32ToHalf(values, halves);
  for (let i = 0; i < halves.length; i++) {
    if ((halves[i]! & 0x7fff) !== 0x7c00 || !Number.isFinite(values[i]!)) continue;
    throw new InputError(
      'EXPORT_FLOAT16_RANGE',
      `${name} holds ${values[i]}, and float16 ends at 65504. Choose ${instead}.`,
    );
  }
  return halves;
}

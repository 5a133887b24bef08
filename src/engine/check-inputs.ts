import { EngineError } from '../errors.ts';
import type { CompileOptions, HostTensorMap } from './types.ts';

/**
 * Checks the inputs of a call against what the function was compiled for, all faults at once.
 * @throws EngineError `ENGINE_INPUT`
 */
export function checkInputs(options: CompileOptions, inputs: HostTensorMap): void {
  const faults: string[] = [];
  const sizes = new Map<string, { size: number; input: string }>();
  for (const [name, spec] of Object.entries(options.inputs)) {
    const tensor = inputs[name];
    const expected = `${spec.dtype} [${spec.shape.join(', ')}]`;
    if (tensor === undefined) {
      faults.push(`"${name}" (${expected}) is missing`);
      continue;
    }
    const count = tensor.shape.reduce((product, size) => product * size, 1);
    if (
      tensor.dtype !== spec.dtype ||
      tensor.shape.length !== spec.shape.length ||
      tensor.data.length !== count
    ) {
      faults.push(
        `"${name}" is ${tensor.dtype} [${tensor.shape.join(', ')}] with ${tensor.data.length} elements, expected ${expected}`,
      );
      continue;
    }
    spec.shape.forEach((size, axis) => {
      const actual = tensor.shape[axis]!;
      if (typeof size === 'number') {
        if (size !== actual) faults.push(`"${name}" has size ${actual} on axis ${axis}, expected ${size}`);
        return;
      }
      const known = sizes.get(size);
      if (known === undefined) sizes.set(size, { size: actual, input: name });
      else if (known.size !== actual) {
        faults.push(`"${name}" has ${size} = ${actual}, but "${known.input}" has ${size} = ${known.size}`);
      }
    });
  }
  const current = Object.fromEntries([...sizes].map(([name, { size }]) => [name, size]));
  for (const [name, rule] of Object.entries(options.derived ?? {})) {
    const actual = current[name];
    if (actual !== undefined && rule(current) !== actual)
      faults.push(`${name} is ${actual}, expected ${rule(current)}`);
  }
  if (faults.length > 0) {
    throw new EngineError('ENGINE_INPUT', `Wrong inputs for "${options.name}": ${faults.join('; ')}.`);
  }
}

import { findTensorflow } from '../../src/engine/tensorflow/load.ts';

/** Whether the engine tensorflow is installed; where it is not, the tests that need it say so and are skipped. */
export const hasTensorflow = findTensorflow() !== undefined;
if (!hasTensorflow) {
  process.stderr.write('tensorflow is not tested: not installed (affectgpt engine install tensorflow)\n');
}

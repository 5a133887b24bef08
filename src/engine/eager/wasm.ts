import { createRequire } from 'node:module';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { EngineError } from '../../errors.ts';

let ready: Promise<void> | undefined;

/** Registers the tfjs wasm backend, its binaries taken from the package, and the kernel it lacks. */
export function prepareWasm(): Promise<void> {
  ready ??= (async () => {
    const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
    const main = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
    setWasmPaths(path.dirname(main) + path.sep);
    const before = tf.engine().backendName;
    if (!(await tf.setBackend('wasm'))) {
      throw new EngineError('ENGINE_WASM', 'The wasm backend of tfjs could not start on this machine.');
    }
    registerSegmentSum();
    if (before) await tf.setBackend(before);
  })();
  return ready;
}

/** tfjs wasm has no UnsortedSegmentSum, which is the gradient of a gather. */
function registerSegmentSum(): void {
  tf.registerKernel({
    kernelName: 'UnsortedSegmentSum',
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { x, segmentIds } = inputs as { x: tf.TensorInfo; segmentIds: tf.TensorInfo };
      const { numSegments } = attrs as { numSegments: number };
      const storage = backend as tf.KernelBackend;
      const ids = storage.readSync(segmentIds.dataId) as Int32Array;
      const rows = storage.readSync(x.dataId) as Float32Array;
      const shape = [numSegments, ...x.shape.slice(segmentIds.shape.length)];
      const width = tf.util.sizeFromShape(shape.slice(1));
      const sums = new Float32Array(numSegments * width);
      ids.forEach((segment, row) => {
        if (segment < 0) return;
        for (let i = 0; i < width; i++) sums[segment * width + i]! += rows[row * width + i]!;
      });
      return { dataId: storage.write(sums, shape, 'float32'), shape, dtype: 'float32' };
    },
  });
}

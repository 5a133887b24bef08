import * as tf from '@tensorflow/tfjs';

/**
 * The sum of `x` over all devices that run a replicated function, the same on each of them; `x` itself where one device
 * runs it. It has no gradient: what is differentiated belongs to one device.
 */
export const allReduceSum = (x: tf.Tensor): tf.Tensor =>
  tf.engine().runKernel('AllReduceSum', { x }) as tf.Tensor;

/** Registers the sum for an eager tfjs backend, which has one device. */
export function registerEagerAllReduce(backendName: string): void {
  if (tf.getKernel('AllReduceSum', backendName) !== undefined) return;
  const { kernelFunc } = tf.getKernel('Identity', backendName);
  tf.registerKernel({ kernelName: 'AllReduceSum', backendName, kernelFunc });
}

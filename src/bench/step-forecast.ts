import type { GpuTarget } from '../engine/xla/gpu-targets.ts';
import { type Kernel, type KernelSum, sumKernels } from '../engine/xla/optimized-hlo.ts';
import { bytesOnDevice, type CompiledMemory } from '../engine/xla/program.ts';

/** What a GPU is taken to reach of what its data sheet says; the same for every forecast. */
export const assumptions = {
  /** Of the dense bf16 peak, by large matrix products: 640 of 989 TFLOP/s on an H100. */
  productShare: 0.647,
  /** Of the bandwidth of device memory, by kernels that do little else. */
  bandwidthShare: 0.85,
  /** Seconds that a kernel takes at least. */
  leastKernelSeconds: 3e-6,
} as const;

/** A compiled step, and how long it would take: a roofline over its kernels, nothing that was measured. */
export interface StepForecast {
  readonly recompute: boolean;
  readonly compileSeconds: number;
  readonly memory: CompiledMemory & { readonly total: number };
  readonly kernels: readonly (KernelSum & { readonly kind: string })[];
  readonly kernelCount: number;
  /** Of matrix products. */
  readonly flops: number;
  /** Bytes that kernels with a matrix product read and write. */
  readonly productBytes: number;
  /** Bytes that all others read and write. */
  readonly elementwiseBytes: number;
  readonly seconds: {
    readonly products: number;
    readonly elementwise: number;
    readonly total: number;
  };
  readonly tokensPerSecond: number;
  /**
   * Model FLOPs utilisation as it is published for adapters: 4 operations for each parameter of the decoder and each token,
   * whatever is really computed, of the peak of the data sheet.
   */
  readonly mfu: number;
  /** Operations of the products that are really computed, of the same peak. */
  readonly utilisation: number;
}

function kernelSeconds({ flops, bytesRead, bytesWritten }: Kernel, gpu: GpuTarget): number {
  const computing = flops / (assumptions.productShare * gpu.peakFlops);
  const moving = (bytesRead + bytesWritten) / (assumptions.bandwidthShare * gpu.memoryBandwidth);
  return Math.max(computing, moving, assumptions.leastKernelSeconds);
}

/**
 * @param options.kernels from `listKernels`
 * @param options.parameters of the decoder
 */
export function forecastStep(options: {
  readonly gpu: GpuTarget;
  readonly kernels: readonly Kernel[];
  readonly memory: CompiledMemory;
  readonly recompute: boolean;
  readonly compileSeconds: number;
  readonly tokens: number;
  readonly parameters: number;
}): StepForecast {
  const { gpu, kernels, memory, recompute, compileSeconds, tokens, parameters } = options;
  const sums = { flops: 0, count: 0, productBytes: 0, elementwiseBytes: 0, products: 0, elementwise: 0 };
  for (const kernel of kernels) {
    const { isProduct, times, flops, bytesRead, bytesWritten } = kernel;
    sums.count += times;
    sums.flops += times * flops;
    sums[isProduct ? 'productBytes' : 'elementwiseBytes'] += times * (bytesRead + bytesWritten);
    sums[isProduct ? 'products' : 'elementwise'] += times * kernelSeconds(kernel, gpu);
  }
  const total = sums.products + sums.elementwise;
  return {
    ...{ recompute, compileSeconds },
    memory: { ...memory, total: bytesOnDevice(memory) },
    kernels: [...sumKernels(kernels)].map(([kind, sum]) => ({ kind, ...sum })),
    kernelCount: sums.count,
    ...{ flops: sums.flops, productBytes: sums.productBytes, elementwiseBytes: sums.elementwiseBytes },
    seconds: { products: sums.products, elementwise: sums.elementwise, total },
    tokensPerSecond: tokens / total,
    mfu: (4 * parameters * tokens) / total / gpu.peakFlops,
    utilisation: sums.flops / total / gpu.peakFlops,
  };
}

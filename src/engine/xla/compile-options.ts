import protobuf from 'protobufjs/minimal.js';

type Overrides = Readonly<Record<string, boolean | number>>;

/**
 * For all plugins. What a module rounds to bfloat16 stays rounded: XLA would otherwise keep it in float32, too, and move
 * twice the bytes.
 */
const always: Overrides = { xla_allow_excess_precision: false };

/**
 * For the plugins of CUDA.
 *
 * - Two products of one input are not made one: that puts their weights side by side first, a copy of the frozen weight
 *   beside each adapter in every step.
 * - Products go to cuBLAS, which adds what a product is added to while it writes it (adapters, residuals).
 */
const forCuda: Overrides = { xla_gpu_dot_merger_threshold_mb: 0, xla_gpu_enable_triton_gemm: false };

/** There is nothing to time variants of kernels on. */
const withoutDevice: Overrides = { ...forCuda, xla_gpu_autotune_level: 0 };

export interface CompileSettings {
  /** Devices that run the module at once. */
  readonly replicas: number;
  /** As a client names it: `cpu`, `cuda`; `none` for a GPU that is not here. */
  readonly platform: string;
}

const overridesOf = (platform: string): Overrides => ({
  ...always,
  ...(platform === 'none' ? withoutDevice : platform === 'cuda' ? forCuda : {}),
});

/**
 * A serialized `CompileOptionsProto { executable_build_options (3) { device_ordinal (1) = -1, num_replicas (4),
 * num_partitions (5) = 1 }, env_option_overrides (7) { key (1), value (2) { bool_field (2) or int_field (3) } } }`.
 */
export function compileOptions({ replicas, platform }: CompileSettings): Buffer {
  const writer = protobuf.Writer.create();
  writer.uint32((3 << 3) | 2).fork();
  writer.uint32(1 << 3).int64(-1);
  writer.uint32(4 << 3).int64(replicas);
  writer.uint32(5 << 3).int64(1);
  writer.ldelim();
  for (const [name, value] of Object.entries(overridesOf(platform))) {
    writer.uint32((7 << 3) | 2).fork();
    writer.uint32((1 << 3) | 2).string(name);
    writer.uint32((2 << 3) | 2).fork();
    if (typeof value === 'boolean') writer.uint32(2 << 3).bool(value);
    else writer.uint32(3 << 3).int64(value);
    writer.ldelim().ldelim();
  }
  return Buffer.from(writer.finish());
}

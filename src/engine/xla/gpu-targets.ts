/** What a forecast needs to know of a GPU. */
export interface GpuTarget {
  readonly name: GpuName;
  readonly describe: string;
  /** Of device memory. */
  readonly memoryBytes: number;
  /** Bytes a second, as the data sheet has it. */
  readonly memoryBandwidth: number;
  /** Dense bf16 products with float32 sums: operations a second, as the data sheet has it. */
  readonly peakFlops: number;
  /** Text of the `GpuTargetConfigProto` that XLA compiles for. */
  readonly config: string;
}

export const gpuNames = ['h200', 'h100', 'a100'] as const;
export type GpuName = (typeof gpuNames)[number];

/** What tells one GPU from another in XLA's description of devices, under its names there. */
interface DeviceFacts {
  readonly shared_memory_per_core: number;
  readonly core_count: number;
  readonly fpus_per_core: number;
  readonly memory_bandwidth: number;
  readonly l2_cache_size: number;
  readonly clock_rate_ghz: number;
  readonly device_memory_size: number;
  readonly shared_memory_per_block_optin: number;
}

/** The same for all of them. */
const common = {
  threads_per_block_limit: 1024,
  threads_per_warp: 32,
  shared_memory_per_block: 49_152,
  threads_per_core_limit: 2048,
  block_dim_limit_x: 2_147_483_647,
  block_dim_limit_y: 65_535,
  block_dim_limit_z: 65_535,
  registers_per_core_limit: 65_536,
  registers_per_block_limit: 65_536,
};

function targetConfig(device: string, computeCapability: number, facts: DeviceFacts): string {
  const fields = Object.entries({ ...common, ...facts }).map(([name, value]) => `  ${name}: ${value}`);
  return [
    'gpu_device_info {',
    ...fields,
    `  cuda_compute_capability { major: ${computeCapability} }`,
    '}',
    'platform_name: "CUDA"',
    'dnn_version_info { major: 9 minor: 10 }',
    `device_description_str: "${device}"`,
    '',
  ].join('\n');
}

/** Name, computing capability and peak are the manufacturer's, the other figures those of XLA's own descriptions. */
function target(
  name: GpuName,
  describe: string,
  computeCapability: number,
  peakFlops: number,
  facts: DeviceFacts,
): GpuTarget {
  return {
    ...{ name, describe, peakFlops },
    memoryBytes: facts.device_memory_size,
    memoryBandwidth: facts.memory_bandwidth,
    config: targetConfig(describe, computeCapability, facts),
  };
}

const hopper = {
  shared_memory_per_core: 233_472,
  core_count: 132,
  fpus_per_core: 128,
  l2_cache_size: 52_428_800,
  clock_rate_ghz: 1.98,
  shared_memory_per_block_optin: 232_448,
};

/** GPUs that modules can be compiled for without having one. */
export const gpuTargets: Readonly<Record<GpuName, GpuTarget>> = {
  h200: target('h200', 'NVIDIA H200', 9, 989e12, {
    ...hopper,
    memory_bandwidth: 4_800_000_000_000,
    device_memory_size: 151_397_597_184,
  }),
  h100: target('h100', 'NVIDIA H100 80GB HBM3', 9, 989e12, {
    ...hopper,
    memory_bandwidth: 3_352_320_000_000,
    device_memory_size: 84_942_979_072,
  }),
  a100: target('a100', 'NVIDIA A100-SXM4-80GB', 8, 312e12, {
    shared_memory_per_core: 167_936,
    core_count: 108,
    fpus_per_core: 64,
    memory_bandwidth: 2_039_040_000_000,
    l2_cache_size: 41_943_040,
    clock_rate_ghz: 1.41,
    device_memory_size: 85_100_068_864,
    shared_memory_per_block_optin: 166_912,
  }),
};

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { gpuTargets } from '../../src/engine/xla/gpu-targets.ts';
import { readHloModule } from '../../src/engine/xla/hlo-module.ts';
import { listKernels } from '../../src/engine/xla/optimized-hlo.ts';
import { Pjrt } from '../../src/engine/xla/pjrt.ts';
import { compileForTarget } from '../../src/engine/xla/topology.ts';
import { cudaPlugin, hasCudaCompiler } from '../support/cuda-compiler.ts';

const module = readFileSync(path.join(import.meta.dirname, '../fixtures/hlo/small.mlir'), 'utf8');

describe.skipIf(!hasCudaCompiler)('without a device', () => {
  const pjrt = cudaPlugin === undefined ? undefined : new Pjrt(cudaPlugin);

  it.each(['h200', 'h100', 'a100'] as const)('a module is compiled for %s', async (name) => {
    const { memory, optimizedModule } = await compileForTarget(pjrt!, gpuTargets[name].config, module);
    expect(memory.arguments).toBeGreaterThanOrEqual(4 * 1000 * 16);
    expect(memory.outputs).toBeGreaterThanOrEqual(2 * 64 * 48 + 4 * 8 * 16);
    const kernels = listKernels(readHloModule(optimizedModule));
    expect(kernels.reduce((sum, { flops }) => sum + flops, 0)).toBe(2 * 64 * 32 * 48);
  });

  it('what is no module is refused with the message of the compiler', async () => {
    await expect(compileForTarget(pjrt!, gpuTargets.h100.config, 'module {')).rejects.toMatchObject({
      code: 'ENGINE_XLA',
    });
    await expect(compileForTarget(pjrt!, 'nonsense', module)).rejects.toThrow(/TopologyDescription_Create/);
  });
});

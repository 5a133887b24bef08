import { readFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs/minimal.js';
import { describe, expect, it } from 'vitest';
import { compileOptions } from '../../src/engine/xla/compile-options.ts';
import { gpuNames, gpuTargets } from '../../src/engine/xla/gpu-targets.ts';
import type { HloInstruction, HloModule } from '../../src/engine/xla/hlo-module.ts';
import { readHloModule } from '../../src/engine/xla/hlo-module.ts';
import { listKernels, sumKernels } from '../../src/engine/xla/optimized-hlo.ts';

const fixtures = path.join(import.meta.dirname, '../fixtures/hlo');
const float32 = 11;

const instruction = (
  id: number,
  opcode: string,
  dimensions: number[],
  more: Partial<HloInstruction> = {},
): HloInstruction => ({
  ...{ id, opcode, name: `${opcode}.${id}`, shape: { type: float32, dimensions, elements: [] } },
  ...{ operands: [], calls: [], parameter: 0, target: '', backendConfig: '', contracted: [] },
  ...more,
});

/** The first computation is the entry; the last instruction of each is its root. */
const moduleOf = (...computations: HloInstruction[][]): HloModule => ({
  entry: 0,
  computations: new Map(
    computations.map((instructions, id) => [
      id,
      { id, name: `computation.${id}`, root: instructions.at(-1)!.id, instructions },
    ]),
  ),
});

describe('an optimized module', () => {
  // Compiled from small.mlir for an H100: exp((x w) * bias) of x [64, 32], and 8 of 1,000 rows of a table.
  const kernels = listKernels(readHloModule(readFileSync(path.join(fixtures, 'small.pb'))));

  it('is read as the compiler gives it: one product, and a fusion for what follows', () => {
    expect(kernels.map(({ kind, isProduct }) => [kind, isProduct])).toEqual([
      ['cublas', true],
      ['fusion', false],
      ['fusion', false],
    ]);
    const [product, exponential] = kernels;
    expect(product).toMatchObject({
      flops: 2 * 64 * 32 * 48,
      bytesRead: 2 * (64 * 32 + 32 * 48),
      // Not the workspace of 32 MB beside it.
      bytesWritten: 2 * 64 * 48,
      times: 1,
    });
    expect(exponential).toMatchObject({
      flops: 0,
      bytesRead: 2 * (64 * 48 + 48),
      bytesWritten: 2 * 64 * 48,
    });
  });

  it('counts of a table the rows that are picked', () => {
    expect(kernels[2]).toMatchObject({ bytesRead: 4 * 8 * 16 + 4 * 8, bytesWritten: 4 * 8 * 16 });
  });

  it('adds up by kind, what moves most first', () => {
    const sums = [...sumKernels(kernels)];
    expect(sums.map(([kind, { count }]) => [kind, count])).toEqual([
      ['fusion', 2],
      ['cublas', 1],
    ]);
    expect(sums[0]![1].bytesRead).toBe(2 * (64 * 48 + 48) + 544);
  });
});

describe('kernels', () => {
  it('within loops count as often as these run, those that are called once', () => {
    const loop = instruction(1, 'while', [4], {
      calls: [1],
      backendConfig: '{"known_trip_count":{"n":"6"}}',
    });
    const call = instruction(2, 'call', [4], { calls: [1] });
    const body = [
      instruction(3, 'parameter', [4]),
      instruction(4, 'copy', [4], { operands: [3] }),
      instruction(5, 'tuple', [4], { operands: [4] }),
    ];
    const found = listKernels(moduleOf([instruction(0, 'parameter', [4]), loop, call], body));
    expect(
      found.map(({ kind, times, bytesRead, bytesWritten }) => [kind, times, bytesRead, bytesWritten]),
    ).toEqual([
      ['copy', 6, 16, 16],
      ['copy', 1, 16, 16],
    ]);
  });

  it('that fuse a product into others are products', () => {
    const fusion = instruction(3, 'fusion', [8, 2], { operands: [1, 2], calls: [1] });
    const fused = [
      instruction(4, 'parameter', [8, 5]),
      instruction(5, 'parameter', [5, 2], { parameter: 1 }),
      instruction(6, 'dot', [8, 2], { operands: [4, 5], contracted: [1] }),
      instruction(7, 'exponential', [8, 2], { operands: [6] }),
    ];
    const entry = [
      instruction(1, 'parameter', [8, 5]),
      instruction(2, 'parameter', [5, 2], { parameter: 1 }),
      fusion,
    ];
    expect(listKernels(moduleOf(entry, fused))).toMatchObject([
      { kind: 'triton gemm', isProduct: true, flops: 2 * 8 * 2 * 5, bytesRead: 200, bytesWritten: 64 },
    ]);
  });

  it('that update a part in place move that part', () => {
    const fusion = instruction(3, 'fusion', [100], { operands: [1, 2], calls: [1] });
    const fused = [
      instruction(4, 'parameter', [100]),
      instruction(5, 'parameter', [3], { parameter: 1 }),
      instruction(6, 'dynamic-update-slice', [100], { operands: [4, 5] }),
    ];
    const entry = [
      instruction(1, 'parameter', [100]),
      instruction(2, 'parameter', [3], { parameter: 1 }),
      fusion,
    ];
    expect(listKernels(moduleOf(entry, fused))).toMatchObject([{ bytesRead: 12, bytesWritten: 12 }]);
  });
});

describe('descriptions of GPUs', () => {
  it.each(gpuNames)('%s has the fields that XLA asks for, once each', (name) => {
    const { config, memoryBytes } = gpuTargets[name];
    const fields = [...config.matchAll(/^ {2}(\w+)/gm)].map((match) => match[1]);
    expect(fields).toHaveLength(18);
    expect(new Set(fields).size).toBe(fields.length);
    expect(config).toContain(`device_memory_size: ${memoryBytes}\n`);
    expect(config).toMatch(/^platform_name: "CUDA"$/m);
  });
});

describe('settings of the compiler', () => {
  /** `env_option_overrides`, by name. */
  const overrides = (bytes: Buffer): Record<string, number> => {
    const found: Record<string, number> = {};
    const reader = protobuf.Reader.create(bytes);
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag >>> 3 !== 7) {
        reader.skipType(tag & 7);
        continue;
      }
      const end = reader.uint32() + reader.pos;
      reader.uint32();
      const name = reader.string();
      reader.uint32();
      reader.uint32();
      reader.uint32();
      found[name] = Number(reader.int64());
      expect(reader.pos).toBe(end);
    }
    return found;
  };

  it('are those of the platform', () => {
    const of = (platform: string) => overrides(compileOptions({ replicas: 1, platform }));
    expect(of('cpu')).toEqual({ xla_allow_excess_precision: 0 });
    expect(of('cuda')).toMatchObject({ xla_gpu_dot_merger_threshold_mb: 0, xla_gpu_enable_triton_gemm: 0 });
    expect(of('none')).toEqual({ ...of('cuda'), xla_gpu_autotune_level: 0 });
  });

  it('begin with how many devices there are', () => {
    const build = [8, ...Array<number>(9).fill(0xff), 1, 0x20, 0xac, 0x02, 0x28, 1];
    const bytes = compileOptions({ replicas: 300, platform: 'cpu' });
    expect([...bytes.subarray(0, 2 + build.length)]).toEqual([0x1a, build.length, ...build]);
  });
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type CompileForReport, missedTargets } from '../../src/bench/compile-for.ts';
import { formatCompileFor } from '../../src/bench/compile-for-format.ts';
import { assumptions, forecastStep, type StepForecast } from '../../src/bench/step-forecast.ts';
import { gpuTargets } from '../../src/engine/xla/gpu-targets.ts';
import type { Kernel } from '../../src/engine/xla/optimized-hlo.ts';
import { run, succeed } from '../support/command-output.ts';
import { hasCudaCompiler } from '../support/cuda-compiler.ts';

const gpu = gpuTargets.h100;
const kernel = (flops: number, bytes: number, times = 1): Kernel => ({
  ...{ kind: flops > 0 ? 'cublas' : 'fusion', name: 'k', isProduct: flops > 0, flops, times },
  ...{ bytesRead: bytes / 2, bytesWritten: bytes / 2 },
});
const forecastOf = (kernels: Kernel[]): StepForecast =>
  forecastStep({
    ...{ gpu, kernels, recompute: false, compileSeconds: 1, tokens: 10, parameters: 1e12 },
    memory: { arguments: 5e9, outputs: 3e9, aliased: 3e9, temporary: 7e9 },
  });

describe('a forecast', () => {
  it('takes for each kernel the longest of computing, moving and launching', () => {
    const computing = forecastOf([kernel(assumptions.productShare * gpu.peakFlops, 1)]);
    expect(computing.seconds).toEqual({ products: 1, elementwise: 0, total: 1 });
    const moving = forecastOf([kernel(0, 0.85 * gpu.memoryBandwidth, 2)]);
    expect(moving.seconds.elementwise).toBeCloseTo(2, 10);
    expect(forecastOf([kernel(0, 8, 1000)]).seconds.total).toBeCloseTo(3e-3, 10);
  });

  it('counts 4 operations a parameter and token, and new state beside the old one', () => {
    const forecast = forecastOf([kernel(assumptions.productShare * gpu.peakFlops, 1), kernel(0, 4, 3)]);
    expect(forecast.mfu).toBeCloseTo((4 * 1e12 * 10) / gpu.peakFlops / forecast.seconds.total, 10);
    expect(forecast.utilisation).toBeCloseTo(assumptions.productShare / forecast.seconds.total, 10);
    expect(forecast.memory.total).toBe(15e9);
    expect(forecast.kernelCount).toBe(4);
    expect(forecast.elementwiseBytes).toBe(12);
  });

  it('misses a target that it exceeds, each variant its own', () => {
    const plain = forecastOf([kernel(1e12, 1e9), kernel(0, 2e9)]);
    const variants = [plain, { ...plain, recompute: true }];
    const targets = { memory: 15e9, memoryRecomputed: 15e9, elementwise: 2e9 };
    expect(missedTargets(variants, targets)).toEqual([]);
    expect(missedTargets(variants, { ...targets, memoryRecomputed: 14.9e9 })).toEqual([
      'memory with recomputation is 15.0 GB, above 14.9 GB',
    ]);
    expect(missedTargets([plain], { ...targets, memory: 14e9, elementwise: 1e9 })).toEqual([
      'memory without recomputation is 15.0 GB, above 14.0 GB',
      'elementwise traffic without recomputation is 2.0 GB, above 1.0 GB',
    ]);
  });

  it('is said to be one, with its assumptions and what was missed', () => {
    const report: CompileForReport = {
      ...{ bench: 'compile-for', kind: 'forecast, compiled without a device', gpu: gpu.describe },
      ...{ model: 'm', layers: 2, parameters: 1e12, trainable: 7, dtype: 'bfloat16' },
      ...{ sizes: { batch: 2, tokens: 5, supervised: 3 }, plugin: 'xla-cuda13 1' },
      variants: [forecastOf([kernel(1e12, 1e9), kernel(0, 2e9)])],
      targets: { memory: 60e9, memoryRecomputed: 24e9, elementwise: 1e9 },
      missed: ['elementwise traffic is 2.0 GB, above 1.0 GB'],
    };
    const text = formatCompileFor(report, gpu);
    expect(text).toMatch(/FORECAST, compiled without a device by xla-cuda13 1; nothing was run/);
    expect(text).toMatch(/memory, GB +\| +15\.0 \|/);
    expect(text).toMatch(/moved elementwise, GB +\| +2\.0 \|/);
    expect(text).toMatch(/640 TFLOP\/s .* 2\.85 TB\/s/);
    expect(text).toMatch(/Targets missed: elementwise traffic is 2\.0 GB/);
    expect(formatCompileFor({ ...report, targets: null }, gpu)).toMatch(/Targets: none for this model/);
  });
});

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('affectgpt bench --compile-for', () => {
  it.each([
    [['--compile-for', 'h100'], 'needs --config'],
    [['--compile-for', 'v100', '--config', 'quickstart.yaml'], 'Choices: "h200", "h100", "a100"'],
    [['--compile-for', 'h100', '--config', 'quickstart.yaml', '--tokens', '0'], '--tokens is a whole number'],
    [['train-step', '--tokens', '5'], 'Unknown argument: tokens'],
  ])('%j is a wrong command line', async (argv, message) => {
    const { exitCode, err } = await run('bench', ...argv);
    expect(exitCode).toBe(2);
    expect(err).toContain(message);
  });

  it('says how to get the plugin where it is missing', async () => {
    for (const name of ['AFFECTGPT_XLA_PLUGIN', 'VIRTUAL_ENV', 'CONDA_PREFIX']) vi.stubEnv(name, '');
    vi.stubEnv('AFFECTGPT_ENGINES', join(tmpdir(), 'no-engines-here'));
    const { exitCode, err } = await run('bench', '--compile-for', 'a100', '--config', 'prefusion-attn.yaml');
    expect(exitCode).toBe(4);
    expect(err).toMatch(/ENGINE_PLUGIN_MISSING.*affectgpt engine install xla-cuda13/s);
  });
});

describe.skipIf(!hasCudaCompiler)('a model from its config.json alone', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'compile-for-'));
    const decoder = {
      ...{ model_type: 'qwen2', hidden_size: 128, intermediate_size: 256, num_hidden_layers: 3 },
      ...{ num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 500, tie_word_embeddings: true },
    };
    await writeFile(join(folder, 'config.json'), JSON.stringify(decoder));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('is compiled with and without recomputation', async () => {
    const argv = ['bench', '--compile-for', 'h100', '--config', 'prefusion-attn.yaml', '--json'];
    const sizes = ['--batch', '2', '--tokens', '256', '--supervised', '32'];
    const set = ['--set', `model.llm=${folder}`, '--set', 'lora.targets=[q_proj, down_proj]'];
    const { out } = await succeed(...argv, ...sizes, ...set);
    const report = JSON.parse(out) as CompileForReport;
    expect(report).toMatchObject({
      ...{ kind: 'forecast, compiled without a device', layers: 3, targets: null, missed: [] },
      sizes: { batch: 2, tokens: 256, supervised: 32 },
    });
    const [plain, recomputed] = report.variants;
    expect([plain!.recompute, recomputed!.recompute]).toEqual([false, true]);
    expect(recomputed!.memory.temporary).toBeLessThan(plain!.memory.temporary);
    // Forward and backward of both layers' weights at all tokens but in the last layer's tail, and of the logits.
    expect(plain!.flops).toBeGreaterThan(4 * 512 * 2 * (128 * 128 * 1.5 + 3 * 128 * 256) * 0.5);
    expect(recomputed!.flops).toBeGreaterThan(1.1 * plain!.flops);
    expect(plain!.elementwiseBytes).toBeGreaterThan(0);
  }, 300_000);
});

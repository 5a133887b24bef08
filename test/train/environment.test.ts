import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import { describeEnvironment } from '../../train/environment.ts';
import { hasXla } from '../support/xla.ts';

const describeStart = async (options: Parameters<typeof createEngine>[0]) =>
  describeEnvironment(await createEngine(options), { step: 0, command: null });

describe('the record of a start', () => {
  it('names engine, threads and precision', async () => {
    const { engine, packages } = await describeStart({ type: 'onnxruntime', threads: 1 });
    expect(engine).toEqual({ name: 'onnxruntime', threads: 1, precision: 'fp32' });
    expect(packages).toHaveProperty('onnxruntime-node');
  });

  it.skipIf(!hasXla)('names what computes where it comes from no package', async () => {
    const { engine, packages } = await describeStart({ type: 'xla', threads: 1, precision: 'bf16' });
    expect(engine).toMatchObject({ name: 'xla', precision: 'bf16' });
    expect(existsSync(engine.library!.file)).toBe(true);
    expect(engine.library!.version).toMatch(/, PJRT API 0\.\d+$/);
    expect(packages.koffi).toMatch(/^\d+\.\d+/);
  });
});

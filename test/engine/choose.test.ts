import { describe, expect, it, vi } from 'vitest';
import { chooseEngine } from '../../src/engine/choose.ts';
import { createEngine } from '../../src/engine/engines.ts';
import type { FoundEngine } from '../../src/engine/install-folder.ts';
import { selfTest } from '../../src/engine/self-test.ts';
import type { Engine, HostTensor } from '../../src/engine/types.ts';

const found = (name: string): FoundEngine => ({
  ...{ name, version: '1', wheel: '', sha256: '', date: '', library: 'x.so' },
  ...{ folder: '/engines', libraryPath: `/engines/${name}.so` },
});
const choose = (hasGpuDriver: boolean, ...names: string[]) =>
  chooseEngine({ hasGpuDriver, installed: (name) => (names.includes(name) ? found(name) : undefined) });

describe('the automatic engine', () => {
  it('is onnxruntime, and says how a GPU is used where there is one', () => {
    expect(choose(false, 'xla-cpu', 'xla-cuda13')).toEqual({
      type: 'onnxruntime',
      reason: 'the fastest on processors',
    });
    expect(choose(true).reason).toMatch(/engine install xla-cuda12 or xla-cuda13, then engine\.type: xla/);
    expect(choose(true, 'xla-cuda12').reason).toMatch(/xla-cuda12 1 is installed: engine\.type: xla/);
    expect(choose(true, 'xla-cuda12', 'xla-cuda13').reason).toMatch(/xla-cuda13 1 is installed/);
  });

  it('is named when it is opened; one that was asked for is not', async () => {
    vi.stubEnv('AFFECTGPT_ENGINES', '/nowhere');
    const said: string[] = [];
    const engine = await createEngine({ type: 'auto', threads: 1 }, (message) => void said.push(message));
    expect(engine.name).toBe('onnxruntime');
    expect(said).toEqual([expect.stringMatching(/^Engine: onnxruntime \(engine\.type is auto: /)]);
    await createEngine({ type: 'cpu' }, (message) => void said.push(message));
    expect(said).toHaveLength(1);
    vi.unstubAllEnvs();
  });
});

describe('the self-test', () => {
  it('passes on an engine that computes, and fails on one that is a little off', async () => {
    const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
    expect((await selfTest(engine)).difference).toBeLessThan(1e-5);
    for (const wrong of [1.001, Number.NaN]) {
      const off: Engine = {
        name: 'off',
        createState: engine.createState.bind(engine),
        async compile(...args) {
          const compiled = await engine.compile(...args);
          return {
            name: compiled.name,
            dispose: () => compiled.dispose(),
            async run(inputs) {
              const outputs = await compiled.run(inputs);
              const { second } = outputs as { second: HostTensor };
              return {
                ...outputs,
                second: { ...second, data: (second.data as Float32Array).map((v) => v * wrong) },
              };
            },
          };
        },
      };
      await expect(selfTest(off)).rejects.toThrow(/off computes something else/);
    }
  });
});

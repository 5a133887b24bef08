import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { COMPAT_PRESETS } from '../../src/config/compat.ts';
import { loadConfig } from '../../src/config/load.ts';
import { mmlaTaskKeys } from '../../src/data/mmla/tasks.ts';

/** Every file of configs/; a new one is one line here. */
const EXPECTED = [
  'meld-text-lora.yaml',
  ...['base', 'it', 'audio', 'frames', 'faces', 'text-small'].map((name) => `mmla-${name}.yaml`),
  ...mmlaTaskKeys.map((key) => `mmla-sft-${key.toLowerCase()}.yaml`),
  'no-prefusion.yaml',
  'no-prefusion-0.5b.yaml',
  'no-prefusion-1.5b.yaml',
  'no-prefusion-3b.yaml',
  'prefusion-attn.yaml',
  'prefusion-attn-0.5b.yaml',
  'prefusion-attn-1.5b.yaml',
  'prefusion-attn-3b.yaml',
  'prefusion-qformer.yaml',
  'prefusion-qformer-0.5b.yaml',
  'prefusion-qformer-1.5b.yaml',
  'prefusion-qformer-3b.yaml',
  'quickstart.yaml',
];

const load = (config: string) => loadConfig({ config, folder: '/' }).config;

describe('the configurations that come with the package', () => {
  it('are these', () => {
    // Sweeps are no configurations; test/sweep/shipped.test.ts has them.
    const configurations = readdirSync('configs').filter((name) => !name.includes('sweep-'));
    expect(configurations.sort()).toEqual([...EXPECTED].sort());
  });

  it.each(EXPECTED)('%s is valid, says what it is and how to run it, and has its own output', (name) => {
    const text = readFileSync(`configs/${name}`, 'utf8');
    expect(text).toMatch(/^# \S/);
    expect(text).toContain(`--config ${name}`);
    const folder = `runs/${name.replace('.yaml', '')}`;
    expect(load(name).output).toBe(name === 'quickstart.yaml' ? `${folder}/all` : folder);
  });

  it('reproduce the published default and its ablation', () => {
    const [published, qformer, none] = ['prefusion-attn', 'prefusion-qformer', 'no-prefusion'].map(load);
    expect(published?.train).toMatchObject({ steps: 300000, batchSize: 3, clipNorm: null, seed: 42 });
    expect(published?.compat).toMatchObject({
      bosAtInference: false,
      faceColorOrder: 'bgr',
      audioTail: 'div8',
    });
    expect(qformer?.fusion).toMatchObject({
      multi: 'qformer',
      queryTokens: { multi: 16, video: 1, audio: 1 },
    });
    expect(none).toMatchObject({ fusion: { multi: 'none' }, model: { inputs: 'face' } });
    expect({ ...qformer, fusion: 0, output: 0 }).toEqual({ ...published, fusion: 0, output: 0 });
  });

  it('differ by size in the language model, the output and compat alone', () => {
    for (const base of ['prefusion-attn', 'prefusion-qformer', 'no-prefusion']) {
      for (const size of ['0.5B', '1.5B', '3B']) {
        const config = load(`${base}-${size.toLowerCase()}`);
        expect(config.model.llm).toBe(`Qwen/Qwen2.5-${size}-Instruct`);
        const { llm: _, ...model } = load(base).model;
        // No published row to reproduce: the quirks of the published code are left out.
        expect(config).toMatchObject({
          ...load(base),
          compat: COMPAT_PRESETS.fixed,
          model,
          output: `runs/${base}-${size.toLowerCase()}`,
        });
      }
    }
  });
});

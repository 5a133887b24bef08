import { beforeAll, describe, expect, it } from 'vitest';
import { adapterConfigJson, loraTargets, parseAdapterConfig } from '../../lora/config.ts';
import { initAdapter } from '../../lora/init.ts';
import { mergeAdapter } from '../../lora/merge.ts';
import { adapterTensorShapes, fromPeftName, toPeftName, toPublishedName } from '../../lora/names.ts';
import { decoderTensorShapes, parseDecoderConfig } from '../../model/decoder-config.ts';
import type { HostTensorMap } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { fixturePath, readJson, readTensors } from '../support/fixture.ts';

let shapes: Record<string, number[]>;
let stored: HostTensorMap;
let config: Record<string, unknown>;

beforeAll(async () => {
  shapes = decoderTensorShapes(parseDecoderConfig(await readJson(fixturePath('qwen2_lora/config.json'))));
  stored = await readTensors(fixturePath('qwen2_lora/adapter/adapter_model.safetensors'));
  config = (await readJson(fixturePath('qwen2_lora/adapter/adapter_config.json'))) as typeof config;
});

describe('adapter names', () => {
  const ours = 'model.layers.27.self_attn.q_proj.lora_A.weight';

  it('are read in every published form and written back', () => {
    const peft = 'base_model.model.model.layers.27.self_attn.q_proj.lora_A.weight';
    const published = 'llama_model.base_model.model.model.layers.27.self_attn.q_proj.lora_A.default.weight';
    for (const name of [ours, peft, published, peft.replace('lora_A', 'lora_A.mine')]) {
      expect(fromPeftName(name)).toBe(ours);
    }
    expect(toPeftName(ours)).toBe(peft);
    expect(toPublishedName(ours)).toBe(published);
    for (const name of ['affectgpt_proj.weight', 'model.norm.weight', 'm.lora_A.bias', 'm.lora_C.weight']) {
      expect(fromPeftName(name)).toBeNull();
    }
  });

  it('and shapes are those that peft saves', () => {
    const expected = Object.fromEntries(Object.entries(stored).map(([name, tensor]) => [name, tensor.shape]));
    const actual = adapterTensorShapes(shapes, { rank: 4, targets: loraTargets });
    expect(
      Object.fromEntries(Object.entries(actual).map(([name, shape]) => [toPeftName(name), shape])),
    ).toEqual(expected);
  });

  it('are of the chosen projections only', () => {
    const some = adapterTensorShapes(shapes, { rank: 2, targets: ['v_proj', 'down_proj'] });
    expect(Object.keys(some).length).toBe(2 * 2 * 2);
    expect(some['model.layers.1.mlp.down_proj.lora_A.weight']).toEqual([2, 96]);
    expect(some['model.layers.1.mlp.down_proj.lora_B.weight']).toEqual([64, 2]);
  });
});

describe('initAdapter', () => {
  it('draws A evenly within 1 / sqrt(in), by name, and leaves B zero', () => {
    const all = adapterTensorShapes(shapes, { rank: 4, targets: loraTargets });
    const adapter = initAdapter(all, 3);
    const name = 'model.layers.0.mlp.down_proj.lora_A.weight';
    const a = adapter[name]!.data as Float32Array;
    const bound = 1 / Math.sqrt(96);
    const largest = Math.max(...a.map(Math.abs));
    expect(largest).toBeLessThanOrEqual(bound);
    expect(largest).toBeGreaterThan(0.97 * bound);
    expect(Math.abs(a.reduce((sum, value) => sum + value, 0) / a.length)).toBeLessThan(bound / 8);
    expect(adapter['model.layers.0.mlp.down_proj.lora_B.weight']!.data.every((value) => value === 0)).toBe(
      true,
    );
    expect(initAdapter({ [name]: all[name]! }, 3)[name]).toEqual(adapter[name]);
    expect(initAdapter(all, 4)[name]).not.toEqual(adapter[name]);
  });
});

describe('mergeAdapter', () => {
  it('refuses an adapter of another model and one with a part missing', () => {
    const weights: HostTensorMap = {
      'm.weight': { dtype: 'float32', shape: [2, 2], data: new Float32Array(4) },
    };
    const a = { dtype: 'float32', shape: [1, 3], data: new Float32Array(3) } as const;
    const b = { dtype: 'float32', shape: [2, 1], data: new Float32Array(2) } as const;
    expect(() => mergeAdapter(weights, { 'm.lora_A.weight': a, 'm.lora_B.weight': b }, 1)).toThrow(
      /\[rank, 2\]/,
    );
    expect(() => mergeAdapter(weights, { 'm.lora_B.weight': b }, 1)).toThrow(
      /"m".*adapter matrices is missing/,
    );
    expect(() => mergeAdapter(weights, { 'n.lora_A.weight': a, 'n.lora_B.weight': b }, 1)).toThrow(
      /"n".*no such weight/,
    );
  });
});

describe('adapter configuration', () => {
  const settings = { rank: 4, alpha: 8, dropout: 0, targets: [...loraTargets] };

  it('is read as peft writes it, and what is written is read back', () => {
    expect(parseAdapterConfig(config)).toEqual(settings);
    const some = { rank: 16, alpha: 32, dropout: 0.05, targets: ['q_proj', 'v_proj'] as const };
    const json = JSON.parse(JSON.stringify(adapterConfigJson(some, 'Qwen/Qwen2.5-7B-Instruct')));
    expect(parseAdapterConfig(json)).toEqual(some);
    expect(parseAdapterConfig({ ...config, target_modules: 'all-linear' }).targets).toEqual(settings.targets);
    const stabilised = parseAdapterConfig({ ...config, use_rslora: true });
    expect(stabilised.alpha / stabilised.rank).toBeCloseTo(settings.alpha / Math.sqrt(settings.rank), 12);
    for (const key of Object.keys(json)) expect(config, `${key} is a key of peft`).toHaveProperty(key);
  });

  it.each([
    [{ peft_type: 'PREFIX_TUNING' }, 'PREFIX_TUNING'],
    [{ use_dora: true }, 'use_dora'],
    [{ use_rslora: 'yes' }, 'use_rslora'],
    [{ bias: 'all' }, 'bias'],
    [{ rank_pattern: { q_proj: 8 } }, 'rank_pattern'],
    [{ modules_to_save: ['lm_head'] }, 'modules_to_save'],
    [{ target_modules: ['q_proj', 'lm_head'] }, 'lm_head'],
    [{ target_modules: [] }, 'target_modules'],
    [{ init_lora_weights: 'pissa' }, 'pissa'],
    [{ some_new_option: 3 }, 'some_new_option'],
    [{ r: 0 }, '"r" is 0'],
    [{ lora_dropout: 1 }, 'lora_dropout'],
  ])('refuses %j', (change, text) => {
    const parse = () => parseAdapterConfig({ ...config, ...change });
    expect(parse).toThrow(InputError);
    expect(parse).toThrow(text);
  });

  it('names all faults at once', () => {
    expect(() => parseAdapterConfig({})).toThrow(/peft_type.*"r".*lora_alpha.*target_modules/);
  });
});

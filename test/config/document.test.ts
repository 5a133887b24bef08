import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { configJsonSchema, configReference } from '../../src/config/document.ts';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { configKeys } from '../../src/config/outline.ts';
import { renderConfig } from '../../src/config/save.ts';
import { editDistance, suggest } from '../../src/config/suggest.ts';
import { folderWith } from './files.ts';

describe('the schema', () => {
  it('describes every key and has its sections in the published order', () => {
    for (const key of configKeys()) {
      expect(key.description, key.path).toMatch(/\w.*\.$/);
    }
    expect(
      configKeys()
        .filter(({ path }) => !path.includes('.'))
        .map(({ path }) => path),
    ).toEqual([
      'model',
      'fusion',
      'lora',
      'data',
      'train',
      'engine',
      'compat',
      'generation',
      'evaluation',
      'output',
    ]);
    expect(
      configKeys()
        .filter(({ required }) => required)
        .map(({ path }) => path),
    ).toEqual(['data.template.prompt', 'data.template.answer', 'train.schedule.type', 'output']);
  });

  it('gives a JSON Schema that refuses unknown keys and knows extends', () => {
    const schema = JSON.parse(JSON.stringify(configJsonSchema()));
    expect(schema.additionalProperties).toBe(false);
    expect(schema.properties.extends.anyOf).toEqual([
      { type: 'string' },
      { type: 'array', items: { type: 'string' } },
    ]);
    expect(schema.properties.train.properties.steps).toMatchObject({
      type: 'integer',
      minimum: 1,
      default: 300000,
    });
  });

  it('is what docs/config.md says (affectgpt config schema --format markdown > docs/config.md)', () => {
    expect(readFileSync('docs/config.md', 'utf8')).toBe(configReference());
  });
});

describe('a saved configuration', () => {
  const file = 'data: {manifest: a.jsonl}\noutput: runs/x\ncompat: {audioTail: div7}\n';

  it('marks what the user gave', () => {
    const loaded = loadConfig({
      config: 'a',
      set: ['lora.targets=[q_proj]'],
      folder: folderWith({ 'a.yaml': file }),
    });
    const text = renderConfig(loaded.config, loaded.sources);
    const marked = text.split('\n').filter((line) => line.endsWith('# set by user'));
    expect(marked.map((line) => line.trim())).toEqual([
      'targets: [q_proj] # set by user',
      'manifest: a.jsonl # set by user',
      'audioTail: div7 # set by user',
      'output: runs/x # set by user',
    ]);
  });

  it('holds every key and loads again to the same configuration', () => {
    const values = {
      ...parse(file),
      train: { schedule: { type: 'warmup-cosine', warmupSteps: 3 }, optimizer: { lr: 3e-7, eps: 1e-12 } },
    };
    const config = parseConfig(values);
    const folder = folderWith({ 'config.yaml': renderConfig(config) });
    expect(loadConfig({ config: 'config.yaml', folder }).config).toEqual(config);
    expect(parse(renderConfig(config))).toEqual(config);
  });

  it('names the preset that its switches equal', () => {
    const config = (compat: unknown) => parseConfig({ ...parse(file), compat });
    expect(renderConfig(config('fixed'))).toContain('# as in preset "fixed"');
    expect(renderConfig(config({ audioTail: 'div8' }))).not.toContain('as in preset');
  });
});

describe('suggestions', () => {
  it('count insertions, deletions, replacements and swaps', () => {
    expect(editDistance('', 'abc')).toBe(3);
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('sedd', 'seed')).toBe(1);
    expect(editDistance('form', 'from')).toBe(1);
  });

  it('offer the nearest word, or none that is far', () => {
    expect(suggest('batch_size', ['steps', 'batchSize'])).toBe('batchSize');
    expect(suggest('stpes', ['steps', 'seed'])).toBe('steps');
    expect(suggest('colour', ['steps', 'seed'])).toBeUndefined();
  });
});

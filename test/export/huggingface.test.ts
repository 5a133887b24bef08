import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { planShards } from '../../src/export/huggingface/shards.ts';
import { openCheckpoint } from '../../src/io/checkpoint-folder.ts';
import { sha256File } from '../../src/io/checksum.ts';
import type * as filesystem from '../../src/io/filesystem.ts';
import { openSafetensors, readFloat32, readTensor, type SafetensorsEntry } from '../../src/io/safetensors.ts';
import { makeWorkspace, run, set, succeed } from '../e2e/workspace.ts';

const disk = vi.hoisted(() => ({ capacity: Number.POSITIVE_INFINITY }));

vi.mock('../../src/io/filesystem.ts', async (importOriginal) => {
  const original = await importOriginal<typeof filesystem>();
  return {
    ...original,
    writeAll: async (...[handle, data]: Parameters<typeof filesystem.writeAll>) => {
      if ((await handle.stat()).size + data.byteLength > disk.capacity) {
        throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC', syscall: 'write' });
      }
      await original.writeAll(handle, data);
    },
  };
});

afterEach(() => {
  disk.capacity = Number.POSITIVE_INFINITY;
});

const { path, config } = await makeWorkspace();
const train = (name: string, settings: Record<string, unknown> = {}) =>
  succeed(
    'train',
    '--config',
    config,
    ...set({ output: path(name), 'train.steps': 2, 'train.log.every': 2, ...settings }),
  );
const exportRun = (trained: string, output: string, ...more: string[]) =>
  run('export', 'hf', '--checkpoint', path(trained), '--output', path(output), ...more);

type Entries = ReadonlyMap<string, SafetensorsEntry>;
const values = async (entries: Entries): Promise<Record<string, Float32Array>> =>
  Object.fromEntries(
    await Promise.all([...entries].map(async ([name, entry]) => [name, await readFloat32(entry)] as const)),
  );
const json = async (...names: string[]) =>
  JSON.parse(await readFile(path(...names), 'utf8')) as Record<string, unknown>;
const checkpoint = (name: string, file: string) => path(name, 'checkpoints', 'step-000002', file);

await train('run');

describe('export hf', () => {
  it('writes the merged decoder, the adapter, and fusion and projectors', async () => {
    const { exitCode, out, err } = await exportRun('run', 'plain');
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    expect(out).toMatch(/^\S+plain: 10 files; the decoder in float32, /);
    expect(out).toContain('\nThe base model has no generation_config.json: merged/ lacks it too.\n');
    const all = await readdir(path('plain'), { recursive: true, withFileTypes: true });
    const files = all.filter((entry) => entry.isFile()).map(({ name }) => name);
    expect(files.toSorted()).toEqual(
      [
        'README.md',
        'adapter_config.json',
        'adapter_model.safetensors',
        'affectgpt.json',
        'affectgpt.safetensors',
        'checksums.json',
        'config.json',
        'model.safetensors',
        'tokenizer.json',
        'tokenizer_config.json',
      ].toSorted(),
    );
    const { files: listed } = await json('plain', 'checksums.json');
    const sums = Object.entries(listed as Record<string, { sha256: string }>);
    expect(sums).toHaveLength(9);
    for (const [name, { sha256 }] of sums) expect(await sha256File(path('plain', name)), name).toBe(sha256);
    for (const name of ['adapter_model.safetensors', 'affectgpt.safetensors']) {
      const folder = name.startsWith('adapter') ? ['plain', 'adapter'] : ['plain'];
      const written = await values((await openSafetensors(path(...folder, name))).entries);
      const saved = await values((await openSafetensors(checkpoint('run', name))).entries);
      expect(written, name).toEqual(saved);
    }
  });

  it('adds the product of the adapter to the weights below it, and to no other', async () => {
    const base = await values(await openCheckpoint(path('models', 'llm')));
    const merged = await values(await openCheckpoint(path('plain', 'merged')));
    const adapter = await values(
      (await openSafetensors(checkpoint('run', 'adapter_model.safetensors'))).entries,
    );
    expect(Object.keys(merged).toSorted()).toEqual(Object.keys(base).toSorted());
    let changed = 0;
    for (const [name, weight] of Object.entries(base)) {
      const module = `base_model.model.${name.replace(/\.weight$/, '')}`;
      const a = adapter[`${module}.lora_A.weight`];
      const b = adapter[`${module}.lora_B.weight`];
      if (a === undefined || b === undefined) {
        expect(merged[name], name).toEqual(weight);
        continue;
      }
      changed++;
      // Rank 4, alpha 8.
      const inputs = a.length / 4;
      const expected = weight.map((value, i) => {
        const [row, column] = [Math.floor(i / inputs), i % inputs];
        const product = [0, 1, 2, 3].reduce((sum, r) => sum + b[row * 4 + r]! * a[r * inputs + column]!, 0);
        return value + 2 * product;
      });
      expect(merged[name], name).not.toEqual(weight);
      merged[name]!.forEach((value, i) => {
        expect(Math.abs(value - expected[i]!), name).toBeLessThan(1e-6);
      });
    }
    expect(changed).toBe(14);
  });

  it('describes what it wrote', async () => {
    expect(await json('plain', 'merged', 'config.json')).toEqual({
      ...(await json('models', 'llm', 'config.json')),
      architectures: ['Qwen2ForCausalLM'],
      torch_dtype: 'float32',
    });
    expect(await json('plain', 'adapter', 'adapter_config.json')).toMatchObject({
      base_model_name_or_path: path('models', 'llm'),
      peft_type: 'LORA',
      r: 4,
      lora_alpha: 8,
    });
    const described = await json('plain', 'affectgpt.json');
    const { entries } = await openSafetensors(path('plain', 'affectgpt.safetensors'));
    const shapes = Object.fromEntries([...entries].map(([name, { shape }]) => [name, shape]));
    const tensors = described.tensors as Record<string, { shape: number[]; part: string; trained: boolean }>;
    expect(Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]))).toEqual(
      shapes,
    );
    expect(tensors['multi_llama_proj.weight']).toMatchObject({ part: 'projectors', trained: true });
    expect(described).toMatchObject({
      format: 'affectgpt-huggingface',
      decoder: { merged: 'merged', dtype: 'float32', adapter: 'adapter', trained: 'lora' },
      prompt: {
        placeholders: expect.arrayContaining([
          { slot: 'multi', text: '<MultiHere>', id: expect.any(Number) },
        ]),
      },
      inputs: { mode: 'multiframe_audio_frame_text', slots: ['multi', 'audio', 'frame'] },
      fusion: { multi: 'attention', audio: 'attention' },
    });
    const readme = await readFile(path('plain', 'README.md'), 'utf8');
    expect(readme).toContain(`PeftModel.from_pretrained(base, "adapter")`);
    expect(readme).toContain(path('models', 'llm'));
  });

  it('names a base model of the hub by its id and revision', async () => {
    const commit = 'a'.repeat(40);
    const repository = path('hub', 'models--somebody--tiny');
    await cp(path('models', 'llm'), join(repository, 'snapshots', commit), { recursive: true });
    await mkdir(join(repository, 'refs'));
    await writeFile(join(repository, 'refs', 'v1'), commit);
    vi.stubEnv('HF_HUB_CACHE', path('hub'));
    const { exitCode } = await exportRun('run', 'of-hub', '--set', 'model.llm=somebody/tiny@v1');
    vi.unstubAllEnvs();
    expect(exitCode).toBe(0);
    expect(await json('of-hub', 'adapter', 'adapter_config.json')).toMatchObject({
      base_model_name_or_path: 'somebody/tiny',
      revision: 'v1',
    });
    const readme = await readFile(path('of-hub', 'README.md'), 'utf8');
    expect(readme).toContain('from_pretrained("somebody/tiny", revision="v1")');
  });

  it.each([
    ['bfloat16', 'BF16', 8],
    ['float16', 'F16', 11],
  ])('rounds to the nearest %s', async (dtype, stored, bits) => {
    const { exitCode } = await exportRun('run', dtype, '--dtype', dtype);
    expect(exitCode).toBe(0);
    expect(await json(dtype, 'merged', 'config.json')).toMatchObject({ torch_dtype: dtype });
    const entries = await openCheckpoint(path(dtype, 'merged'));
    const full = await values(await openCheckpoint(path('plain', 'merged')));
    let differing = 0;
    const wrong: unknown[] = [];
    for (const [name, entry] of entries) {
      expect(entry.dtype).toBe(stored);
      (await readFloat32(entry)).forEach((value, i) => {
        const exact = full[name]![i]!;
        // Half a step of a number of this size.
        const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(exact) || 1)), -14) - bits);
        if (value !== exact) differing++;
        if (!(Math.abs(value - exact) <= step)) wrong.push({ name, exact, value });
      });
    }
    expect(wrong).toEqual([]);
    expect(differing).toBeGreaterThan(1000);
    const { entries: adapter } = await openSafetensors(path(dtype, 'adapter', 'adapter_model.safetensors'));
    expect(new Set([...adapter.values()].map((entry) => entry.dtype))).toEqual(new Set(['F32']));
  });

  it('divides what is large into shards with an index', async () => {
    const { openRun } = await import('../../src/predict/open-run.ts');
    const { openAffectGpt } = await import('../../src/runtime/affectgpt.ts');
    const { exportHuggingFace } = await import('../../src/export/huggingface/export-huggingface.ts');
    const opened = await openRun(path('run'));
    const model = await openAffectGpt(opened.config);
    await exportHuggingFace(path('shards'), { ...opened, model, dtype: 'float32', largestShard: 40_000 });
    const index = await json('shards', 'merged', 'model.safetensors.index.json');
    const shards = [...new Set(Object.values(index.weight_map as Record<string, string>))];
    expect(shards.length).toBeGreaterThan(3);
    expect(shards[0]).toBe(`model-00001-of-0000${shards.length}.safetensors`);
    const whole = await openCheckpoint(path('plain', 'merged'));
    const divided = await openCheckpoint(path('shards', 'merged'));
    expect(await values(divided)).toEqual(await values(whole));
    const bytes = [...whole.values()].reduce((sum, { begin, end }) => sum + end - begin, 0);
    expect(index.metadata).toEqual({ total_size: bytes });
    const sizes = new Map([
      ['a', 6],
      ['b', 4],
      ['c', 5],
      ['d', 20],
      ['e', 1],
    ]);
    expect(planShards(sizes, 10)).toEqual([['a', 'b'], ['c'], ['d'], ['e']]);
  });

  it('leaves the adapter out where there is none; keeps tied embeddings tied', async () => {
    await cp(path('models', 'llm'), path('models', 'tied'), { recursive: true });
    const file = path('models', 'tied', 'config.json');
    await writeFile(
      file,
      JSON.stringify({ ...(await json('models', 'llm', 'config.json')), tie_word_embeddings: true }),
    );
    await writeFile(path('models', 'tied', 'generation_config.json'), '{"do_sample": true}');
    const more = { 'train.steps': 2, 'model.llm': path('models', 'tied') };
    await train('full', { ...more, 'train.parts.decoder': 'full', 'train.parts.fusion': 'frozen' });
    const { out } = await exportRun('full', 'whole');
    expect(out).toContain('\nNo adapter/: the decoder was trained as a whole.\n');
    expect(out).not.toContain('generation_config');
    expect(existsSync(path('whole', 'adapter'))).toBe(false);
    expect(await json('whole', 'merged', 'generation_config.json')).toEqual({ do_sample: true });
    const merged = await openCheckpoint(path('whole', 'merged'));
    expect(merged.has('lm_head.weight')).toBe(false);
    const { entries: saved } = await openSafetensors(checkpoint('full', 'affectgpt.safetensors'));
    for (const [name, entry] of merged)
      expect(await readTensor(entry), name).toEqual(await readTensor(saved.get(name)!));
    const { entries: fusion } = await openSafetensors(path('whole', 'affectgpt.safetensors'));
    expect([...fusion.keys()].filter((name) => name.startsWith('model.'))).toEqual([]);
    const { tensors } = (await json('whole', 'affectgpt.json')) as {
      tensors: Record<string, { trained: boolean }>;
    };
    // Not in the checkpoint, and needed all the same.
    expect(saved.has('fc_att.weight')).toBe(false);
    expect(fusion.has('fc_att.weight')).toBe(true);
    expect(tensors['fc_att.weight']!.trained).toBe(false);

    await train('frozen', { 'train.parts.decoder': 'frozen' });
    expect((await exportRun('frozen', 'untrained')).out).toContain(
      '\nNo adapter/: the decoder was not trained; ',
    );
    expect(await values(await openCheckpoint(path('untrained', 'merged')))).toEqual(
      await values(await openCheckpoint(path('models', 'llm'))),
    );
  });
});

describe('export hf refuses', () => {
  const refused = async (trained: string, output: string, more: readonly string[], message: RegExp) => {
    const before = await readdir(path());
    const { exitCode, out, err } = await exportRun(trained, output, ...more);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(message);
    expect(await readdir(path())).toEqual(before);
  };

  it.each([
    ['a folder that is no run', 'clips', 'x', [], /^error\[RUN_NOT_FOUND\]: [^\n]*\n$/],
    ['to overwrite', 'run', 'plain', [], /^error\[FOLDER_EXISTS\]: [^\n]*\n$/],
    ['an unknown format', 'run', 'x', ['--dtype', 'int8'], /^error\[USAGE\]: [^\n]*bfloat16[^\n]*\n$/],
    [
      'a missing base model',
      'run',
      'x',
      ['--set', 'model.llm=nowhere'],
      /^error\[MODEL_NOT_FOUND\]: [\s\S]*model\.llm "nowhere"/,
    ],
  ])('%s', (_, trained, output, more, message) => refused(trained, output, more, message));

  it('a full disk', async () => {
    disk.capacity = 30_000;
    await refused(
      'run',
      'x',
      [],
      /^error\[DISK_FULL\]: [^\n]*model\.safetensors[^\n]*bytes are needed[^\n]*\n$/,
    );
  });

  it('numbers that float16 does not hold', async () => {
    await cp(path('models', 'llm'), path('models', 'large'), { recursive: true });
    const file = path('models', 'large', 'model.safetensors');
    const { entries } = await openSafetensors(file);
    const bytes = await readFile(file);
    bytes.writeFloatLE(70_000, entries.get('model.layers.0.mlp.up_proj.weight')!.begin + 8);
    await writeFile(file, bytes);
    const more = ['--dtype', 'float16', '--set', `model.llm=${join(path('models', 'large'))}`];
    await refused(
      'run',
      'x',
      more,
      /^error\[EXPORT_FLOAT16_RANGE\]: model\.layers\.0\.mlp\.up_proj\.weight holds (70000|69999\.9)/,
    );
  });
});

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import { writeSafetensors } from '../../src/io/safetensors.ts';
import { fixturePath, readJson, readTensors } from '../support/fixture.ts';
import { parityCommand } from './command.ts';
import { largestOf } from './compare.ts';
import type { Comparison, Golden } from './handler.ts';
import { parityKinds } from './kinds.ts';
import type { Report } from './runner.ts';

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function parity(...argv: string[]): Promise<Outcome> {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const exitCode = await parityCommand(argv, { stdout: stream('stdout'), stderr: stream('stderr') });
  return { exitCode, ...written };
}

async function report(...argv: string[]): Promise<Report & { exitCode: number }> {
  const { exitCode, stdout } = await parity('--json', ...argv);
  return { exitCode, ...(JSON.parse(stdout) as Report) };
}

const misses = (tensors: readonly Comparison[]): string[] =>
  tensors.filter(({ ok }) => !ok).map(({ tensor }) => tensor);

describe('the fixtures of the repository', () => {
  it('hold on onnxruntime, every kind of them', async () => {
    const folders: string[] = [];
    for (const folder of (await readdir(fixturePath(''))).map(fixturePath)) {
      const file = path.join(folder, 'golden.json');
      // The published code's results take longest, and have tests of their own.
      if (!existsSync(file) || ((await readJson(file)) as Golden).fixture === 'affectgpt') continue;
      folders.push(folder);
    }
    const { exitCode, fixtures, ok } = await report(...folders);
    for (const { folder, tensors, error } of fixtures) {
      expect({ folder, error, misses: misses(tensors) }).toEqual({ folder, error: undefined, misses: [] });
    }
    expect({ exitCode, ok }).toEqual({ exitCode: 0, ok: true });
    const elsewhere = ['llama', 'affectgpt'];
    const kinds = new Set(fixtures.map(({ kind }) => kind));
    expect(kinds).toEqual(new Set(Object.keys(parityKinds).filter((kind) => !elsewhere.includes(kind))));
    expect(kinds.size).toBe(10);
  });

  it.each(['wasm', 'cpu'])('hold on %s: decoder, adapter, Q-Former and optimizer', async (engine) => {
    const folders = ['qwen2', 'qwen2_lora', 'bert_qformer', 'adamw'].map(fixturePath);
    const { exitCode, fixtures } = await report('--engine', engine, ...folders);
    for (const { folder, tensors } of fixtures) {
      expect({ folder, misses: misses(tensors) }).toEqual({ folder, misses: [] });
    }
    expect(exitCode).toBe(0);
    // Of each expected tensor one comparison, and one more for each file that is there in another form.
    expect(fixtures.map(({ tensors }) => tensors.length)).toEqual([2 * 12, 2 * 64, 57, 9]);
  });

  it('are compared by the script, too, which passes over files', async () => {
    const argv = ['--import', 'tsx', fixturePath('../parity/main.ts')];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      ...argv,
      fixturePath('README.md'),
      fixturePath('adamw'),
    ]);
    expect(stderr).toMatch(/README\.md is a file, not a folder: passed over/);
    expect(stdout).toMatch(/^params\.0 +\d\.\d\de-\d+ +\d\.\d\de-\d+ +1\.00e-5 +ok$/m);
    expect(stdout).toMatch(/^ok {3}.*adamw \| adamw \| 9 of 9 tensors \| largest error \d/m);
    expect(stdout).toMatch(/\nok: 1 of 1 folders on onnxruntime\n$/);
  });
});

describe('a fixture', () => {
  let root: string;
  let copies = 0;
  beforeAll(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'parity-test-'));
  });
  afterAll(() => rm(root, { recursive: true }));

  interface Changeable {
    golden: {
      fixture: string;
      notes: string[];
      tensors: Record<string, { role: string; dtype: string; shape: number[]; max_abs_diff?: number | null }>;
    };
    tensors: Record<string, HostTensor>;
  }

  /** A copy of a fixture's description and results after a change; the files of its model as they are. */
  async function changed(name: string, change: (fixture: Changeable) => void): Promise<string> {
    const folder = path.join(root, `${copies++}-${name}`);
    await cp(fixturePath(name), folder, { recursive: true });
    // Other forms of a file are tested with qwen2; here they would only double the work.
    if (name === 'qwen2_lora') await rm(path.join(folder, 'config.transformers5.json'), { force: true });
    const fixture: Changeable = {
      golden: (await readJson(path.join(folder, 'golden.json'))) as Changeable['golden'],
      tensors: { ...(await readTensors(path.join(folder, 'golden.safetensors'))) },
    };
    change(fixture);
    for (const file of ['golden.json', 'golden.safetensors'])
      await rm(path.join(folder, file), { force: true });
    await writeFile(path.join(folder, 'golden.json'), JSON.stringify(fixture.golden));
    await writeGolden(path.join(folder, 'golden.safetensors'), fixture.tensors);
    return folder;
  }

  async function writeGolden(file: string, tensors: HostTensorMap): Promise<void> {
    const stored = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
      if (dtype === 'float32') return [name, { dtype: 'F32', shape, data: data as Float32Array }] as const;
      return [name, { dtype: 'I32', shape, data: Int32Array.from(data) }] as const;
    });
    await writeSafetensors(file, Object.fromEntries(stored));
  }

  /** The same tensor with one element moved. */
  const moved = (tensor: HostTensor, by: number): HostTensor => {
    const data = Float32Array.from(tensor.data);
    data[1]! += by;
    return { ...tensor, data };
  };

  it('with a wrong number is a miss that is named, and ends the program with 1', async () => {
    const folder = await changed('adamw', ({ tensors }) => {
      tensors['exp_avg.1'] = moved(tensors['exp_avg.1']!, 1e-4);
    });
    const { exitCode, fixtures } = await report(folder, fixturePath('adamw'));
    expect(exitCode).toBe(1);
    expect(misses(fixtures[0]!.tensors)).toEqual(['exp_avg.1']);
    expect(fixtures.map(({ ok }) => ok)).toEqual([false, true]);
    const { stdout } = await parity(folder);
    expect(stdout).toMatch(/^exp_avg\.1 +1\.00e-4 +\S+ +8\.00e-6 +MISS$/m);
    expect(stdout).toMatch(/^MISS .*8 of 9 tensors/m);
  });

  it.each([
    ['qwen2', 'generate.tokens', 1],
    ['qwen2', 'embeds.grad', 1e-3],
    ['qwen2_lora', 'train.losses', 1e-3],
    ['qwen2_lora', 'final.base_model.model.model.layers.1.mlp.up_proj.lora_B.weight', 1e-4],
    ['qwen2_lora', 'merged.model.layers.0.mlp.down_proj.weight', 1e-4],
    ['bert_qformer', 'grad.queries', 0.1],
    ['clip_vision', 'resized_u8', 2],
    ['hubert', 'features_joint', 1e-3],
  ])('%s does not hold with another %s', async (name, tensor, by) => {
    const folder = await changed(name, ({ golden, tensors }) => {
      // The rest is computed elsewhere.
      golden.tensors = Object.fromEntries(
        Object.entries(golden.tensors).filter(([key, { role }]) => role === 'input' || key === tensor),
      );
      const { dtype } = tensors[tensor]!;
      tensors[tensor] = { ...moved(tensors[tensor]!, by), dtype };
    });
    const { exitCode, fixtures } = await report(folder);
    expect(exitCode).toBe(1);
    expect(new Set(misses(fixtures[0]!.tensors).map((miss) => miss.replace(/^.*: /, '')))).toEqual(
      new Set([tensor]),
    );
    expect(fixtures[0]!.undescribed?.length).toBeGreaterThan(0);
  });

  it('of an unknown kind fails, and the others still run', async () => {
    const folder = await changed('adamw', ({ golden }) => {
      golden.fixture = 'mamba';
    });
    const { exitCode, fixtures } = await report(folder, fixturePath('adamw'));
    expect(exitCode).toBe(1);
    expect(fixtures[0]).toMatchObject({ kind: 'mamba', ok: false, tensors: [] });
    expect(fixtures[0]!.error).toMatch(/"mamba" is not a known kind.*qwen2_lora/);
    expect(fixtures[1]!.ok).toBe(true);
  });

  it('is not ok with an expected tensor that nobody knows', async () => {
    for (const name of ['adamw', 'qwen2', 'qwen2_lora', 'bert_qformer', 'clip_vision', 'hubert']) {
      const folder = await changed(name, ({ golden, tensors }) => {
        tensors['some.thing'] = { dtype: 'float32', shape: [1], data: Float32Array.of(0) };
        golden.tensors = {
          'some.thing': { role: 'expected', dtype: 'float32', shape: [1], max_abs_diff: 1 },
        };
      });
      const { exitCode, fixtures } = await report(folder);
      expect(exitCode, name).toBe(1);
      expect(misses(fixtures[0]!.tensors), name).toContain('some.thing');
      expect(fixtures[0]!.tensors[0]!.note).toMatch(/is not (known|computed)/);
    }
  });

  it('is not ok with a gradient of what the model does not have', async () => {
    const folder = await changed('qwen2', ({ golden, tensors }) => {
      const name = 'grad.model.layers.7.mlp.up_proj.weight';
      tensors[name] = tensors.loss!;
      golden.tensors = { loss: golden.tensors.loss!, [name]: golden.tensors.loss! };
    });
    const { fixtures } = await report(folder);
    const [loss, gradient] = fixtures[0]!.tensors;
    expect(loss!.ok).toBe(true);
    expect(gradient).toMatchObject({ ok: false, maxAbsError: null });
    expect(gradient!.note).toMatch(/no weight "model\.layers\.7\.mlp\.up_proj\.weight"/);
  });

  it('is not ok with wrong shapes, missing tensors and numbers that are none', async () => {
    const folder = await changed('adamw', ({ golden, tensors }) => {
      tensors['params.0'] = { ...tensors['params.0']!, shape: [10, 7, 5] };
      golden.tensors['params.0']!.shape = [10, 7, 5];
      golden.tensors['exp_avg.0']!.shape = [5, 7];
      delete tensors['exp_avg_sq.0'];
      tensors['params.1'] = moved(tensors['params.1']!, Number.NaN);
      tensors['grads.2'] = moved(tensors['grads.2']!, Number.NaN);
    });
    const { exitCode, fixtures } = await report(folder);
    expect(exitCode).toBe(1);
    const notes = Object.fromEntries(
      fixtures[0]!.tensors.map(({ tensor, ok, note }) => [tensor, ok || note]),
    );
    expect(notes).toEqual({
      'params.0': 'has shape [10, 5, 7], expected [10, 7, 5]',
      'exp_avg.0': 'is [10, 5, 7] in golden.safetensors, [5, 7] in golden.json',
      'exp_avg_sq.0': 'golden.safetensors does not hold it',
      'params.1': 'holds expected values that are not finite',
      'exp_avg.1': true,
      'exp_avg_sq.1': true,
      'params.2': 'holds computed values that are not finite',
      'exp_avg.2': 'holds computed values that are not finite',
      'exp_avg_sq.2': 'holds computed values that are not finite',
    });
    expect(fixtures[0]!.tensors[0]).toMatchObject({ maxAbsError: null, maxRelError: null, ok: false });
  });

  it('that names no tolerances is held to the rule for all', async () => {
    const unbounded = ({ golden }: Changeable) => {
      for (const tensor of Object.values(golden.tensors)) delete tensor.max_abs_diff;
    };
    const folders = [
      await changed('qwen2', unbounded),
      await changed('qwen2_lora', unbounded),
      await changed('bert_qformer', unbounded),
    ];
    const { exitCode, fixtures } = await report(...folders);
    for (const { tensors } of fixtures) expect(misses(tensors)).toEqual([]);
    expect(exitCode).toBe(0);
    const find = (index: number, name: string): Comparison =>
      fixtures[index]!.tensors.find(({ tensor }) => tensor === name)!;
    const stored = await readTensors(path.join(folders[0]!, 'golden.safetensors'));
    const largest = largestOf(stored['grad.model.layers.0.self_attn.k_proj.weight']!.data);
    const gradient = find(0, 'grad.model.layers.0.self_attn.k_proj.weight');
    expect(gradient.tolerance).toBeCloseTo(2e-4 * largest, 10);
    expect(gradient.note).toMatch(/no tolerance given: 0\.0002 of the largest value, as for every gradient/);
    expect(find(0, 'logits').note).toMatch(/padding.*0\.00001 of the largest value, as for every output/);
    expect(find(0, 'generate.tokens')).toMatchObject({ tolerance: 0, note: expect.stringMatching(/equal/) });
    const final = find(1, 'final.base_model.model.model.layers.0.mlp.up_proj.lora_A.weight');
    expect(final.note).toMatch(/gradient is rounding noise/);
    // A key's bias has no gradient but rounding: the gradient of its weight is the measure.
    const bias = find(2, 'grad.encoder.layer.0.attention.attention.key.bias');
    expect(bias.maxAbsError).toBeLessThan(1e-4);
    expect(bias.tolerance).toBeGreaterThan(1e-3);
  });

  it('says of an adapter with what settings it was trained', async () => {
    const only = ['train.losses', 'final.logits'];
    const train = (notes: (text: string) => string): Promise<string> =>
      changed('qwen2_lora', ({ golden }) => {
        golden.notes = golden.notes.map(notes);
        for (const [name, { role }] of Object.entries(golden.tensors)) {
          if (role === 'expected' && !only.includes(name)) delete golden.tensors[name];
        }
      });
    const faster = await train((text) => text.replace('lr 1e-3', 'lr 2e-3'));
    const silent = await train((text) => text.replace('eps 1e-8', 'eps as usual'));
    const { fixtures } = await report(faster, silent);
    expect(misses(fixtures[0]!.tensors)).toContain('train.losses');
    expect(misses(fixtures[1]!.tensors)).toEqual([]);
    const losses = fixtures[1]!.tensors.find(({ tensor }) => tensor === 'train.losses');
    expect(losses!.note).toMatch(/do not say: eps 1e-8 assumed/);
  });

  it('with a model that does not fit is not ok, whichever file it is in', async () => {
    const folder = await changed('qwen2', () => {});
    const file = path.join(folder, 'config.transformers5.json');
    const config = JSON.parse(await readFile(file, 'utf8')) as { rope_parameters: { rope_theta: number } };
    await rm(file, { force: true });
    await writeFile(
      file,
      JSON.stringify({ ...config, use_sliding_window: true, layer_types: ['sliding_attention'] }),
    );
    const other = path.join(folder, 'config.wrong-theta.json');
    await writeFile(
      other,
      JSON.stringify({ ...config, rope_parameters: { rope_type: 'default', rope_theta: 1e4 } }),
    );
    const { exitCode, fixtures } = await report(folder);
    expect(exitCode).toBe(1);
    const missed = fixtures[0]!.tensors.filter(({ ok }) => !ok);
    expect(missed.some(({ tensor }) => tensor === 'logits')).toBe(false);
    expect(missed.find(({ tensor }) => tensor === 'config.transformers5.json')!.note).toMatch(
      /DECODER_CONFIG_INVALID.*sliding_attention/,
    );
    expect(missed.map(({ tensor }) => tensor)).toContain('config.wrong-theta.json: logits');
  });
});

describe('a model file that is cut off', () => {
  it('is told once, under its own path', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'parity-cut-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await cp(fixturePath('clip_vision'), folder, { recursive: true });
    // Written anew: what was copied may be read-only.
    const weights = (await readFile(path.join(folder, 'model.safetensors'))).subarray(0, 5000);
    await rm(path.join(folder, 'model.safetensors'), { force: true });
    await writeFile(path.join(folder, 'model.safetensors'), weights);
    const { exitCode, stdout } = await parity(folder);
    expect(exitCode).toBe(1);
    expect(stdout.match(/SAFETENSORS_HEADER_TOO_LARGE/g)).toHaveLength(1);
    expect(stdout).toContain(`${folder}/model.safetensors is not a valid safetensors file`);
    expect(stdout).not.toContain('affectgpt-parity-');
  });
});

describe('the command line', () => {
  it('ends with 2 where a folder cannot be read', async () => {
    const { exitCode, fixtures } = await report('/nowhere/at/all', fixturePath('adamw'));
    expect(exitCode).toBe(2);
    expect(fixtures[0]!.error).toMatch(/FILE_NOT_FOUND.*golden\.json/);
    expect(fixtures[1]!.ok).toBe(true);
  });

  it.each([
    [[], /Name a folder/],
    [['--engine', 'abacus', 'x'], /abacus/],
    [['--engine', 'cpu', '--engine', 'wasm', 'x'], /more than once/],
    [['x', '--fast'], /fast/],
    [[fixturePath('README.md')], /None of the arguments is a folder/],
  ])('refuses %j with 2', async (argv, message) => {
    const { exitCode, stdout, stderr } = await parity(...argv);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/error\[USAGE\]/);
  });
});

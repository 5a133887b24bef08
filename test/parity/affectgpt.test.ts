import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import {
  openSafetensors,
  readTensor,
  type SafetensorsTensor,
  writeSafetensors,
} from '../../src/io/safetensors.ts';
import { fixturePath, readJson } from '../support/fixture.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { affectGptHandler } from './affectgpt.ts';
import type { Comparison, Golden } from './handler.ts';

const whole = fixturePath('affectgpt_reference');
const engine = await createEngine({ type: 'onnxruntime', threads: 1 });

type Json = Record<string, never>;
type Tensors = Record<string, SafetensorsTensor & { readonly data: Float32Array }>;

interface Changes {
  readonly variants?: readonly string[];
  /** Changes the content of `golden.json`, which holds no raw media and no answers. */
  readonly golden?: (golden: Json, original: Json) => void;
  /** Content of files beside those that the variants need; a function changes that of the original. */
  readonly files?: Readonly<Record<string, string | ((tensors: Tensors) => void)>>;
}

/** Compares a folder with some of the variants. */
async function compare({ variants = [], golden: change, files = {} }: Changes): Promise<Comparison[]> {
  const folder = await temporaryFolder();
  const original = (await readJson(join(whole, 'golden.json'))) as Json;
  const golden = structuredClone(original) as Record<string, unknown>;
  golden.variants = Object.fromEntries(variants.map((name) => [name, original.variants![name]!]));
  delete golden.raw;
  delete golden.generation;
  change?.(golden as Json, original);
  const needed = [
    'llm.safetensors',
    'prompts.json',
    ...variants.map((name) => `variant-${name}.safetensors`),
  ];
  for (const name of needed.filter((name) => files[name] === undefined)) {
    await symlink(join(whole, name), join(folder, name));
  }
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === 'string') {
      await writeFile(join(folder, name), content);
      continue;
    }
    const tensors: Record<string, SafetensorsTensor> = {};
    for (const entry of (await openSafetensors(join(whole, name))).entries.values()) {
      tensors[entry.name] = { dtype: entry.dtype, shape: entry.shape, data: await readTensor(entry) };
    }
    content(tensors as Tensors);
    await writeSafetensors(join(folder, name), tensors);
  }
  return affectGptHandler({ folder, golden: golden as unknown as Golden, tensors: {} }, engine);
}

const missesOf = (comparisons: readonly Comparison[]): string[] =>
  comparisons.filter(({ ok }) => !ok).map(({ tensor }) => tensor);

describe('the results of the published code', () => {
  it('are those of this program', { timeout: 300_000 }, async () => {
    const golden = (await readJson(join(whole, 'golden.json'))) as Golden;
    const comparisons = await affectGptHandler({ folder: whole, golden, tensors: {} }, engine);
    expect(comparisons.filter(({ ok }) => !ok)).toEqual([]);
    expect(comparisons.length).toBe(2132);
    const left = comparisons.filter(({ note }) => note?.startsWith('not compared'));
    expect(left.map(({ tensor }) => tensor).filter((name) => !name.includes('generate_arguments'))).toEqual([
      // Variants with gradients of Q-Formers.
      ...['attention-qformer', 'qformer-attention', 'qformer-mean', 'qformer-qformer', 'none-qformer'].map(
        (name) => expect.stringMatching(`^variant-${name}.safetensors \\d+ tensors .*key.bias$`),
      ),
      'golden.json raw.after_model_train',
      expect.stringContaining('linear_warmup_step_lr (from epoch 1)'),
    ]);
  });
});

describe('a folder of results', () => {
  it('is compared as far as it goes', async () => {
    const comparisons = await compare({ variants: ['image-mean'] });
    expect(missesOf(comparisons)).toEqual([]);
    const names = comparisons.map(({ tensor }) => tensor);
    for (const name of [
      'llm.safetensors',
      'variant-image-mean.safetensors param/',
      'variant-image-mean.safetensors out/encode_image.llm',
      'variant-image-mean.safetensors input/labels',
      'golden.json variants.image-mean.grad_none',
      'golden.json variants.image-mean.five_steps_lr_1e-3.losses[4]',
      'prompts.json prompts.image|ovlabel.text',
    ]) {
      expect(names).toContain(name);
    }
  });

  it('misses whatever was changed in it, and whatever nobody knows', async () => {
    const comparisons = await compare({
      variants: ['image-mean'],
      golden: (golden) => {
        const facts = golden.variants!['image-mean']! as unknown as {
          loss: number;
          answers: string[];
          grad_none: string[];
          grad_norms: Record<string, number>;
          param_groups: { names: string[] }[];
          'five_steps_lr_1e-3': { losses: number[] };
          surprise: number;
        };
        facts.loss *= 1 + 2e-5;
        facts.grad_none.pop();
        facts.grad_norms['image_llama_proj.weight']! *= 1.001;
        facts.param_groups[0]!.names.push('image_llama_proj.bias');
        facts['five_steps_lr_1e-3'].losses[3]! += 1e-3;
        facts.surprise = 1;
        Object.assign(golden, { extra: {} });
      },
      files: {
        'variant-image-mean.safetensors': (tensors) => {
          tensors['out/encode_image.llm']!.data[5]! += 0.01;
          tensors['input/attention_masks']!.data[2] = 0;
          const some = { dtype: 'F32', shape: [1], data: new Float32Array(1) } as const;
          Object.assign(tensors, {
            'out/something': some,
            'input/smell': some,
            'grad/nobody': some,
            'x/y': some,
          });
          Object.assign(tensors, { 'after5/nobody': some, 'after7/image_llama_proj.bias': some });
        },
        'weights.bin': '',
      },
    });
    const facts = 'golden.json variants.image-mean.';
    const file = 'variant-image-mean.safetensors ';
    expect(missesOf(comparisons).sort()).toEqual(
      expect.arrayContaining(
        [
          ...['loss', 'grad_none', 'grad_norms.image_llama_proj.weight', 'param_groups[0].names'],
          ...['five_steps_lr_1e-3.losses[3]', 'surprise'],
        ]
          .map((name) => facts + name)
          .concat(
            [
              ...['out/encode_image.llm', 'input/attention_masks', 'out/something', 'input/smell'],
              ...['grad/nobody', 'x/y', 'after5/nobody', 'after7/image_llama_proj.bias'],
            ].map((name) => file + name),
            ['golden.json extra', 'weights.bin'],
          ),
      ),
    );
  });

  it('holds late losses against what rounding does to them, where it grows from step to step', async () => {
    const comparisons = await compare({
      variants: ['image-mean', 'image-patches-token'],
      golden: (golden) => {
        for (const name of ['image-mean', 'image-patches-token']) {
          const facts = golden.variants![name]! as unknown as {
            'five_steps_lr_1e-3': { losses: number[]; loss_after: number };
          };
          facts['five_steps_lr_1e-3'].losses[4]! -= 1e-4;
          facts['five_steps_lr_1e-3'].loss_after += 5e-3;
        }
      },
    });
    const lossOf = (name: string): Comparison | undefined =>
      comparisons.find(({ tensor }) => tensor === `golden.json variants.${name}`);
    expect(lossOf('image-mean.five_steps_lr_1e-3.losses[4]')!.ok).toBe(true);
    expect(lossOf('image-mean.five_steps_lr_1e-3.loss_after')!.ok).toBe(false);
    // Computed in float64, these are 0.9e-5 of themselves away from the stored ones.
    expect(lossOf('image-patches-token.five_steps_lr_1e-3.losses[4]')).toMatchObject({
      ok: true,
      note: expect.stringMatching(/^the rule allows 1.23e-4, but/),
    });
    expect(lossOf('image-patches-token.five_steps_lr_1e-3.loss_after')!.ok).toBe(false);
  });

  it('misses what cannot be computed, with the reason', async () => {
    const comparisons = await compare({
      variants: ['image-mean', 'gone'],
      golden: (golden, original) => {
        const { after_model_train: training } = original.raw! as Json;
        Object.assign(golden, {
          variants: { gone: original.variants!['image-mean']! },
          raw: {
            wave_1_clips_before: { means: [1] },
            hubert_input_0: { mean: 0 },
            smell: 1,
            after_model_train: training,
          },
          generation: { stop_ids: [[1]], surprise: 1 },
        });
      },
      files: {
        'variant-gone.safetensors': '',
        'raw.safetensors': (tensors) => {
          for (const name of Object.keys(tensors)) {
            if (/^(clip|hubert|param|e2e|gen0)\//.test(name)) delete tensors[name];
          }
        },
      },
    });
    const notes = Object.fromEntries(
      comparisons.filter(({ ok }) => !ok).map(({ tensor, note }) => [tensor, note]),
    );
    expect(notes).toMatchObject({
      'variant-gone': expect.stringContaining('variant-gone.safetensors'),
      'golden.json raw.wave_1_clips_before.means': expect.stringContaining('shape [8]'),
      'golden.json raw.hubert_input_0': expect.stringContaining('No hubert encoder'),
      'raw.safetensors out/clip_frames': expect.stringContaining('No clip encoder'),
      'golden.json raw.smell': expect.stringContaining('not known'),
      'golden.json generation.stop_ids': expect.stringContaining('missing 1'),
      'golden.json generation.surprise': expect.stringContaining('not known'),
    });
    const training = comparisons.find(({ tensor }) => tensor === 'golden.json raw.after_model_train');
    expect(training).toMatchObject({ ok: true, note: expect.stringContaining('not compared') });
  });

  it('needs a tokenizer and tolerances that can be read', async () => {
    const [missed] = await compare({ golden: (golden) => Object.assign(golden, { compare: 'as you like' }) });
    expect(missed).toMatchObject({ tensor: 'golden.json compare', ok: false });
    const broken = { 'tokenizer.json': '{}', 'tokenizer_config.json': '{}' };
    const comparisons = await compare({ files: broken });
    expect(comparisons).toContainEqual(
      expect.objectContaining({
        tensor: 'prompts.json',
        ok: false,
        note: expect.stringContaining('TOKENIZER'),
      }),
    );
  });
});

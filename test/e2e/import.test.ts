import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toPublishedName } from '../../lora/names.ts';
import { openSafetensors, readFloat32, readTensor, writeSafetensors } from '../../src/io/safetensors.ts';
import { fixturePath, readJson } from '../support/fixture.ts';
import { qwenTokenizerFolder } from '../support/qwen-tokenizer.ts';
import { RawOpcodes, TensorToWrite, type ValueToWrite, writeTorch } from '../support/torch-file.ts';
import { makeWorkspace, readLines, readTensorFiles, run, set, succeed } from './workspace.ts';

const { path, config, manifest, rows } = await makeWorkspace();
await succeed('train', '--config', config, ...set({ 'train.steps': 4 }));
const trained = path('run', 'checkpoints', 'step-000004');
const clip = path('clips', 'videos', `${rows[1]!.name}.mp4`);

const answers = async (runFolder: string, name: string) => {
  await succeed('predict', '--checkpoint', runFolder, '--data', manifest, '--output', path(name));
  return readLines(path(name));
};

/** Runs a command that has to be refused with this code; gives the message. */
async function refused(code: string, ...argv: string[]): Promise<string> {
  const { exitCode, out, err } = await run(...argv);
  const message = err.slice(Math.max(err.indexOf('error['), 0));
  expect(message).toMatch(new RegExp(`^error\\[${code}\\]: .+\n$`, 's'));
  expect(message).not.toMatch(/\n {4}at |undefined/);
  expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
  return message;
}

/** The trained tensors under the names of the published code, and what else it saves. */
async function publishedModel(): Promise<Record<string, ValueToWrite>> {
  const model: Record<string, ValueToWrite> = {
    'visual_encoder.model.embeddings.position_ids': new TensorToWrite(
      'I64',
      [1, 2],
      BigInt64Array.of(0n, 1n),
    ),
  };
  for (const name of ['adapter_model', 'affectgpt']) {
    for (const entry of (await openSafetensors(join(trained, `${name}.safetensors`))).entries.values()) {
      const own = entry.name.replace('base_model.model.', '');
      const stored = name === 'affectgpt' ? entry.name : toPublishedName(own);
      model[stored] = new TensorToWrite('F32', entry.shape, await readFloat32(entry));
    }
  }
  return model;
}

const published = await publishedModel();
/** As the published code keeps it, for the model of the workspace. */
const publishedConfig = {
  run: { init_lr: 1e-5, min_lr: 1e-5, weight_decay: 0.05, max_epoch: 60, iters_per_epoch: 5, seed: 3 },
  model: {
    ...{ arch: 'affectgpt', llama_model: 'Qwen25', acoustic_encoder: 'HUBERT_LARGE' },
    ...{ visual_encoder: 'CLIP_VIT_LARGE', frozen_llm: false, lora_r: 4, max_length: 512, ckpt: null },
    ...{ multi_fusion_type: 'attention', video_fusion_type: 'attention', audio_fusion_type: 'attention' },
    ...{ num_audio_query_token: 1, num_video_query_token: 1, num_multi_query_token: 1 },
    vis_processor: { train: { name: 'alpro_video_train', n_frms: 8 } },
  },
  datasets: { mercaptionplus: { face_or_frame: 'multiframe_audio_frame_text', label_type: 'hybird' } },
};
/** What the published code does not know: where the models are, and that the tiny run has another scale. */
const local = set({
  'model.llm': path('models', 'llm'),
  'model.visualEncoder.model': path('models', 'visual'),
  'model.audioEncoder.model': path('models', 'audio'),
  'lora.alpha': 8,
  'engine.threads': 1,
  'generation.maxNewTokens': 16,
});
const importing = (file: string, output: string, ...more: string[]) => [
  ...['import', path(file), '--output', path(output)],
  ...more,
];
await writeTorch(path('reference.pth'), {
  model: published,
  optimizer: { state: {}, param_groups: [] },
  config: publishedConfig,
  scaler: { scale: 65536 },
  epoch: 2,
});

describe('a published checkpoint', () => {
  it('becomes a run that answers as the one it was made of, weight by weight the same', async () => {
    const { out, err } = await succeed(
      ...importing('reference.pth', 'imported', ...local, ...set({ compat: 'fixed' })),
    );
    const checkpoint = path('imported', 'checkpoints', 'step-000010');
    expect(out).toBe(`${checkpoint}\n`);
    expect(err).toMatch(/^\d+ tensors, \d+ parameters, taken over as step 10 \(epoch 2\)\.\n/);
    expect(err).toMatch(/^Left out: the optimizer's state/m);
    expect(err).toMatch(/^Left out: buffers .*visual_encoder\.model\.embeddings\.position_ids/m);
    const { optimizer: _, ...expected } = await readTensorFiles(trained);
    await cp(join(trained, 'optimizer.safetensors'), join(checkpoint, 'optimizer.safetensors'));
    expect(await readTensorFiles(checkpoint)).toMatchObject(expected);
    await rm(join(checkpoint, 'optimizer.safetensors'));
    expect(await answers(path('imported'), 'imported.jsonl')).toEqual(
      await answers(path('run'), 'trained.jsonl'),
    );
  });

  it('says in its configuration and state what is known', async () => {
    await succeed('config', 'validate', '--config', path('imported', 'config.yaml'));
    const text = await readFile(path('imported', 'config.yaml'), 'utf8');
    expect(text).toContain('inputs: multiframe_audio_frame_text');
    expect(text).toContain('steps: 300');
    expect(text).toMatch(/llm: .*models\/llm # set by user/);
    const state = await readJson(path('imported', 'checkpoints', 'step-000010', 'state.json'));
    expect(state).toMatchObject({ step: 10, epoch: 2, imported: { file: path('reference.pth') } });
  });

  it('cannot be trained on, and says so', async () => {
    const argv = ['train', '--config', path('imported', 'config.yaml')];
    const more = set({
      'data.manifest': manifest,
      'data.dataset': null,
      'data.featureCache': path('features'),
    });
    expect(await refused('RESUME_IMPORTED', ...argv, ...more)).toMatch(/was imported.*another output folder/);
  });

  it('is never written over a folder that is there', async () => {
    expect(await refused('RUN_EXISTS', ...importing('reference.pth', 'run', ...local))).toContain(
      path('run'),
    );
  });

  it('takes what it does not say from a configuration, and corrects what it knows better', async () => {
    await writeTorch(path('bare.pth'), published);
    await succeed(...importing('bare.pth', 'bare', '--config', config));
    expect(await answers(path('bare'), 'bare.jsonl')).toEqual(await readLines(path('trained.jsonl')));
    const message = await refused('IMPORT_CONFIG_MISSING', ...importing('bare.pth', 'none'));
    expect(message).toContain('--config prefusion-attn');
    const other = ['--config', config, ...set({ 'fusion.multi': 'qformer' })];
    expect(await refused('IMPORT_MISMATCH', ...importing('bare.pth', 'none', ...other))).toMatch(
      /missing: multi_Qformer[\s\S]*and \d+ more/,
    );
    await writeFile(
      path('wrong.yaml'),
      `extends: ${config}\nfusion: { video: mean }\nlora: { rank: 8, alpha: 8 }\n`,
    );
    const { err } = await succeed(...importing('reference.pth', 'corrected', '--config', path('wrong.yaml')));
    expect(err).toContain('As in the checkpoint: lora.rank is 4, not 8.');
    expect(err).toContain('As in the checkpoint: fusion.video is "attention", not "mean".');
    expect(err).toContain('As in the checkpoint: lora.alpha is 32, not 8.');
  });

  it('may be in half precision', async () => {
    const half: Record<string, ValueToWrite> = { ...published };
    half['fc_att.bias'] = new TensorToWrite('F16', [2], Uint16Array.of(0x3c00, 0xb800));
    half['fc_att.weight'] = new TensorToWrite('BF16', [2, 16], new Uint16Array(32).fill(0x3f80));
    await writeTorch(path('half.pth'), half);
    await succeed(...importing('half.pth', 'half', '--config', config));
    const file = await openSafetensors(path('half', 'checkpoints', 'step-000000', 'affectgpt.safetensors'));
    expect([...(await readTensor(file.entries.get('fc_att.bias')!))]).toEqual([1, -0.5]);
    expect(new Set((await readTensor(file.entries.get('fc_att.weight')!)) as Float32Array)).toEqual(
      new Set([1]),
    );
  });
});

describe('a checkpoint that does not fit', () => {
  it('has every wrong tensor named at once', async () => {
    const { 'fc_att.bias': _, ...rest } = published;
    const wrong = {
      ...rest,
      'affectgpt_proj.weight': new TensorToWrite('F32', [2], new Float32Array(2)),
      'audio_llama_proj.bias': new TensorToWrite('I64', [32], new BigInt64Array(32)),
      'visual_encoder.layer.weight': new TensorToWrite('F32', [1], new Float32Array(1)),
      'base_model.model.model.layers.0.mlp.up_proj.lora_A.weight':
        published[toPublishedName('model.layers.0.mlp.up_proj.lora_A.weight')]!,
    };
    await writeTorch(path('wrong.pth'), { model: wrong, config: publishedConfig });
    const message = await refused('IMPORT_MISMATCH', ...importing('wrong.pth', 'none', ...local));
    expect(message).toContain('wrong shape: affectgpt_proj.weight is [2], the model has [32, 12]');
    expect(message).toContain('missing: fc_att.bias [2]');
    expect(message).toContain('unexpected: visual_encoder.layer.weight [1]');
    expect(message).toContain('wrong type: audio_llama_proj.bias is I64');
    expect(message).toMatch(/twice: .*up_proj\.lora_A/);
    expect(message.match(/\n {2}- /g)).toHaveLength(5);
    await expect(readFile(path('none', 'config.yaml'))).rejects.toThrow('ENOENT');
  });

  it('of other models is refused with their names, or the command that gets them', async () => {
    const missing = await refused('MODEL_NOT_FOUND', ...importing('reference.pth', 'none'));
    expect(missing).toMatch(/model\.llm .*affectgpt pull Qwen\/Qwen2\.5-7B-Instruct/);
    expect(missing).toMatch(/affectgpt pull openai\/clip-vit-large-patch14/);
    const others = {
      ...publishedConfig,
      model: { ...publishedConfig.model, llama_model: 'Baichuan2', acoustic_encoder: 'IMAGEBIND' },
    };
    await writeTorch(path('others.pth'), { model: published, config: others });
    const message = await refused('IMPORT_MODEL_UNKNOWN', ...importing('others.pth', 'none'));
    expect(message).toMatch(/model\.llm is "Baichuan2"; model\.audioEncoder\.model is "IMAGEBIND"/);
    await succeed(...importing('others.pth', 'named', ...local, '--llm', path('models', 'llm')));
  });

  it('that would run code is refused, and nothing runs', async () => {
    const message = await refused(
      'PICKLE_FORBIDDEN',
      ...['import', fixturePath('torch/forbidden-system.pth'), '--output', path('none')],
    );
    expect(message).toMatch(/forbidden-system\.pth, data\.pkl, byte \d+: it refers to posix\.system/);
    await expect(readFile('/tmp/affectgpt-was-here')).rejects.toThrow('ENOENT');
    const omegaconf = new RawOpcodes('comegaconf.dictconfig\nDictConfig\n)\x81');
    await writeTorch(path('omega.pth'), { model: published, config: omegaconf });
    expect(await refused('PICKLE_FORBIDDEN', ...importing('omega.pth', 'none'))).toMatch(
      /omegaconf\.dictconfig\.DictConfig.*torch\.save\(torch\.load\(/,
    );
  });

  it('is told from other files', async () => {
    await writeFile(path('empty.pth'), '');
    await writeTorch(path('config-only.pth'), { config: publishedConfig });
    await mkdir(path('folder'));
    expect(await refused('TORCH_UNKNOWN_FORMAT', ...importing('empty.pth', 'none'))).toContain('it is empty');
    expect(await refused('IMPORT_NO_MODEL', ...importing('config-only.pth', 'none'))).toContain('"config"');
    expect(await refused('IMPORT_NOT_FOUND', ...importing('nowhere.pth', 'none'))).toContain('nowhere.pth');
    expect(await refused('IMPORT_NOT_FOUND', ...importing('folder', 'none'))).toContain(
      'adapter_config.json',
    );
    // Models that are missing are another matter, which comes after the file.
    await writeTorch(path('another.pth'), {
      model: { 'encoder.weight': new TensorToWrite('F32', [1], Float32Array.of(1)) },
      config: publishedConfig,
    });
    expect(await refused('IMPORT_NO_MODEL', ...importing('another.pth', 'none'))).toMatch(
      /another\.pth is of another model: none of its 1 tensors .*\(encoder\.weight\)/,
    );
    expect(await refused('USAGE', 'import', path('empty.pth'))).toContain('output');
  });
});

describe('a PEFT adapter', () => {
  it('becomes a run that is given text alone', async () => {
    const adapter = path('adapter');
    await mkdir(adapter);
    for (const name of ['adapter_model.safetensors', 'adapter_config.json']) {
      await cp(join(trained, name), join(adapter, name));
    }
    const { out } = await succeed(
      ...importing('adapter', 'adapted', ...set({ 'data.manifest': manifest, 'engine.threads': 1 })),
    );
    const saved = await readFile(join(trained, 'adapter_model.safetensors'));
    expect(await readFile(join(out.trim(), 'adapter_model.safetensors'))).toEqual(saved);
    const asked = await succeed(
      'predict',
      '--checkpoint',
      path('adapted'),
      clip,
      '--max-new-tokens',
      '4',
      '--json',
    );
    expect(JSON.parse(asked.out).tokens).toBeGreaterThan(0);
    // In torch's format, as older versions of PEFT wrote it.
    const tensors: Record<string, ValueToWrite> = {};
    for (const entry of (
      await openSafetensors(join(adapter, 'adapter_model.safetensors'))
    ).entries.values()) {
      tensors[entry.name] = new TensorToWrite('F32', entry.shape, await readFloat32(entry));
    }
    await rm(join(adapter, 'adapter_model.safetensors'));
    await writeTorch(join(adapter, 'adapter_model.bin'), tensors);
    await succeed(...importing('adapter', 'adapted-bin', ...set({ 'data.manifest': manifest })));
    expect(
      await readFile(path('adapted-bin', 'checkpoints', 'step-000000', 'adapter_model.safetensors')),
    ).toEqual(saved);
    const other = ['--config', config];
    expect(await refused('IMPORT_MISMATCH', ...importing('adapter', 'none', ...other))).toContain(
      'missing: affectgpt_proj.weight',
    );
  });
});

const imagePreprocessing = {
  ...{ size: 224, crop_size: 224, do_resize: true },
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
};

describe('the checkpoint that torch wrote of the reference results', () => {
  it('is imported without a configuration, bit for bit, and answers', async () => {
    const golden = (await readJson(fixturePath('affectgpt_reference/golden.json'))) as {
      tiny_model_configs: Record<'qwen2' | 'clip_vision' | 'hubert', object>;
    };
    const { qwen2, clip_vision, hubert } = golden.tiny_model_configs;
    const models = {
      llm: path('reference', 'llm'),
      visual: path('reference', 'visual'),
      audio: path('reference', 'audio'),
    };
    await cp(qwenTokenizerFolder(), models.llm, { recursive: true });
    for (const [folder, content] of [
      [models.llm, qwen2],
      [models.visual, { model_type: 'clip_vision_model', ...clip_vision }],
      [models.audio, hubert],
    ] as const) {
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'config.json'), JSON.stringify(content));
    }
    await writeFile(join(models.visual, 'preprocessor_config.json'), JSON.stringify(imagePreprocessing));
    await cp(fixturePath('hubert/preprocessor_config.json'), join(models.audio, 'preprocessor_config.json'));
    const copyTensors = async (file: string, to: string, rename: (name: string) => string | null) => {
      const { entries } = await openSafetensors(fixturePath(`affectgpt_reference/${file}`));
      const tensors = [...entries.values()].flatMap((entry) => {
        const name = rename(entry.name);
        const { dtype, shape } = entry;
        return name === null ? [] : [[name, { dtype, shape, data: () => readTensor(entry) }] as const];
      });
      await writeSafetensors(join(to, 'model.safetensors'), Object.fromEntries(tensors));
    };
    await copyTensors('llm.safetensors', models.llm, (name) =>
      name.includes('.lora_')
        ? null
        : name.replace('llama_model.base_model.model.', '').replace('.base_layer.', '.'),
    );
    const below = (prefix: string) => (name: string) =>
      name.startsWith(prefix) ? name.slice(prefix.length) : null;
    await copyTensors('raw.safetensors', models.visual, below('clip/'));
    await copyTensors('raw.safetensors', models.audio, below('hubert/'));
    const { out, err } = await succeed(
      ...['import', fixturePath('torch/checkpoint_000060_loss_0.480.pth')],
      ...['--output', path('reference-run'), '--llm', models.llm],
      ...set({
        'model.visualEncoder.model': models.visual,
        'model.audioEncoder.model': models.audio,
        'engine.threads': 1,
        'data.featureCache': path('features'),
      }),
    );
    expect(out).toContain('step-300000');
    expect(err).toContain('taken over as step 300000 (epoch 60)');
    const saved = await Promise.all(
      ['adapter_model', 'affectgpt'].map((name) => openSafetensors(join(out.trim(), `${name}.safetensors`))),
    );
    const imported = new Map(saved.flatMap(({ entries }) => [...entries]));
    const expected = [
      ...(await openSafetensors(fixturePath('affectgpt_reference/llm.safetensors'))).entries.values(),
      ...(
        await openSafetensors(fixturePath('affectgpt_reference/variant-attention-attention.safetensors'))
      ).entries.values(),
    ].flatMap((entry) => {
      if (entry.name.startsWith('param/')) return [[entry.name.slice('param/'.length), entry] as const];
      const name = entry.name.replace('llama_model.', '').replace('.default', '');
      return entry.name.startsWith('llama_model') && name.includes('.lora_') ? [[name, entry] as const] : [];
    });
    expect([...imported.keys()].sort()).toEqual(expected.map(([name]) => name).sort());
    for (const [name, entry] of expected) {
      expect(await readTensor(imported.get(name)!), name).toEqual(await readTensor(entry));
    }
    const asked = await succeed(
      ...['predict', '--checkpoint', path('reference-run'), clip, '--json', '--max-new-tokens', '3'],
      ...set({ 'model.inputs': 'multiframe_audio_frame_text' }),
    );
    expect(JSON.parse(asked.out).tokens).toBe(3);
  });
});

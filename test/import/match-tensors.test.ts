import { describe, expect, it } from 'vitest';
import type { FusionConfig } from '../../fusion/config.ts';
import { fusionTensorShapes } from '../../fusion/parameters.ts';
import { adapterTensorShapes, toPublishedName } from '../../lora/names.ts';
import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { decoderTensorShapes, parseDecoderConfig } from '../../model/decoder.ts';
import { inputMode } from '../../model/modes.ts';
import { matchTensors } from '../../src/import/match-tensors.ts';
import type { SafetensorsEntry } from '../../src/io/safetensors.ts';
import { openSafetensors } from '../../src/io/safetensors.ts';
import { fixturePath, readJson } from '../support/fixture.ts';

interface Golden {
  readonly sizes: Readonly<Record<string, number>>;
  readonly tiny_model_configs: { readonly qwen2: object };
  readonly variants: Readonly<
    Record<
      string,
      {
        readonly config: Readonly<Record<string, number>>;
        readonly checkpoint_keys_outside_the_llm: readonly string[];
        readonly checkpoint_keys_in_the_llm: number;
      }
    >
  >;
}
const reference = (name: string) => fixturePath(`affectgpt_reference/${name}`);
const golden = (await readJson(reference('golden.json'))) as Golden;
const { sizes } = golden;
const decoder = parseDecoderConfig(golden.tiny_model_configs.qwen2);
const lora = { rank: sizes.lora_r!, alpha: 32, dropout: 0 };
const targets = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
const adapter = adapterTensorShapes(decoderTensorShapes(decoder), { ...lora, targets });

/** The model of a variant of the reference results, given its pictures and sound or not. */
function modelOf(variant: string, modalities = { pictures: true, sound: true }): AffectGptConfig {
  const [multi, pooling] = variant.split('-') as ['attention', 'attention'];
  const { config } = golden.variants[variant]!;
  const fusion: FusionConfig = {
    visualSize: modalities.pictures ? sizes.d_v! : null,
    audioSize: modalities.sound ? sizes.d_a! : null,
    hiddenSize: sizes.hidden!,
    ...{ frames: 8, patches: 1, audioClips: 8, image: 'mean' },
    ...{ multi: modalities.pictures && modalities.sound ? multi : 'none', video: pooling, audio: pooling },
    queryTokens: {
      multi: config.num_multi_query_token!,
      video: config.num_video_query_token!,
      audio: config.num_audio_query_token!,
      image: 1,
    },
    qformer: {
      hiddenSize: sizes.qf_hidden!,
      numAttentionHeads: sizes.qf_heads!,
      intermediateSize: sizes.qf_inter!,
      ...{ numHiddenLayers: 2, layerNormEps: 1e-12, crossAttentionFrequency: 1, dropout: 0 },
    },
  };
  return { decoder, fusion, lora, mode: inputMode('multiface_audio_face_text') };
}

/** Every key that the published code saved, with the shapes of the stored parameters. */
async function checkpointOf(variant: string): Promise<Map<string, SafetensorsEntry>> {
  const stored = (await openSafetensors(reference(`variant-${variant}.safetensors`))).entries;
  const entries = new Map<string, SafetensorsEntry>();
  const like = (name: string, shape: readonly number[]): SafetensorsEntry => ({
    ...{ name, dtype: 'F32', shape, file: 'reference.pth', begin: 0, end: 0 },
  });
  for (const name of golden.variants[variant]!.checkpoint_keys_outside_the_llm) {
    entries.set(name, stored.get(`param/${name}`) ?? like(name, [1, 512]));
  }
  for (const [name, shape] of Object.entries(adapter)) {
    entries.set(toPublishedName(name), like(toPublishedName(name), shape));
  }
  const tied = 'llama_model.base_model.model.lm_head.weight';
  entries.set(tied, like(tied, [decoder.vocabSize, decoder.hiddenSize]));
  return entries;
}

const match = (found: ReadonlyMap<string, SafetensorsEntry>, model: AffectGptConfig) =>
  matchTensors('reference.pth', found, { ...adapter, ...fusionTensorShapes(model.fusion) }, model);

describe('the keys of a published checkpoint', () => {
  it.each(['attention-attention', 'qformer-qformer'])(
    'are all taken or accounted for: %s',
    async (variant) => {
      const found = await checkpointOf(variant);
      const { checkpoint_keys_in_the_llm: inTheLlm } = golden.variants[variant]!;
      expect([...found.keys()].filter((name) => name.startsWith('llama_model.'))).toHaveLength(inTheLlm);
      const model = modelOf(variant);
      const { tensors, leftOut } = match(found, model);
      expect([...tensors.keys()].sort()).toEqual(
        Object.keys({ ...adapter, ...fusionTensorShapes(model.fusion) }).sort(),
      );
      const buffers = variant.startsWith('qformer')
        ? ['video', 'audio', 'multi'].map((branch) => `${branch}_Qformer.bert.embeddings.position_ids`)
        : [];
      expect([...leftOut.values()].flat().sort()).toEqual(
        [...buffers, 'llama_model.base_model.model.lm_head.weight'].sort(),
      );
      expect(tensors.size + [...leftOut.values()].flat().length).toBe(found.size);
    },
  );

  it('are left out where the inputs have no use for them, and named', async () => {
    const found = await checkpointOf('qformer-qformer');
    const { tensors, leftOut } = match(found, modelOf('qformer-qformer', { pictures: false, sound: true }));
    expect(tensors.has('audio_llama_proj.weight')).toBe(true);
    const unused = leftOut.get('branches that model.inputs does not use')!;
    for (const name of [
      'affectgpt_proj.weight',
      'image_llama_proj.bias',
      'video_query_tokens',
      'multi_query_tokens',
    ]) {
      expect(unused).toContain(name);
    }
    expect(unused.some((name) => name.startsWith('audio_'))).toBe(false);
    const text = match(found, modelOf('qformer-qformer', { pictures: false, sound: false }));
    expect([...text.tensors.keys()].every((name) => name.includes('.lora_'))).toBe(true);
    expect(text.tensors.size + [...text.leftOut.values()].flat().length).toBe(found.size);
  });

  it('are wrong where output weights come without being tied', async () => {
    const model = modelOf('attention-attention');
    const untied = { ...model, decoder: { ...decoder, tieWordEmbeddings: false } };
    const found = await checkpointOf('attention-attention');
    expect(() => match(found, untied)).toThrow(/unexpected: llama_model\.base_model\.model\.lm_head\.weight/);
  });
});

describe('an adapter that peft wrote', () => {
  it('is taken whole', async () => {
    const config = parseDecoderConfig(await readJson(fixturePath('qwen2_lora/config.json')));
    const { entries } = await openSafetensors(fixturePath('qwen2_lora/adapter/adapter_model.safetensors'));
    const shapes = adapterTensorShapes(decoderTensorShapes(config), { rank: 4, targets });
    const { tensors, leftOut } = matchTensors('adapter', entries, shapes, modelOf('attention-attention'));
    expect([...tensors.keys()].sort()).toEqual(Object.keys(shapes).sort());
    expect(tensors.size).toBe(entries.size);
    expect(leftOut.size).toBe(0);
  });
});

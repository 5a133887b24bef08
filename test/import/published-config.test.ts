import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { publishedConfig, unknownModelName } from '../../src/import/published-config.ts';
import type { PickleValue } from '../../src/io/pickle.ts';
import { openTorchCheckpoint } from '../../src/io/torch.ts';
import { fixturePath } from '../support/fixture.ts';

/** As a pickle gives dictionaries. */
const map = (value: object): PickleValue =>
  new Map(
    Object.entries(value).map(([key, member]) => [
      key,
      typeof member === 'object' && member !== null && !Array.isArray(member) ? map(member) : member,
    ]),
  );

describe('publishedConfig', () => {
  it('reads the shipped default as our configuration of the same row', async () => {
    const { content } = await openTorchCheckpoint(fixturePath('torch/checkpoint_000060_loss_0.480.pth'));
    const { defaults, facts, stepsPerEpoch } = publishedConfig(
      (content as Map<string, PickleValue>).get('config')!,
    );
    expect(defaults).toEqual({
      model: {
        llm: 'Qwen/Qwen2.5-7B-Instruct',
        visualEncoder: { type: 'clip', model: 'openai/clip-vit-large-patch14' },
        audioEncoder: { type: 'hubert', model: 'TencentGameMate/chinese-hubert-large' },
      },
      data: { dataset: 'mercaptionplus', labelType: 'hybird' },
      train: { steps: 300_000, batchSize: 3, optimizer: { lr: 1e-5, weightDecay: 0.05 }, seed: 42 },
      compat: 'reference',
    });
    expect(facts).toEqual({
      model: { inputs: 'multiface_audio_face_text', frames: 8, maxLength: 1024 },
      fusion: {
        ...{ multi: 'attention', video: 'attention', audio: 'attention' },
        queryTokens: { multi: 1, video: 1, audio: 1 },
      },
      lora: { rank: 8, alpha: 32, dropout: 0.05 },
      train: { parts: { decoder: 'lora' } },
    });
    expect(stepsPerEpoch).toBe(5000);
    parseConfig({ ...defaults, ...facts, data: { dataset: 'mercaptionplus' }, output: 'x' });
  });

  it("takes the published code's defaults where it says nothing", () => {
    const { facts, defaults } = publishedConfig(map({ model: {}, run: { init_lr: 1e-4, min_lr: 1e-5 } }));
    expect(facts).toMatchObject({
      fusion: { multi: 'attention', video: 'qformer', audio: 'qformer' },
      lora: { rank: 16, alpha: 32, dropout: 0.05 },
    });
    expect(defaults).toEqual({
      train: { optimizer: { lr: 1e-4 }, schedule: { type: 'warmup-cosine', minLr: 1e-5 } },
      compat: 'reference',
    });
  });

  it('knows the other encoders, and says which models it does not know', () => {
    const { defaults } = publishedConfig(
      map({
        model: { visual_encoder: 'SigLIP_SO', acoustic_encoder: 'WAVLM_LARGE', llama_model: 'constructor' },
      }),
    );
    const { model } = defaults as { model: { llm: string } };
    expect(model).toMatchObject({ visualEncoder: { type: 'siglip' }, audioEncoder: { type: 'wavlm' } });
    expect(unknownModelName(model.llm)).toBe('constructor');
    expect(unknownModelName('Qwen/Qwen2-7B-Instruct')).toBeUndefined();
  });

  it('leaves it to the schema to refuse what is no plain value', () => {
    const { facts } = publishedConfig(map({ model: { lora_r: [1], num_video_query_token: { a: 1 } } }));
    expect(() => parseConfig({ ...facts, data: { dataset: 'x' }, output: 'x' })).toThrow(
      /lora\.rank[\s\S]*not a plain value/,
    );
  });
});

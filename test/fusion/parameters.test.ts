import { describe, expect, it } from 'vitest';
import type { FusionConfig } from '../../fusion/config.ts';
import { fusionTensorShapes, initFusion, isProjector } from '../../fusion/parameters.ts';
import { publishedQformer } from '../../fusion/qformer.ts';

/** CLIP ViT-L/14, HuBERT-large and Qwen2.5-7B, as published. */
const published: FusionConfig = {
  visualSize: 768,
  audioSize: 1024,
  hiddenSize: 3584,
  frames: 8,
  patches: 1,
  audioClips: 8,
  multi: 'attention',
  video: 'attention',
  audio: 'attention',
  image: 'mean',
  queryTokens: { multi: 1, video: 1, audio: 1, image: 1 },
  qformer: publishedQformer,
};

/** Both kinds of fusion in a size that is quick to draw. */
const small: FusionConfig = {
  ...published,
  visualSize: 20,
  audioSize: 28,
  hiddenSize: 400,
  multi: 'qformer',
  video: 'qformer',
  qformer: { ...publishedQformer, hiddenSize: 48, numAttentionHeads: 4, intermediateSize: 64 },
};

const count = (shapes: Readonly<Record<string, readonly number[]>>): number =>
  Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b), 0);

const spread = (values: ArrayLike<number>): number =>
  Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0) / values.length);

describe('trainable tensors outside the language model', () => {
  it('are as many as in the published default', () => {
    expect(count(fusionTensorShapes(published))).toBe(16_798_468);
  });

  it('are drawn from the seed alone, like PyTorch and BERT draw them', () => {
    const tensors = initFusion(small, 5);
    expect(initFusion(small, 5)).toEqual(tensors);
    expect(initFusion(small, 6)).not.toEqual(tensors);
    const shapes = Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
    expect(shapes).toEqual(fusionTensorShapes(small));

    const projector = tensors['image_llama_proj.weight']!.data;
    const bound = 1 / Math.sqrt(20);
    expect(Math.max(...projector.map(Math.abs))).toBeLessThanOrEqual(bound);
    expect(Math.max(...projector.map(Math.abs))).toBeGreaterThan(0.99 * bound);
    expect(spread(tensors['image_llama_proj.bias']!.data) / (bound / Math.sqrt(3))).toBeCloseTo(1, 0);
    expect(spread(tensors['multi_position_embedding.weight']!.data)).toBeCloseTo(1, 1);
    const bert = 'multi_Qformer.bert.encoder.layer.0.attention';
    expect(spread(tensors[`${bert}.self.query.weight`]!.data)).toBeCloseTo(0.02, 3);
    expect(new Set(tensors[`${bert}.self.query.bias`]!.data)).toEqual(new Set([0]));
    expect(new Set(tensors[`${bert}.output.LayerNorm.weight`]!.data)).toEqual(new Set([1]));
  });

  it('leave out what a missing encoder would feed', () => {
    const audioOnly = { ...published, multi: 'none', visualSize: null } as const;
    expect(Object.keys(fusionTensorShapes(audioOnly)).sort()).toEqual([
      'audio_attention_mlp.bias',
      'audio_attention_mlp.weight',
      'audio_llama_proj.bias',
      'audio_llama_proj.weight',
    ]);
    expect(fusionTensorShapes({ ...audioOnly, audioSize: null })).toEqual({});
    expect(() => fusionTensorShapes({ ...published, visualSize: null })).toThrow(/needs both/);
  });

  it('have as many positions as the features need, and never fewer than published', () => {
    expect(fusionTensorShapes(small)['multi_position_embedding.weight']).toEqual([264, 28]);
    expect(fusionTensorShapes(small)['video_frame_position_embedding.weight']).toEqual([32, 20]);
    const long = fusionTensorShapes({ ...small, frames: 64, patches: 32 });
    expect(long['multi_position_embedding.weight']).toEqual([64 * 32 + 8, 28]);
    expect(long['video_frame_position_embedding.weight']).toEqual([64, 20]);
  });

  it('name every fault of an impossible fusion', () => {
    const impossible = {
      ...published,
      audioSize: null,
      image: 'token',
      patches: 4,
      qformer: { ...publishedQformer, numAttentionHeads: 7 },
    } as const;
    expect(() => initFusion(impossible, 0)).toThrow(/needs both.*has to be 4, not 1.*number of heads/);
  });

  it('are divided into projectors and fusion', () => {
    const projectors = Object.keys(fusionTensorShapes(small)).filter(isProjector);
    expect(projectors.sort()).toEqual(
      ['affectgpt_proj', 'audio_llama_proj', 'image_llama_proj', 'multi_llama_proj'].flatMap((name) => [
        `${name}.bias`,
        `${name}.weight`,
      ]),
    );
  });
});

import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import type { FusionConfig } from '../../fusion/config.ts';
import { prefuse } from '../../fusion/prefusion.ts';
import { Parameters } from '../../src/engine/parameters.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const layer = (name: string, weight: number[][]) => ({
  [`${name}.weight`]: tf.tensor2d(weight),
  [`${name}.bias`]: tf.zeros([weight.length]),
});
const same = [
  [1, 0],
  [0, 1],
];

it('pre-fusion by attention adds the means of picture and sound, each times its own weight', () => {
  const config = { multi: 'attention', queryTokens: { multi: 2 } } as FusionConfig;
  const parameters = new Parameters({
    ...layer('multi_video_embs', same),
    ...layer('multi_audio_embs', same),
    // One number of each modality makes its weight: 2 for the pictures, 3 for the sound.
    ...layer('attention_mlp', [
      [1, 0, 0, 0],
      [0, 0, 1, 0],
    ]),
    ...layer('fc_att', same),
    ...layer('multi_llama_proj', same),
  });
  const visual = tf.tensor3d([
    [
      [1, 10],
      [3, 30],
    ],
  ]);
  const audio = tf.tensor3d([[[3, 5]]]);
  const { tokens, weights } = prefuse(config, parameters, visual, audio);
  expect(weights!.arraySync()).toEqual([[2, 3]]);
  const fused = [2 * 2 + 3 * 3, 2 * 20 + 3 * 5];
  expect(tokens.arraySync()).toEqual([[fused, fused]]);
});

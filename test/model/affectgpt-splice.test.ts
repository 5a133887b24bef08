import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checkAffectGptConfig } from '../../model/affectgpt.ts';
import { type InputModeName, inputMode, inputModes, type SlotName } from '../../model/modes.ts';
import { placeSlots, splice } from '../../model/splice.ts';
import { buildPrompt, placeholders } from '../../src/data/prompts.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { openReference, variantConfig } from '../support/affectgpt-reference.ts';
import { toTensor } from '../support/fixture.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});
beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

const ids = (rows: number[][]) => ({
  dtype: 'int32' as const,
  shape: [rows.length, rows[0]!.length],
  data: Int32Array.from(rows.flat()),
});
const runs = [
  { id: 90, tokens: 2 },
  { id: 91, tokens: 1 },
];

describe('placeholders', () => {
  it('are found wherever they stand, in the order of the runs', () => {
    const placement = placeSlots(
      ids([
        [5, 91, 6, 90, 90, 7],
        [90, 90, 8, 91, 9, 9],
      ]),
      runs,
    );
    expect(Array.from(placement.inputIds.data)).toEqual([5, 0, 6, 0, 0, 7, 0, 0, 8, 0, 9, 9]);
    expect(Array.from(placement.isSlot.data)).toEqual([0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0]);
    expect(Array.from(placement.slotIndex.data)).toEqual([0, 2, 0, 0, 1, 0, 3, 4, 0, 5, 0, 0]);
  });

  it.each([
    ['missing', [5, 91, 6, 7, 7, 7]],
    ['too short', [5, 91, 6, 90, 7, 7]],
    ['too long', [91, 90, 90, 90, 7, 7]],
    ['broken', [91, 90, 7, 90, 7, 7]],
  ])('are refused when a run is %s', (_, row) => {
    expect(() => placeSlots(ids([[91, 90, 90, 1, 1, 1], row]), runs)).toThrow(/Row 1 .* id 90/);
  });

  it('give their places to the vectors, which get the gradients', () => {
    const placement = placeSlots(ids([[90, 90, 8, 91]]), runs);
    const embeds = tf.tensor2d([1, 1, 2, 2, 3, 3, 4, 4], [4, 2]);
    const vectors = tf.tensor2d([10, 11, 20, 21, 30, 31], [3, 2]);
    const cotangent = tf.tensor2d([1, 2, 3, 4, 5, 6, 7, 8], [4, 2]);
    const { gradients } = valueAndGradients(
      (tensors) => {
        const slotIndex = tf.reshape(toTensor(placement.slotIndex), [4]);
        const isSlot = tf.reshape(toTensor(placement.isSlot), [4, 1]);
        const spliced = splice(tensors.embeds!, tensors.vectors!, slotIndex, isSlot);
        expect(spliced.arraySync()).toEqual([
          [10, 11],
          [20, 21],
          [3, 3],
          [30, 31],
        ]);
        return tf.sum(tf.mul(spliced, cotangent)) as tf.Scalar;
      },
      { embeds, vectors },
    );
    expect(gradients.vectors!.arraySync()).toEqual([
      [1, 2],
      [3, 4],
      [7, 8],
    ]);
    expect(gradients.embeds!.arraySync()).toEqual([
      [0, 0],
      [0, 0],
      [5, 6],
      [0, 0],
    ]);
  });
});

describe('input modes', () => {
  it('agree with the prompts, and need what fills their placeholders', () => {
    expect(Object.keys(inputModes)).toHaveLength(15);
    for (const [name, { slots, needs, fused }] of Object.entries(inputModes)) {
      const prompt = buildPrompt(name as InputModeName, '', '');
      const written = (Object.keys(placeholders) as SlotName[])
        .filter((slot) => prompt.includes(placeholders[slot]))
        .sort((a, b) => prompt.indexOf(placeholders[a]) - prompt.indexOf(placeholders[b]));
      expect(slots, name).toEqual(written);
      const sources = slots.flatMap((slot) => (slot === 'multi' ? [fused, 'audio'] : [slot]));
      expect(new Set(sources), name).toEqual(new Set(needs));
    }
    expect(() => inputMode('both')).toThrow(/multiface_audio_face_text/);
  });

  it('are checked against the model', async () => {
    const reference = await openReference();
    const config = variantConfig(reference, reference.golden.variants['attention-attention']!);
    expect(() => checkAffectGptConfig(config)).not.toThrow();
    const bare = { ...config.fusion, multi: 'none', visualSize: null, audioSize: null } as const;
    expect(() => checkAffectGptConfig({ ...config, fusion: bare })).toThrow(
      /a pre-fusion .* and a visual encoder .* and an audio encoder/,
    );
    expect(() => checkAffectGptConfig({ ...config, fusion: bare, mode: inputModes.textonly })).not.toThrow();
  });
});

import { describe, expect, it } from 'vitest';
import { lossInputSpecs } from '../../model/affectgpt.ts';
import { causalBias } from '../../model/decoder.ts';
import { supervisedPositions } from '../../model/loss.ts';
import { placeSlots } from '../../model/splice.ts';
import { collatePrompts, collateTraining } from '../../src/data/collate.ts';
import type { TrainingSequence } from '../../src/data/sequence.ts';
import type { PromptTokenizer } from '../../src/data/tokenizer.ts';
import { rowKeys } from '../../src/engine/dropout.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { openReference, openVariant } from '../support/affectgpt-reference.ts';

const reference = await openReference();
const { placeholderIds } = reference;
const { config: model, stored } = await openVariant(reference, 'attention-attention');
const ids = stored['input/input_ids']!;
const labels = stored['input/labels']!;
const mask = stored['input/attention_masks']!;
const [batch, tokens] = ids.shape as [number, number];
/** What collation asks a tokenizer. */
const tokenizer = { padId: 151645, placeholderIds } as PromptTokenizer;

/** The rows of the stored batch without their padding. */
const samples = Array.from({ length: batch }, (_, row) => {
  const rowOf = (data: ArrayLike<number>) => Int32Array.from(data).subarray(row * tokens, (row + 1) * tokens);
  const length = rowOf(labels.data).findLastIndex((label) => label !== -100) + 1;
  const sequence: TrainingSequence = {
    ids: rowOf(ids.data).slice(0, length),
    labels: rowOf(labels.data).slice(0, length),
  };
  return { name: `s${row}`, sequence };
});
const features = { face: stored['input/face']!, audio: stored['input/audio']! };

describe('training batches', () => {
  it('are padded, masked and labelled as the published collater does', () => {
    const { inputs, supervisedTokens, ...rest } = collateTraining(samples, features, {
      model,
      tokenizer,
      attendFinalEos: false,
      dropout: { seed: 42, step: 7 },
    });
    const runs = model.mode.slots.map((slot) => ({ id: placeholderIds[slot], tokens: 1 }));
    const { positions, targets } = supervisedPositions(labels);
    expect(inputs).toMatchObject({ ...placeSlots(ids, runs), ...features });
    expect(inputs.attentionBias).toEqual(causalBias(mask));
    expect(inputs.positions!.data).toEqual(positions);
    expect(inputs.targets!.data).toEqual(targets);
    expect(supervisedTokens).toBe(positions.length);
    expect(rest.tokens).toBe(samples.reduce((sum, { sequence }) => sum + sequence.ids.length, 0));
    expect(inputs.rowKeys!.data).toEqual(rowKeys({ seed: 42, step: 7, names: ['s0', 's1', 's2'], tokens }));
    const specs = lossInputSpecs(model, true);
    expect(Object.keys(inputs).sort()).toEqual(Object.keys(specs).sort());
    for (const [name, { dtype, shape }] of Object.entries(specs)) {
      const sizes = shape.map((size) => ({ batch, tokens, supervised: positions.length })[size] ?? size);
      expect([name, inputs[name]!.dtype, inputs[name]!.shape]).toEqual([name, dtype, sizes]);
    }
  });

  it('show the final eos to attention where asked to', () => {
    const collate = (attendFinalEos: boolean) =>
      collateTraining(samples, features, { model, tokenizer, attendFinalEos }).inputs;
    const eosSeen = (attendFinalEos: boolean): boolean[] =>
      samples.map(({ sequence }, row) => {
        const last = sequence.ids.length - 1;
        return collate(attendFinalEos).attentionBias!.data[(row * tokens + last) * tokens + last] === 0;
      });
    expect(eosSeen(true)).toEqual([true, true, true]);
    expect(eosSeen(false)).toEqual([false, false, false]);
    expect(collate(false).rowKeys).toBeUndefined();
  });

  it('keep what they hold where sizes are fixed, and add what counts for nothing', () => {
    const dropout = { seed: 42, step: 7 };
    const options = { model, tokenizer, attendFinalEos: true, dropout };
    const { inputs: exact, ...counts } = collateTraining(samples, features, options);
    const { inputs, ...rest } = collateTraining(samples, features, { ...options, fixedSizes: true });
    const [wide, supervised] = [inputs.inputIds!.shape[1]!, exact.positions!.data.length];
    expect([tokens < wide, supervised < 48, wide, inputs.positions!.shape]).toEqual([true, true, 128, [48]]);
    expect(rest).toEqual(counts);
    expect(inputs).toMatchObject(features);
    const rows = [...Array(batch).keys()];
    for (const name of ['inputIds', 'slotIndex', 'isSlot', 'rowKeys']) {
      const row = (data: ArrayLike<number>, length: number, i: number) =>
        Array.from(data).slice(i * length, i * length + tokens);
      for (const i of rows) {
        expect(row(inputs[name]!.data, wide, i), name).toEqual(row(exact[name]!.data, tokens, i));
      }
    }
    // A token sees what it saw, and nothing sees what was added.
    const seen = ({ data, shape }: HostTensor) => {
      const length = shape[3]!;
      const pairs = Array.from(data, (value, i) => [value, Math.floor(i / length), i % length] as const);
      return pairs.flatMap(([value, row, to]) =>
        value === 0 && row % length < tokens ? [[Math.floor(row / length), row % length, to]] : [],
      );
    };
    expect(seen(inputs.attentionBias!)).toEqual(seen(exact.attentionBias!));
    expect([...inputs.targetWeights!.data]).toEqual(
      Array.from({ length: 48 }, (_, i) => Number(i < supervised)),
    );
    expect([...inputs.targets!.data.subarray(0, supervised)]).toEqual([...exact.targets!.data]);
    // The same rows of the wider batch.
    const places = (data: ArrayLike<number>, length: number) =>
      Array.from(data)
        .slice(0, supervised)
        .map((at) => [Math.floor(at / length), at % length]);
    expect(places(inputs.positions!.data, wide)).toEqual(places(exact.positions!.data, tokens));
    expect(inputs.positions!.data.every((at) => at >= 0 && at < batch * wide)).toBe(true);
  });
});

describe('prompt batches', () => {
  it('are padded on the left, and positions count from the first token', () => {
    const slots = model.mode.slots.map((slot) => placeholderIds[slot]);
    const prompts = [
      [7, ...slots, 8, 9],
      [7, ...slots],
    ];
    const { inputs, attentionMask, positions } = collatePrompts(prompts, features, { model, tokenizer });
    expect([...inputs.inputIds!.data]).toEqual([7, 0, 0, 0, 8, 9, 151645, 151645, 7, 0, 0, 0]);
    expect([...inputs.isSlot!.data]).toEqual([0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1]);
    expect([...attentionMask.data]).toEqual([1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1]);
    expect([...positions]).toEqual([0, 1, 2, 3, 4, 5, 0, 0, 0, 1, 2, 3]);
    expect(inputs.face).toBe(features.face);
  });
});

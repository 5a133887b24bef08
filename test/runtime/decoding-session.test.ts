import { expect, it } from 'vitest';
import { causalBias, type DecoderConfig, ropeTables } from '../../model/decoder.ts';
import type { CompiledFunction, HostTensor, HostTensorMap, State } from '../../src/engine/types.ts';
import { DecodingSession } from '../../src/runtime/decoding-session.ts';

const config = {
  ...{ headDim: 4, ropeTheta: 10_000, hiddenSize: 8, numHiddenLayers: 1, numKeyValueHeads: 1 },
} as DecoderConfig;
const int32 = (data: readonly number[], shape: number[]): HostTensor => ({
  dtype: 'int32',
  shape,
  data: Int32Array.from(data),
});
const one: HostTensor = { dtype: 'float32', shape: [1], data: new Float32Array(1) };

/** A prompt of three tokens, and one of a single token behind two of padding. */
function open() {
  const asked: HostTensorMap[] = [];
  const decoder: CompiledFunction = {
    name: 'recorder',
    run: async (inputs) => {
      asked.push(inputs);
      return { logits: one, 'key.0': one, 'value.0': one };
    },
    dispose: async () => {},
  };
  const prompt = {
    inputs: { inputIds: int32([5, 6, 7, 0, 0, 9], [2, 3]) },
    attentionMask: int32([1, 1, 1, 0, 0, 1], [2, 3]),
    positions: Int32Array.of(0, 1, 2, 0, 0, 0),
  };
  return { session: new DecodingSession(config, decoder, {} as State, prompt, one), asked };
}

it('tokens after a prompt go on counting where its own tokens end, whatever the padding before it', async () => {
  const { session, asked } = open();
  const prompts = await session.readPrompts();
  const first = await session.read(prompts.past, Int32Array.of(10, 11));
  await session.read(first.past, Int32Array.of(12, 13, 14, 15));
  expect(asked[0]).toMatchObject(ropeTables(config, [0, 1, 2, 0, 0, 0], 2));
  expect(asked[1]).toMatchObject(ropeTables(config, [3, 1], 2));
  expect(asked[2]).toMatchObject(ropeTables(config, [4, 5, 2, 3], 2));
});

it('tokens after a prompt see it and each other, and no padding', async () => {
  const { session, asked } = open();
  const prompts = await session.readPrompts();
  const first = await session.read(prompts.past, Int32Array.of(10, 11));
  await session.read(first.past, Int32Array.of(12, 13, 14, 15));
  const mask = [
    [1, 1, 1, 1, 1, 1],
    [0, 0, 1, 1, 1, 1],
  ];
  const bias = (total: number, past: number) =>
    causalBias(
      int32(
        mask.flatMap((row) => row.slice(0, total)),
        [2, total],
      ),
      past,
    );
  expect(asked.map(({ attentionBias }) => attentionBias)).toEqual([bias(3, 0), bias(4, 3), bias(6, 4)]);
});

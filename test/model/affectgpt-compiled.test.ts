import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { fusionTensorShapes, initFusion } from '../../fusion/parameters.ts';
import { publishedQformer } from '../../fusion/qformer.ts';
import { initAdapter } from '../../lora/init.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import {
  type AffectGptConfig,
  type AffectGptLossInputs,
  affectGptLoss,
  checkAffectGptConfig,
  embeddingInputSpecs,
  embedInputs,
  lossInputSpecs,
  placeholderRuns,
} from '../../model/affectgpt.ts';
import {
  causalBias,
  decoderTensorShapes,
  initDecoderWeights,
  parseDecoderConfig,
  ropeTables,
} from '../../model/decoder.ts';
import { ignoredLabel, supervisedPositions } from '../../model/loss.ts';
import { inputModes } from '../../model/modes.ts';
import { placeSlots } from '../../model/splice.ts';
import { rowKeys } from '../../src/engine/dropout.ts';
import { createEngine, type EngineName } from '../../src/engine/engines.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor, HostTensorMap, InputSpec, TensorFunction } from '../../src/engine/types.ts';
import { maxAbsDifference } from '../support/fixture.ts';

const placeholderIds = { image: 60, audio: 61, frame: 62, face: 63, multi: 59 };

/** A tiny model with every branch in use and dropout everywhere. */
function tinyConfig(kind: 'attention' | 'qformer'): AffectGptConfig {
  const config: AffectGptConfig = {
    decoder: parseDecoderConfig({
      model_type: 'qwen2',
      vocab_size: 59,
      hidden_size: 16,
      intermediate_size: 24,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      tie_word_embeddings: true,
    }),
    fusion: {
      visualSize: 12,
      audioSize: 10,
      hiddenSize: 16,
      frames: 8,
      patches: 1,
      audioClips: 8,
      multi: kind,
      video: kind,
      audio: kind,
      image: 'mean',
      queryTokens: { multi: 2, video: 2, audio: 2, image: 1 },
      qformer: { ...publishedQformer, hiddenSize: 12, numAttentionHeads: 3, intermediateSize: 20 },
    },
    mode: inputModes.multiface_audio_face_text,
    lora: { rank: 4, alpha: 8, dropout: 0.1 },
  };
  checkAffectGptConfig(config);
  return config;
}

function tinyWeights(config: AffectGptConfig): { frozen: HostTensorMap; trainable: HostTensorMap } {
  const targets = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
  const adapter = adapterTensorShapes(decoderTensorShapes(config.decoder), {
    rank: config.lora!.rank,
    targets,
  });
  const random = new RandomGenerator(11);
  // Nothing is left at zero: every gradient has to be one that could be wrong.
  const trainable = Object.fromEntries(
    Object.entries({ ...initAdapter(adapter, 2), ...initFusion(config.fusion, 3) }).map(
      ([name, { shape, data }]) => {
        const noise = random.split(name).normalFloat32(data.length, 0, 0.2);
        return [
          name,
          { dtype: 'float32' as const, shape, data: noise.map((value, i) => value + (data[i] as number)) },
        ];
      },
    ),
  );
  return { frozen: initDecoderWeights(config.decoder, 1), trainable };
}

/** A batch whose rows end at different places. */
function batchInputs(config: AffectGptConfig, batch: number, tokens: number): HostTensorMap {
  const random = new RandomGenerator(batch * 1000 + tokens);
  const slots = [59, 59, 61, 61, 63, 63];
  const ids = new Int32Array(batch * tokens);
  const labels = new Int32Array(batch * tokens).fill(ignoredLabel);
  const mask = new Int32Array(batch * tokens);
  for (let row = 0; row < batch; row++) {
    const length = tokens - (row % 3);
    for (let token = 0; token < tokens; token++) {
      const at = row * tokens + token;
      ids[at] = slots[token - 1] ?? random.integer(59);
      mask[at] = token < length ? 1 : 0;
      if (token > slots.length && token < length) labels[at] = ids[at]!;
    }
  }
  const host = (data: HostTensor['data'], shape: number[]): HostTensor => ({
    dtype: data instanceof Float32Array ? 'float32' : 'int32',
    shape,
    data,
  });
  const feature = (size: number) => host(random.normalFloat32(batch * 8 * size), [batch, 8, size]);
  const { positions, targets } = supervisedPositions(host(labels, [batch, tokens]));
  const names = Array.from({ length: batch }, (_, i) => `sample ${i}`);
  return {
    face: feature(12),
    audio: feature(10),
    ...placeSlots(host(ids, [batch, tokens]), placeholderRuns(config, placeholderIds)),
    rowKeys: host(rowKeys({ seed: 1, step: 4, names, tokens }), [batch, tokens]),
    ...ropeTables(
      config.decoder,
      Array.from({ length: tokens }, (_, i) => i),
    ),
    attentionBias: causalBias(host(mask, [batch, tokens])),
    positions: host(positions, [positions.length]),
    targets: host(targets, [targets.length]),
    targetWeights: host(new Float32Array(targets.length).fill(1), [targets.length]),
  };
}

describe.each(['attention', 'qformer'] as const)('a tiny model with %s fusion', (kind) => {
  const config = tinyConfig(kind);
  const { frozen, trainable } = tinyWeights(config);

  /** Loss and gradients of a training step, dropout included. */
  const step: TensorFunction = ({ inputs, state, weights }) => {
    const { value, gradients } = valueAndGradients((tensors) => {
      const parameters = new Parameters({ ...weights, ...tensors });
      const { lossSum } = affectGptLoss(config, parameters, inputs as unknown as AffectGptLossInputs);
      return tf.div(lossSum, tf.sum(inputs.targetWeights!)) as tf.Scalar;
    }, state);
    const outputs = Object.entries(gradients).filter(
      (entry): entry is [string, tf.Tensor] => entry[1] !== null,
    );
    return { outputs: { loss: value, ...Object.fromEntries(outputs) } };
  };

  const stateSpecs = Object.fromEntries(
    Object.entries(trainable).map(([name, { shape }]) => [name, { dtype: 'float32' as const, shape }]),
  );

  async function compileStep(type: EngineName, inputs: Record<string, InputSpec>) {
    const engine = await createEngine({ type });
    const options = { name: `${kind} step`, inputs, state: stateSpecs, weights: frozen };
    const compiled = await engine.compile(step, options);
    const state = engine.createState(trainable);
    return {
      run: (batch: HostTensorMap) => compiled.run(batch, state),
      dispose: async () => {
        state.dispose();
        await compiled.dispose();
      },
    };
  }

  /** All gradients within 1e-4 of the largest of their tensor, the loss within 1e-5. */
  function expectSame(actual: HostTensorMap, expected: HostTensorMap): void {
    const used = Object.keys(trainable).filter((name) => !name.startsWith('image_llama_proj'));
    expect(Object.keys(actual).sort()).toEqual(['loss', ...used].sort());
    const largest = (name: string): number =>
      maxAbsDifference(expected[name]!.data, new Float32Array(expected[name]!.data.length));
    for (const [name, { data }] of Object.entries(expected)) {
      if (name.endsWith('self.key.bias')) continue; // Zero but for rounding.
      expect(largest(name), name).toBeGreaterThan(0);
      // The gradient of a single number may cancel out; its rounding is that of the weight beside it.
      const scale =
        data.length === 1 && name !== 'loss' ? largest(name.replace('bias', 'weight')) : largest(name);
      const difference = maxAbsDifference(actual[name]!.data, data) / scale;
      expect(difference, name).toBeLessThan(name === 'loss' ? 1e-5 : 1e-4);
    }
  }

  it('with every branch in use has the same loss and gradients compiled as eagerly', async () => {
    const batch = batchInputs(config, 3, 24);
    const compiled = await compileStep('onnxruntime', lossInputSpecs(config, true));
    const actual = await compiled.run(batch);
    for (const type of ['cpu', 'wasm'] satisfies EngineName[]) {
      const eager = await compileStep(type, lossInputSpecs(config, true));
      expectSame(actual, await eager.run(batch));
      await eager.dispose();
    }
    await compiled.dispose();
  });

  it('is one graph for all sizes, with the values of graphs made for those sizes', async () => {
    const specs = lossInputSpecs(config, true);
    const any = await compileStep('onnxruntime', specs);
    for (const [batch, tokens] of [
      [1, 9],
      [2, 40],
      [3, 128],
      [8, 65],
    ] as const) {
      const inputs = batchInputs(config, batch, tokens);
      const fixed = Object.fromEntries(
        Object.entries(specs).map(([name, spec]) => [name, { ...spec, shape: inputs[name]!.shape }]),
      );
      const one = await compileStep('onnxruntime', fixed);
      expectSame(await any.run(inputs), await one.run(inputs));
      await one.dispose();
    }
    await any.dispose();
  });

  it('embeds the same prompt for generation as in training without dropout', async () => {
    const engine = await createEngine({ type: 'onnxruntime' });
    const specs = embeddingInputSpecs(config);
    const compiled = await engine.compile(
      ({ inputs, weights }) => {
        const parameters = new Parameters(weights);
        const { inputsEmbeds } = embedInputs(config, parameters, inputs as unknown as AffectGptLossInputs);
        return { outputs: { inputsEmbeds } };
      },
      { name: `${kind} prompt`, inputs: specs, weights: { ...frozen, ...trainable } },
    );
    const all = batchInputs(config, 2, 12);
    const given = Object.fromEntries(Object.keys(specs).map((name) => [name, all[name]!]));
    const { inputsEmbeds } = await compiled.run(given);
    expect(inputsEmbeds!.shape).toEqual([2, 12, 16]);
    const embedding = frozen['model.embed_tokens.weight']!.data;
    const ids = given.inputIds!.data;
    const isSlot = given.isSlot!.data;
    ids.forEach((id, at) => {
      const row = inputsEmbeds!.data.subarray(at * 16, (at + 1) * 16);
      const difference = maxAbsDifference(row, embedding.subarray(id * 16, (id + 1) * 16));
      if (isSlot[at] === 1) expect(difference).toBeGreaterThan(1e-3);
      else expect(difference).toBe(0);
    });
    await compiled.dispose();
  });
});

describe('shapes for compiling', () => {
  it('leave out what the mode does not need', () => {
    const config = tinyConfig('attention');
    expect(Object.keys(embeddingInputSpecs({ ...config, mode: inputModes.textonly }))).toEqual(['inputIds']);
    const audio = embeddingInputSpecs({ ...config, mode: inputModes.audio_text });
    expect(Object.keys(audio)).toEqual(['audio', 'inputIds', 'slotIndex', 'isSlot']);
    const patches = { ...config, mode: inputModes.image, fusion: { ...config.fusion, patches: 4 } };
    expect(embeddingInputSpecs(patches).image!.shape).toEqual(['batch', 1, 4, 12]);
    expect(fusionTensorShapes(config.fusion)['multi_llama_proj.weight']).toEqual([16, 12]);
  });
});

import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { LoraSettings } from '../../lora/config.ts';
import { loraScale, parseAdapterConfig } from '../../lora/config.ts';
import { linear } from '../../lora/linear.ts';
import { mergeAdapter } from '../../lora/merge.ts';
import { fromPeftName } from '../../lora/names.ts';
import type { DecoderConfig } from '../../model/decoder.ts';
import { parseDecoderConfig } from '../../model/decoder.ts';
import { dropoutMask, hashText, registerEagerDropout } from '../../src/engine/dropout.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { HostTensorMap, TensorMap } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { adamwUpdate, biasCorrections } from '../../train/adamw.ts';
import { meanLoss, runLogits } from '../support/decoder.ts';
import type { Fixture } from '../support/fixture.ts';
import {
  expectGolden,
  loadFixture,
  maxAbsDifference,
  readJson,
  readTensors,
  toTensors,
} from '../support/fixture.ts';

let fixture: Fixture;
let config: DecoderConfig;
let settings: LoraSettings;
let base: TensorMap;
let hostAdapter: HostTensorMap;

beforeAll(async () => {
  await tf.setBackend('cpu');
  fixture = await loadFixture('qwen2_lora');
  config = parseDecoderConfig(fixture.config);
  settings = parseAdapterConfig(await readJson(`${fixture.folder}/adapter/adapter_config.json`));
  base = toTensors(fixture.weights);
  const stored = await readTensors(`${fixture.folder}/adapter/adapter_model.safetensors`);
  hostAdapter = Object.fromEntries(
    Object.entries(stored).map(([name, tensor]) => [fromPeftName(name)!, tensor]),
  );
});

describe('decoder with an adapter against peft', () => {
  const inputs = () => ({ ids: fixture.tensors.input_ids!, mask: fixture.tensors.attention_mask! });
  const notPadding = (index: number) => inputs().mask.data[Math.floor(index / config.vocabSize)] === 1;
  const adapted = () => ({ adapter: { scale: loraScale(settings) } });
  const lossOf = (adapter: TensorMap) =>
    meanLoss(fixture.tensors.labels!, { ...base, ...adapter }, config, inputs(), adapted());

  it('gives the logits of the bare model and of the adapted one', () => {
    expectGolden(fixture, 'base.logits', runLogits(base, config, inputs()), notPadding);
    const tensors = { ...base, ...toTensors(hostAdapter) };
    expectGolden(fixture, 'logits', runLogits(tensors, config, inputs(), adapted()), notPadding);
  });

  it('gives the merged weights and their logits', () => {
    const merged = mergeAdapter(fixture.weights, hostAdapter, loraScale(settings));
    for (const module of ['self_attn.q_proj', 'mlp.down_proj']) {
      const name = `model.layers.0.${module}.weight`;
      expectGolden(fixture, `merged.${name}`, merged[name]!.data as Float32Array);
    }
    expectGolden(fixture, 'merged.logits', runLogits(toTensors(merged), config, inputs()), notPadding);
  });

  it('gives every adapter gradient, and five AdamW steps', () => {
    let adapter = toTensors(hostAdapter);
    const zeros = () =>
      Object.fromEntries(Object.entries(adapter).map(([name, t]) => [name, tf.zerosLike(t)]));
    let moments = { expAvg: zeros(), expAvgSq: zeros() };
    const losses: number[] = [];
    const adamw = { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.05 } as const;
    for (let step = 1; step <= 5; step++) {
      const { value, gradients } = valueAndGradients(lossOf, adapter);
      losses.push(value.dataSync()[0]!);
      const corrections = biasCorrections(step, adamw.betas);
      const schedule = {
        learningRate: tf.scalar(1e-3),
        biasCorrection1: tf.scalar(corrections.biasCorrection1),
        biasCorrection2Sqrt: tf.scalar(corrections.biasCorrection2Sqrt),
      };
      const next: Record<'parameter' | 'expAvg' | 'expAvgSq', TensorMap> = {
        parameter: {},
        expAvg: {},
        expAvgSq: {},
      };
      for (const [name, parameter] of Object.entries(adapter)) {
        const gradient = gradients[name]!;
        if (step === 1) expectGolden(fixture, `grad.base_model.model.${name}`, gradient);
        const expAvg = moments.expAvg[name]!;
        const expAvgSq = moments.expAvgSq[name]!;
        const updated = adamwUpdate({ parameter, gradient, expAvg, expAvgSq }, schedule, adamw);
        for (const part of ['parameter', 'expAvg', 'expAvgSq'] as const) next[part][name] = updated[part];
      }
      adapter = next.parameter;
      moments = next;
    }
    losses.push(lossOf(adapter).dataSync()[0]!);
    expectGolden(fixture, 'loss', losses.slice(0, 1));
    expectGolden(fixture, 'train.losses', losses);
    for (const [name, tensor] of Object.entries(adapter)) {
      expectGolden(fixture, `final.base_model.model.${name}`, tensor);
    }
    const finalLogits = runLogits({ ...base, ...adapter }, config, inputs(), adapted());
    expectGolden(fixture, 'final.logits', finalLogits, notPadding);
  });
});

describe('linear', () => {
  const tensors = () => ({
    'm.weight': tf.tensor2d([
      [1, 2, 3],
      [4, 5, 6],
    ]),
    'm.bias': tf.tensor1d([10, 20]),
    'm.lora_A.weight': tf.tensor2d([[1, -1, 2]]),
    'm.lora_B.weight': tf.tensor2d([[3], [-2]]),
  });
  const x = () =>
    tf.tensor2d([
      [1, 0, 1],
      [0, 2, 0],
    ]);

  it('adds bias and scaled adapter', () => {
    const bare = { 'm.weight': tensors()['m.weight'] };
    expect(Array.from(linear(new Parameters(bare, 'm'), x()).dataSync())).toEqual([4, 10, 4, 10]);
    const y = linear(new Parameters(tensors(), 'm'), x(), { scale: 0.5 });
    // x A^T = [3, -2]
    expect(Array.from(y.dataSync())).toEqual([14 + 4.5, 30 - 3, 14 - 3, 30 + 2]);
  });

  it('drops elements of the adapter input alone, by the keys of the rows and the name of the module', () => {
    registerEagerDropout('cpu');
    const keys = Int32Array.of(17, -5);
    const scaledMask = dropoutMask(keys, 3, 0.5, hashText('m'));
    expect(new Set(scaledMask)).toEqual(new Set([0, 2]));
    const actual = linear(new Parameters(tensors(), 'm'), x(), {
      scale: 0.5,
      dropout: { rate: 0.5, rowKeys: tf.tensor1d(keys, 'int32') },
    });
    const low = [0, 1].map((row) => {
      const kept = (column: number) => scaledMask[3 * row + column]! * x().arraySync()[row]![column]!;
      return kept(0) - kept(1) + 2 * kept(2);
    });
    const expected = low.flatMap((value) => [14 + 1.5 * value, 30 - value]);
    expect(maxAbsDifference(actual.dataSync(), expected)).toBeLessThan(1e-5);
  });

  it('refuses to ignore an adapter', () => {
    expect(() => linear(new Parameters(tensors(), 'm'), x())).toThrow(InputError);
    expect(() => linear(new Parameters(tensors(), 'm'), x())).toThrow(/"m".*scale/);
  });
});

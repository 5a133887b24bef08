import { describe, expect, it } from 'vitest';
import { type LoraSettings, loraTargets } from '../../lora/config.ts';
import { adapterTensorShapes } from '../../lora/names.ts';
import { decoderTensorShapes, parseDecoderConfig } from '../../model/decoder.ts';
import { languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import { EagerEngine } from '../../src/engine/eager/engine.ts';
import { evaluateSize } from '../../src/engine/ir/sizes.ts';
import type { SymbolicGraph } from '../../src/engine/ir/symbolic.ts';
import type { WeightSource } from '../../src/engine/types.ts';
import type { TensorShapes } from '../../train/checkpoint.ts';
import { stepGraphs } from '../../train/dry-run/activations.ts';
import { stepCost, stepFlops } from '../../train/flops.ts';
import { measurePeakFlops } from '../../train/throughput.ts';

const tiny = parseDecoderConfig({
  ...{ model_type: 'qwen2', hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2 },
  ...{ num_key_value_heads: 1, intermediate_size: 12, vocab_size: 20, tie_word_embeddings: true },
});
const settings: LoraSettings = { rank: 2, alpha: 4, dropout: 0, targets: [...loraTargets] };
const shapes = decoderTensorShapes(tiny);
const adapters = adapterTensorShapes(shapes, settings);

describe('operations of a step', () => {
  it('are those counted by hand for LoRA on a frozen decoder', () => {
    const { perToken, perTokenPair, perSupervisedToken } = stepCost(tiny, adapters, true);
    // q and o 8x8, k and v 8x4, three of the MLP 8x12: 480 entries a layer.
    const frozen = 8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 12;
    expect(frozen).toBe(480);
    // in + out: q 16, k 12, v 12, o 16, MLP 20 each; rank 2.
    const adapter = 2 * (16 + 12 + 12 + 16 + 3 * 20);
    // Of the last layer, output and MLP are for learnt tokens.
    const [rest, restAdapter] = [8 * 8 + 3 * 8 * 12, 2 * (16 + 3 * 20)];
    const last = 2 * 2 * rest + 3 * 2 * restAdapter;
    expect(perToken).toBe(2 * (2 * 2 * frozen + 3 * 2 * adapter) - last);
    // Two layers, two heads of 4, six products.
    expect(perTokenPair).toBe(2 * 6 * 2 * 8);
    expect(perSupervisedToken).toBe(2 * 2 * 8 * 20 + last);
    const cost = { perToken, perTokenPair, perSupervisedToken };
    expect(stepFlops(cost, { lengths: [5, 3], supervisedTokens: 4 })).toBe(
      8 * perToken + (25 + 9) * perTokenPair + 4 * perSupervisedToken,
    );
  });

  it('of a decoder that is trained as a whole are three times those of forward', () => {
    const cost = stepCost(tiny, shapes, true);
    const last = 8 * 8 + 3 * 8 * 12;
    expect(cost.perToken).toBe(3 * 2 * (2 * 480 - last));
    expect(cost.perSupervisedToken).toBe(3 * 2 * (8 * 20 + last));
  });

  it('of an untied head that is frozen have no gradient of its weight', () => {
    const { 'lm_head.weight': _, ...others } = decoderTensorShapes({ ...tiny, tieWordEmbeddings: false });
    expect(stepCost({ ...tiny, tieWordEmbeddings: false }, others, true).perSupervisedToken).toBe(
      2 * 2 * 160 + 3 * 2 * (8 * 8 + 3 * 8 * 12),
    );
  });
});

/** Multiplications and additions of all matrix products in a graph. */
function productsOf(graph: SymbolicGraph, dimensions: Readonly<Record<string, number>>): number {
  const shapeOf = (value: number) => graph.values[value]!.shape.map((size) => evaluateSize(size, dimensions));
  return graph.nodes
    .filter(({ op }) => op === 'MatMul')
    .reduce((sum, { inputs, output, attributes }) => {
      const left = shapeOf(inputs[0]!);
      const inner = left.at(attributes.transposeA === true ? -2 : -1)!;
      return sum + 2 * inner * shapeOf(output).reduce((product, size) => product * size, 1);
    }, 0);
}

describe('the formula', () => {
  const graphOf = async (trainable: TensorShapes): Promise<SymbolicGraph> => {
    const weights = Object.fromEntries(
      Object.entries(shapes)
        .filter(([name]) => !(name in trainable))
        .map(([name, shape]): [string, WeightSource] => [
          name,
          { storage: 'F32', shape, file: '', begin: 0, end: 0 },
        ]),
    );
    const [graph] = await stepGraphs(
      {
        ...{ name: 'tiny', inputs: languageModelInputs(tiny), trainable, weights, clipNorm: null },
        lossSum: (tensors) => languageModelLossSum(tiny, tensors, { scale: 2 }),
        optimizer: { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 },
        decayUnusedParameters: false,
      },
      { accumulate: false },
    );
    return graph!;
  };

  it.each([
    ['LoRA', adapters, false],
    ['a decoder trained as a whole', shapes, true],
  ] as const)('counts the matrix products that the traced step of %s has', async (_, trainable, inputs) => {
    const graph = await graphOf(trainable);
    const batch = { lengths: [7, 7, 7], supervisedTokens: 5 };
    expect(productsOf(graph, { batch: 3, tokens: 7, supervised: 5 })).toBe(
      stepFlops(stepCost(tiny, trainable, inputs), batch),
    );
  });
});

describe('the peak of an engine', () => {
  it('is measured, on the slowest one too', async () => {
    const peak = await measurePeakFlops(new EagerEngine('cpu', 'cpu'));
    expect(peak).toBeGreaterThan(1e6);
    expect(peak).toBeLessThan(1e14);
  });
});

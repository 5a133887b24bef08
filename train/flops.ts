import type { DecoderConfig } from '../model/decoder.ts';
import type { TensorShapes } from './checkpoint.ts';

/** What one micro-batch has the decoder compute. */
export interface ComputedTokens {
  /** Tokens of each sequence, without padding. */
  readonly lengths: readonly number[];
  /** Tokens whose prediction is learnt: rows that get logits. */
  readonly supervisedTokens: number;
}

/** Coefficients of the operations of a step, found once for a model. */
interface StepCost {
  /** For each token. */
  readonly perToken: number;
  /** For each pair of tokens of one sequence. */
  readonly perTokenPair: number;
  /** For each token that is learnt. */
  readonly perSupervisedToken: number;
}

/** A product `[rows, in] x [in, out]` has a multiplication and an addition for each entry of the matrix and row. */
const productCost = (shape: readonly number[]): number => 2 * shape[0]! * shape[1]!;

/**
 * Operations of one training step (forward and backward) for each token, for each pair of tokens and for each learnt
 * token. Matrix products of the decoder only; each costs `2 * rows * in * out`:
 *
 * - linear layer: forward, then backward to its input; backward to its weight only where the weight is trained
 * - adapter (rank r on a layer in -> out): both of its products, each forward and backward to input and weight:
 *   `3 * 2 * r * (in + out)` a token
 * - attention: two products over all pairs of tokens, the masked half included, as is usual for this figure; each
 *   once forward and twice backward: `6 * 2 * headDim * heads` a pair and layer
 * - in the last layer, everything behind attention for the learnt tokens only
 * - logits: forward and backward to the hidden state; backward to the weight only where it is trained
 *
 * Where nothing before the first layer is trained, backward ends at its queries, keys and values.
 *
 * Left out, as is usual: whatever is no matrix product, embeddings, the fusion modules (they see a few rows a sample: below
 * 0.1 % for a 7B model), and padding, which is computed but is no work worth counting.
 *
 * @param trainable shapes of the tensors that are trained, by name
 * @param trainsInputs whether embeddings are trained, or fusion modules whose vectors stand among them
 */
export function stepCost(decoder: DecoderConfig, trainable: TensorShapes, trainsInputs: boolean): StepCost {
  const { hiddenSize: hidden, intermediateSize, numHiddenLayers, headDim, vocabSize } = decoder;
  const querySize = decoder.numAttentionHeads * headDim;
  const keySize = decoder.numKeyValueHeads * headDim;
  const layer = {
    'self_attn.q_proj': [querySize, hidden],
    'self_attn.k_proj': [keySize, hidden],
    'self_attn.v_proj': [keySize, hidden],
    'self_attn.o_proj': [hidden, querySize],
    'mlp.gate_proj': [intermediateSize, hidden],
    'mlp.up_proj': [intermediateSize, hidden],
    'mlp.down_proj': [hidden, intermediateSize],
  };
  const isTrained = (name: string): boolean => Object.hasOwn(trainable, name);
  let perToken = 0;
  // In the last layer what follows attention is computed for learnt tokens alone.
  let perLearntRow = 0;
  for (let i = 0; i < numHiddenLayers; i++) {
    for (const [name, shape] of Object.entries(layer)) {
      const prefix = `model.layers.${i}.${name}`;
      const readsInputs = i === 0 && /[qkv]_proj$/.test(name);
      const toInput = readsInputs && !trainsInputs ? 0 : 1;
      let cost = productCost(shape) * (1 + toInput + (isTrained(`${prefix}.weight`) ? 1 : 0));
      const [down, up] = [trainable[`${prefix}.lora_A.weight`], trainable[`${prefix}.lora_B.weight`]];
      if (down !== undefined) cost += productCost(down) * (2 + toInput);
      if (up !== undefined) cost += productCost(up) * 3;
      if (i === numHiddenLayers - 1 && !/[qkv]_proj$/.test(name)) perLearntRow += cost;
      else perToken += cost;
    }
  }
  const head = decoder.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
  return {
    perToken,
    perTokenPair: numHiddenLayers * 6 * 2 * querySize,
    perSupervisedToken: perLearntRow + 2 * hidden * vocabSize * (isTrained(head) ? 3 : 2),
  };
}

/** Floating-point operations of one micro-batch, forward and backward; see `stepCost`. */
export function stepFlops(cost: StepCost, { lengths, supervisedTokens }: ComputedTokens): number {
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const pairs = lengths.reduce((sum, length) => sum + length ** 2, 0);
  return cost.perToken * tokens + cost.perTokenPair * pairs + cost.perSupervisedToken * supervisedTokens;
}

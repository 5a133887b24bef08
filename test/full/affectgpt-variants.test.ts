import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TensorMap } from '../../src/engine/types.ts';
import {
  checkFiveSteps,
  checkForwardAndGradients,
  loadVariant,
  type ReferenceFacts,
  readLanguageModel,
  readReferenceFacts,
} from '../support/affectgpt-reference.ts';

let facts: ReferenceFacts;
let languageModel: TensorMap;

beforeAll(async () => {
  await tf.setBackend('cpu');
  facts = await readReferenceFacts();
  languageModel = await readLanguageModel();
});

beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

const variants = [
  'attention-attention',
  'attention-mean',
  'attention-qformer',
  'qformer-attention',
  'qformer-mean',
  'qformer-qformer',
  'none-attention',
  'none-mean',
  'none-qformer',
  'all-tokens',
  'patches-attention-attention',
  'patches-qformer-qformer',
  'image-token',
  'image-mean',
  'image-patches-token',
];

describe('every variant agrees with the published code', () => {
  it('is every variant of the fixture', () => {
    expect(variants.toSorted()).toEqual(Object.keys(facts.variants).sort());
  });

  it.each(variants)('outputs, loss and gradients of %s', async (name) => {
    checkForwardAndGradients(await loadVariant(facts, languageModel, name));
  });

  it.each(['attention-attention', 'qformer-qformer', 'qformer-mean', 'none-attention', 'image-mean'])(
    'five AdamW steps of %s',
    async (name) => {
      checkFiveSteps(await loadVariant(facts, languageModel, name));
    },
  );
});

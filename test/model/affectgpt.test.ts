import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, beforeEach, describe, it } from 'vitest';
import type { TensorMap } from '../../src/engine/types.ts';
import {
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

// All 15 variants, and five optimizer steps of each, are compared in test/full.
describe('the assembled model agrees with the published code', () => {
  it.each(['attention-attention', 'patches-qformer-qformer', 'image-patches-token'])(
    'outputs, loss and gradients of %s',
    async (name) => checkForwardAndGradients(await loadVariant(facts, languageModel, name)),
  );
});

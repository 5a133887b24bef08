import { openDecoder } from '../../src/runtime/pretrained.ts';
import { decoderParts } from './decoder-model.ts';
import { compareForms } from './forms.ts';
import type { ParityHandler } from './handler.ts';

/** Qwen2ForCausalLM and LlamaForCausalLM. */
export const decoderHandler: ParityHandler = (fixture, engine) =>
  compareForms(fixture, async (folder) => {
    const { config, weights } = await openDecoder(folder);
    return decoderParts(fixture, engine, async () => ({ config, weights, lora: null }));
  });

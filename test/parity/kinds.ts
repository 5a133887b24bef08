import { adamwHandler } from './adamw.ts';
import { affectGptHandler } from './affectgpt.ts';
import { decoderHandler } from './decoder.ts';
import { encoderHandler, encoderTypes } from './encoders.ts';
import type { ParityHandler } from './handler.ts';
import { loraHandler } from './lora.ts';
import { qformerHandler } from './qformer.ts';

/** Every kind of fixture and its handler. A new kind is a line here. */
export const parityKinds: Readonly<Record<string, ParityHandler>> = {
  qwen2: decoderHandler,
  llama: decoderHandler,
  qwen2_lora: loraHandler,
  bert_qformer: qformerHandler,
  adamw: adamwHandler,
  affectgpt: affectGptHandler,
  ...Object.fromEntries(Object.entries(encoderTypes).map(([kind, type]) => [kind, encoderHandler(type)])),
};

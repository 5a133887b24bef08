import type { FusionConfig, PoolingType } from '../../../fusion/config.ts';
import type { AffectGptConfig } from '../../../model/affectgpt.ts';
import { inputModes, type SlotName } from '../../../model/modes.ts';
import type { HostTensorMap } from '../../../src/engine/types.ts';
import { InputError } from '../../../src/errors.ts';
import {
  type AffectGptReference,
  below,
  referenceConfig,
  type TokenRows,
  tokenInputs,
} from '../../support/affectgpt-reference.ts';
import type { RawMedia } from './media.ts';

/** The tensors outside the language model of the model that starts from raw media. */
export const endToEndParameters = (tensors: HostTensorMap): HostTensorMap => below(tensors, 'param/');

/** Slots of the first sample of the stored batch in the order of the text, and the number of tokens of each. */
function slotsOfBatch(
  { placeholderIds }: AffectGptReference,
  { input_ids: ids }: Partial<TokenRows>,
): Map<SlotName, number> {
  const slotOf = new Map(Object.entries(placeholderIds).map(([slot, id]) => [id, slot as SlotName]));
  const slots = new Map<SlotName, number>();
  for (const id of ids?.data.subarray(0, ids.shape[1]) ?? []) {
    const slot = slotOf.get(id);
    if (slot !== undefined) slots.set(slot, (slots.get(slot) ?? 0) + 1);
  }
  return slots;
}

const batchOf = (tensors: HostTensorMap): Partial<TokenRows> => below(tensors, 'e2e/');

/** How the model fuses, as its tensors tell. */
function fusionOf(
  reference: AffectGptReference,
  tensors: HostTensorMap,
): Pick<FusionConfig, 'multi' | 'video' | 'audio' | 'image' | 'queryTokens'> {
  const stored = endToEndParameters(tensors);
  const names = Object.keys(stored);
  const pooling = (branch: 'video' | 'audio'): PoolingType => {
    if (names.some((name) => name.startsWith(`${branch}_Qformer.`))) return 'qformer';
    return names.includes(`${branch}_attention_mlp.weight`) ? 'attention' : 'mean';
  };
  const qformerFusion = names.some((name) => name.startsWith('multi_Qformer.'));
  const slots = slotsOfBatch(reference, batchOf(tensors));
  const tokens = (branch: 'multi' | 'video' | 'audio' | 'image', ...of: SlotName[]): number =>
    stored[`${branch}_query_tokens`]?.shape[1] ??
    of.map((slot) => slots.get(slot)).find((count) => count !== undefined) ??
    1;
  return {
    multi: qformerFusion ? 'qformer' : names.includes('fc_att.weight') ? 'attention' : 'none',
    video: pooling('video'),
    audio: pooling('audio'),
    image: 'mean',
    queryTokens: {
      multi: tokens('multi', 'multi'),
      video: tokens('video', 'face', 'frame'),
      audio: tokens('audio', 'audio'),
      image: tokens('image', 'image'),
    },
  };
}

/**
 * The model that starts from raw media. Only its tensors and a batch are stored: they tell how it fuses.
 * @param mode that of the stored batch where absent
 * @throws InputError `PARITY_INPUT_MISSING`
 */
export function endToEndModel(
  reference: AffectGptReference,
  tensors: HostTensorMap,
  mode?: string,
): AffectGptConfig {
  const slots = [...slotsOfBatch(reference, batchOf(tensors)).keys()].join();
  const found = mode ?? Object.entries(inputModes).find(([, known]) => known.slots.join() === slots)?.[0];
  if (found === undefined) {
    throw new InputError(
      'PARITY_INPUT_MISSING',
      `No input mode has the placeholders ${slots} of e2e/input_ids.`,
    );
  }
  return referenceConfig(reference, found, fusionOf(reference, tensors));
}

/** Inputs of the loss: the stored batch, whose rows are the first samples, with features of the raw media. */
export async function endToEndBatch(
  reference: AffectGptReference,
  media: RawMedia,
  tensors: HostTensorMap,
  config: AffectGptConfig,
): Promise<HostTensorMap> {
  const rows = batchOf(tensors) as TokenRows;
  const samples = Array.from({ length: rows.input_ids.shape[0]! }, (_, i) => i);
  const features = await media.batch(config.mode.needs, samples, config.fusion.frames);
  return { ...features, ...tokenInputs(config, reference.placeholderIds, rows) };
}

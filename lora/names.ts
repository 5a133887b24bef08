import type { LoraSettings } from './config.ts';

const peftPrefix = 'base_model.model.';
const publishedPrefix = 'llama_model.';
const adapterTensor = /^(.+)\.lora_(A|B)(?:\.([^.]+))?\.weight$/;

/**
 * Our name of an adapter tensor, `model.layers.0.self_attn.q_proj.lora_A.weight`, from a name in one of the forms
 * - PEFT's files: `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`
 * - PEFT in memory and published AffectGPT checkpoints:
 *   `llama_model.base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight` (any adapter name)
 * - ours.
 *
 * @returns null where the name is not that of an adapter tensor
 */
export function fromPeftName(name: string): string | null {
  const match = adapterTensor.exec(name);
  if (match === null) return null;
  let module = match[1]!;
  if (module.startsWith(`${publishedPrefix}${peftPrefix}`)) module = module.slice(publishedPrefix.length);
  if (module.startsWith(peftPrefix)) module = module.slice(peftPrefix.length);
  return `${module}.lora_${match[2]}.weight`;
}

/** The name that `save_pretrained` of PEFT gives an adapter tensor of ours. */
export const toPeftName = (name: string): string => `${peftPrefix}${name}`;

/** The name that published AffectGPT checkpoints give an adapter tensor of ours. */
export const toPublishedName = (name: string): string =>
  `${publishedPrefix}${peftPrefix}${name.replace(/\.weight$/, '.default.weight')}`;

/**
 * Names and shapes of the adapter tensors for the weights of a model: for each weight `[out, in]` of a target
 * projection `<module>.lora_A.weight [rank, in]` and `<module>.lora_B.weight [out, rank]`.
 *
 * @param weightShapes of the base model, as `decoderTensorShapes` gives them
 */
export function adapterTensorShapes(
  weightShapes: Readonly<Record<string, readonly number[]>>,
  settings: Pick<LoraSettings, 'rank' | 'targets'>,
): Record<string, [number, number]> {
  const endings = settings.targets.map((target) => `.${target}.weight`);
  const shapes: Record<string, [number, number]> = {};
  for (const [name, shape] of Object.entries(weightShapes)) {
    if (!endings.some((ending) => name.endsWith(ending))) continue;
    const module = name.slice(0, -'.weight'.length);
    shapes[`${module}.lora_A.weight`] = [settings.rank, shape[1]!];
    shapes[`${module}.lora_B.weight`] = [shape[0]!, settings.rank];
  }
  return shapes;
}

import { InputError } from '../src/errors.ts';

/** The projections of a Qwen2 or Llama decoder layer that can carry an adapter. */
export const loraTargets = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const;
export type LoraTarget = (typeof loraTargets)[number];

export interface LoraSettings {
  readonly rank: number;
  readonly alpha: number;
  /** Probability of dropping an element of the adapter's input in training. */
  readonly dropout: number;
  readonly targets: readonly LoraTarget[];
}

/** What the adapter's product is multiplied with: alpha / rank. */
export const loraScale = ({ rank, alpha }: Pick<LoraSettings, 'rank' | 'alpha'>): number => alpha / rank;

/** Keys of `adapter_config.json` that do not change what the adapter computes. */
const descriptiveKeys = new Set([
  'base_model_name_or_path',
  'ensure_weight_tying',
  'inference_mode',
  'layers_pattern',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'task_type',
]);
const knownKeys = new Set([
  'peft_type',
  'r',
  'lora_alpha',
  'lora_dropout',
  'target_modules',
  'init_lora_weights',
  'use_rslora',
]);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Off, as PEFT writes options that are not used. */
function isOff(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === 'none') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/**
 * Reads the content of a PEFT `adapter_config.json`.
 *
 * @throws InputError `ADAPTER_CONFIG_INVALID` with all faults: values out of range, and every PEFT option that
 *   changes the computation and is not plain LoRA (DoRA, rank patterns, modules to save, ...)
 */
export function parseAdapterConfig(json: unknown): LoraSettings {
  const faults: string[] = [];
  const config = isObject(json) ? json : {};
  if (!isObject(json)) faults.push('it is not a JSON object');
  if (config.peft_type !== 'LORA') {
    faults.push(`"peft_type" is ${JSON.stringify(config.peft_type)} instead of "LORA"`);
  }
  const rank = config.r;
  if (typeof rank !== 'number' || !Number.isInteger(rank) || rank < 1) {
    faults.push(`"r" is ${JSON.stringify(rank)}, a whole number from 1 is expected`);
  }
  const alpha = config.lora_alpha;
  if (typeof alpha !== 'number' || !(alpha > 0)) {
    faults.push(`"lora_alpha" is ${JSON.stringify(alpha)}, a number above 0 is expected`);
  }
  const dropout = config.lora_dropout ?? 0;
  if (typeof dropout !== 'number' || !(dropout >= 0 && dropout < 1)) {
    faults.push(`"lora_dropout" is ${JSON.stringify(dropout)}, a number from 0 to less than 1 is expected`);
  }
  const initial = config.init_lora_weights ?? true;
  if (typeof initial !== 'boolean' && initial !== 'gaussian') {
    faults.push(
      `"init_lora_weights": ${JSON.stringify(initial)} changes the base weights, which is not supported`,
    );
  }
  if (typeof (config.use_rslora ?? false) !== 'boolean') {
    faults.push(`"use_rslora" is ${JSON.stringify(config.use_rslora)}, true or false is expected`);
  }
  const targets = parseTargets(config.target_modules, faults);
  for (const [key, value] of Object.entries(config)) {
    if (knownKeys.has(key) || descriptiveKeys.has(key) || isOff(value)) continue;
    faults.push(`"${key}": ${JSON.stringify(value)} is not supported`);
  }
  if (faults.length > 0) {
    throw new InputError(
      'ADAPTER_CONFIG_INVALID',
      `The adapter configuration (adapter_config.json) cannot be used: ${faults.join('; ')}. ` +
        'Plain LoRA adapters of PEFT on the projections of the decoder layers are supported.',
    );
  }
  // Rank-stabilised LoRA scales by alpha / sqrt(rank): the same as this alpha in alpha / rank.
  const spread = config.use_rslora === true ? Math.sqrt(rank as number) : 1;
  return { rank: rank as number, alpha: (alpha as number) * spread, dropout: dropout as number, targets };
}

function parseTargets(value: unknown, faults: string[]): LoraTarget[] {
  if (value === 'all-linear') return [...loraTargets];
  const names: readonly unknown[] = Array.isArray(value) ? value : [];
  const unknown = names.filter((name) => !loraTargets.some((target) => target === name));
  if (names.length === 0 || unknown.length > 0) {
    faults.push(
      `"target_modules" is ${JSON.stringify(value)}, "all-linear" or a list out of ${loraTargets.join(', ')} is expected`,
    );
  }
  // PEFT writes a set, in any order; ours is fixed, so that equal settings look equal.
  return loraTargets.filter((target) => names.includes(target));
}

/**
 * The content of an `adapter_config.json` that PEFT (0.5 and later) loads.
 *
 * @param baseModel Hugging Face id or folder of the model under the adapter
 */
export function adapterConfigJson(settings: LoraSettings, baseModel: string | null): Record<string, unknown> {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: baseModel,
    inference_mode: true,
    r: settings.rank,
    lora_alpha: settings.alpha,
    lora_dropout: settings.dropout,
    target_modules: [...settings.targets],
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: true,
    modules_to_save: null,
    use_dora: false,
    use_rslora: false,
  };
}

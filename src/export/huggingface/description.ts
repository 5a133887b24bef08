import { fusionPart } from '../../../fusion/parameters.ts';
import { packageVersion } from '../../config/package-folder.ts';
import type { Config } from '../../config/schema.ts';
import { placeholders } from '../../data/prompts.ts';
import type { AffectGpt } from '../../runtime/affectgpt.ts';
import { formatOf } from '../../runtime/samples.ts';
import type { ExportWeights } from '../graphs/model-graph.ts';
import { promptSegments } from '../prompt.ts';
import type { Dtype } from './shards.ts';

/** A model by what PEFT and transformers find it. */
export interface BaseModel {
  /** An id of the hub, or a folder. */
  readonly name: string;
  /** Branch, tag or commit of the hub; null for the usual one, and for a folder. */
  readonly revision: string | null;
}

export interface Described {
  readonly config: Config;
  readonly model: AffectGpt;
  readonly dtype: Dtype;
  /** What the adapter is for and the merged decoder is made from. */
  readonly baseModel: BaseModel;
  readonly source: {
    readonly checkpoint: string;
    readonly step: number;
    readonly configHash: string;
    readonly settings: Readonly<Record<string, unknown>>;
  };
  readonly fusion: ExportWeights;
  readonly hasAdapter: boolean;
  /** Expected files that the base model does not have. */
  readonly missing: readonly string[];
}

/** `affectgpt.json`: what the tensors of `affectgpt.safetensors` are, and what they were trained in. */
export function describeFusion(described: Described): Record<string, unknown> {
  const { config, model, dtype, baseModel, source, fusion, hasAdapter } = described;
  const { decoder, mode, fusion: shape, lora } = model.config;
  const { tokenizer } = model;
  const format = formatOf(config);
  const { settings, ...rest } = source;
  const tensors = Object.entries(fusion).map(([name, weight]) => {
    const isTrained = model.trainable[name] !== undefined;
    return [name, { shape: weight.shape, part: fusionPart(name), trained: isTrained }] as const;
  });
  return {
    format: 'affectgpt-huggingface',
    version: 1,
    affectgpt: packageVersion(),
    source: rest,
    decoder: {
      baseModel,
      merged: 'merged',
      dtype,
      adapter: hasAdapter ? 'adapter' : null,
      trained: config.train.parts.decoder,
      hiddenSize: decoder.hiddenSize,
      lora,
    },
    encoders: {
      visual: model.visual === undefined ? null : config.model.visualEncoder,
      audio: model.audio === undefined ? null : config.model.audioEncoder,
    },
    inputs: { mode: config.model.inputs, ...mode },
    prompt: {
      segments: promptSegments(format, model.config, tokenizer),
      startToken: format.begin.asking ? (tokenizer.bosId ?? null) : null,
      // The base model's tokenizer does not know them; added to it in this order they have these ids.
      placeholders: Object.entries(placeholders).map(([slot, text]) => ({
        slot,
        text,
        id: tokenizer.placeholderIds[slot as keyof typeof placeholders],
      })),
    },
    fusion: shape,
    tensors: Object.fromEntries(tensors),
    settings,
  };
}

/** `README.md` of the folder. */
export function readmeText({ model, dtype, baseModel, hasAdapter, missing, config }: Described): string {
  const { name, revision } = baseModel;
  const base = [
    JSON.stringify(name),
    ...(revision === null ? [] : [`revision=${JSON.stringify(revision)}`]),
  ].join(', ');
  const trained = config.train.parts.decoder;
  const mergedFrom = {
    lora: 'with its adapter merged into the weights',
    full: 'as it was trained; there is no adapter',
    frozen: 'as it was, since training left it alone; there is no adapter',
  }[trained];
  const adapter = `
## adapter/

The adapter alone, in PEFT's layout and in float32, for the base model ${name}.

\`\`\`python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained(${base})
model = PeftModel.from_pretrained(base, "adapter")
\`\`\`
`;
  const lacks =
    missing.length === 0
      ? ''
      : `\nThe base model has no ${missing.join(', no ')}, so neither has \`merged/\`. Take what you need from where the base model came from.\n`;
  const slots = model.config.mode.slots.length;
  const fusion =
    slots === 0
      ? 'This model reads text alone: there is nothing in it that pictures or sound pass through.'
      : `Features of the frozen encoders pass through these tensors and become vectors, which stand in the prompt in the place of the placeholders (\`prompt.segments\` in \`affectgpt.json\`). The decoder alone, as transformers and peft load it, reads text and \`inputs_embeds\`: put the vectors there. The tokenizer learns the placeholders with

\`\`\`python
placeholders = [placeholder["text"] for placeholder in description["prompt"]["placeholders"]]
tokenizer.add_tokens(placeholders, special_tokens=True)
\`\`\``;
  return `# An AffectGPT-style model in the layouts of Hugging Face

Written by \`affectgpt export hf\`. Run the lines below in this folder. SHA-256 of every file: \`checksums.json\`.

## merged/

The decoder ${mergedFrom}, in ${dtype}, in the layout of transformers.

\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("merged", dtype="auto")
tokenizer = AutoTokenizer.from_pretrained("merged")
\`\`\`
${lacks}${hasAdapter ? adapter : ''}
## affectgpt.safetensors and affectgpt.json

Fusion and projectors under their published names, in float32, and what they are: shapes, settings, encoders, prompt.

\`\`\`python
import json
from safetensors.torch import load_file

tensors = load_file("affectgpt.safetensors")
description = json.load(open("affectgpt.json"))
\`\`\`

${fusion}
`;
}

import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { parseModelFile } from '../../encoders/model-file.ts';
import { type QformerConfig, qformerForward, qformerTensorPlan } from '../../fusion/qformer.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { Engine, HostTensorMap, TensorMap, WeightSource } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { openCheckpoint } from '../../src/io/checkpoint-folder.ts';
import { readModelJson } from '../../src/runtime/model-folder.ts';
import { type Weights, weightSource } from '../../src/runtime/pretrained.ts';
import { type Actual, largestOf, type Part } from './compare.ts';
import { compareForms } from './forms.ts';
import type { ParityFixture, ParityHandler } from './handler.ts';

const size = z.int().positive();
/** `config.json` of Blip2QFormerModel, with the defaults of its class. */
const configSchema = z.looseObject({
  hidden_size: size.default(768),
  num_hidden_layers: size.default(12),
  num_attention_heads: size.default(12),
  intermediate_size: size.default(3072),
  layer_norm_eps: z.number().positive().default(1e-12),
  encoder_hidden_size: size.default(1408),
  hidden_act: z.literal('gelu', 'only "gelu" is supported').default('gelu'),
  cross_attention_frequency: size.default(2),
  use_qformer_text_input: z.literal(false, 'text inputs are not supported').default(false),
});

const name = 'parity';
const prefix = `${name}_Qformer.bert`;

/** The published name of a tensor that BLIP-2's class in transformers names otherwise. */
const publishedName = (stored: string): string =>
  `${prefix}.${stored
    .replace(/^bert\./, '')
    .replace(/attention\.attention\./, 'attention.self.')
    .replace(/^layernorm\./, 'embeddings.LayerNorm.')}`;

interface Qformer {
  readonly config: QformerConfig;
  /** Under published names. */
  readonly weights: Weights;
}

async function openQformer(folder: string): Promise<Qformer> {
  const parsed = parseModelFile(configSchema, await readModelJson(folder, 'config.json'), 'config.json');
  const config: QformerConfig = {
    hiddenSize: parsed.hidden_size,
    numHiddenLayers: parsed.num_hidden_layers,
    numAttentionHeads: parsed.num_attention_heads,
    intermediateSize: parsed.intermediate_size,
    layerNormEps: parsed.layer_norm_eps,
    crossAttentionFrequency: parsed.cross_attention_frequency,
    dropout: 0,
  };
  const stored = new Map(
    [...(await openCheckpoint(folder))].map(([key, entry]) => [publishedName(key), entry] as const),
  );
  const weights: Record<string, WeightSource> = {};
  const faults: string[] = [];
  for (const [key, { shape }] of Object.entries(
    qformerTensorPlan(config, name, 1, parsed.encoder_hidden_size),
  )) {
    if (key === `${name}_query_tokens`) continue; // An input of this kind of fixture.
    const entry = stored.get(key);
    if (entry?.shape.join() === shape.join()) weights[key] = await weightSource(entry);
    else
      faults.push(`${key} is ${entry === undefined ? 'missing' : `[${entry.shape}]`}, needed is [${shape}]`);
  }
  if (faults.length > 0) {
    throw new InputError(
      'PARITY_WEIGHTS',
      `The weights in ${folder} do not fit its config.json: ${faults.join('; ')}.`,
    );
  }
  return { config, weights };
}

/** Inputs of the fixture of which it may list gradients too. */
const inputNames = ['queries', 'encoder_hidden_states'] as const;

/** Softmax does not see a key's bias: its gradient is zero, what is stored of it is rounding noise. */
const isKeyBias = (variable: string): boolean => /attention\.self\.key\.bias$/.test(variable);

const weightBeside = (bias: string): string => bias.replace(/bias$/, 'weight');

/** What a gradient of the fixture is with respect to: an input, or a weight under its published name. */
function variableOf(golden: string): string {
  const variable = golden.slice('grad.'.length);
  return inputNames.some((input) => input === variable) ? variable : publishedName(variable);
}

async function compute(
  fixture: ParityFixture,
  engine: Engine,
  { config, weights }: Qformer,
  names: readonly string[],
): Promise<Record<string, Actual | string>> {
  // A key's bias is judged by the gradient of its weight, which is therefore computed as well.
  const gradientNames = new Set(
    names
      .filter((key) => key.startsWith('grad.'))
      .flatMap((key) => (isKeyBias(variableOf(key)) ? [key, weightBeside(key)] : [key])),
  );
  const needed = [...inputNames, ...(gradientNames.size > 0 ? ['cotangent'] : [])];
  const inputs: HostTensorMap = {};
  for (const input of needed) {
    const tensor = fixture.tensors[input];
    if (tensor === undefined) {
      throw new InputError('PARITY_INPUT_MISSING', `The input "${input}" is not in golden.safetensors.`);
    }
    inputs[input] = tensor;
  }
  const compiled = await engine.compile(
    ({ inputs: given, weights: frozen }) => {
      const tensors: TensorMap = { ...frozen, ...given };
      const forward = (): tf.Tensor =>
        qformerForward(
          config,
          new Parameters(tensors, prefix),
          tensors.queries!,
          tensors.encoder_hidden_states!,
        );
      const outputs: TensorMap = { last_hidden_state: forward() };
      const variables: TensorMap = {};
      for (const golden of gradientNames) {
        const tensor = tensors[variableOf(golden)];
        if (tensor !== undefined) variables[golden] = tensor;
      }
      if (Object.keys(variables).length > 0) {
        const { gradients } = valueAndGradients(
          () => tf.sum(tf.mul(forward(), given.cotangent!)) as tf.Scalar,
          variables,
        );
        for (const [golden, gradient] of Object.entries(gradients)) {
          if (gradient !== null) outputs[golden] = gradient;
        }
      }
      return { outputs };
    },
    {
      name: 'qformer',
      inputs: Object.fromEntries(
        Object.entries(inputs).map(([key, { shape }]) => [key, { dtype: 'float32', shape }]),
      ),
      weights,
    },
  );
  try {
    const results = await compiled.run(inputs);
    return Object.fromEntries(
      names.map((key): [string, Actual | string] => {
        const actual = results[key];
        if (actual === undefined) return [key, 'the model has no such tensor'];
        if (!key.startsWith('grad.') || !isKeyBias(variableOf(key))) return [key, actual];
        const scale = largestOf(results[weightBeside(key)]!.data);
        return [key, { ...actual, scale, note: 'zero but for rounding' }];
      }),
    );
  } finally {
    await compiled.dispose();
  }
}

/** Blip2QFormerModel: output and gradients of `sum(output * cotangent)`. */
export const qformerHandler: ParityHandler = (fixture, engine) =>
  compareForms(fixture, async (folder): Promise<Part[]> => {
    const qformer = await openQformer(folder);
    return [
      {
        gives: (key) => key === 'last_hidden_state' || key.startsWith('grad.'),
        compute: (names) => compute(fixture, engine, qformer, names),
      },
    ];
  });

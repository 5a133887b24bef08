import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fusionTensorShapes } from '../../../fusion/parameters.ts';
import { type AffectGptConfig, type AffectGptLossInputs, lossInputSpecs } from '../../../model/affectgpt.ts';
import type { Engine, HostTensorMap, InputSpec } from '../../../src/engine/types.ts';
import {
  type AffectGptReference,
  below,
  openVariant,
  tokenInputs,
  type Variant,
} from '../../support/affectgpt-reference.ts';
import { missed, reasonOf } from '../compare.ts';
import type { Comparison } from '../handler.ts';
import { close, notCompared, type Rules, sameNames, unknown, unknownKeys } from './comparisons.ts';
import { compareCheckpoints, compareDropout } from './composition.ts';
import { compareTraining, isNoise, isOfTraining } from './optimizer.ts';
import { recordedOutputs } from './outputs.ts';
import { compareVariantTexts } from './texts.ts';

/** Keys of a variant in `golden.json`; trajectories of steps are told by their prefix. */
const factKeys = new Set([
  ...['mode', 'config', 'loss', 'grad_none', 'grad_norms', 'label_types', 'prompts', 'answers'],
  ...['param_groups', 'param_groups_all_names', 'dropout_rates_set_to_zero'],
  ...['checkpoint_keys_outside_the_llm', 'checkpoint_keys_in_the_llm'],
]);
const featureNames = ['face', 'frame', 'audio', 'image'] as const;
const inputNames: ReadonlySet<string> = new Set([
  ...featureNames,
  ...['input_ids', 'labels', 'attention_masks'],
]);

/** Shapes of a batch with all its features, needed by the mode or not. */
function inputSpecs(config: AffectGptConfig, features: HostTensorMap): Record<string, InputSpec> {
  const others = Object.entries(features).map(([name, { shape }]): [string, InputSpec] => [
    name,
    { dtype: 'float32', shape: ['batch', ...shape.slice(1)] },
  ]);
  return { ...Object.fromEntries(others), ...lossInputSpecs(config, false) };
}

/** What the forward pass computes, by the names of `out/`. */
export async function forward(
  reference: AffectGptReference,
  { name, config, batch, trainable }: Pick<Variant, 'name' | 'config' | 'batch' | 'trainable'>,
  engine: Engine,
): Promise<HostTensorMap> {
  const features = Object.fromEntries(
    featureNames.flatMap((feature) => (batch[feature] === undefined ? [] : [[feature, batch[feature]]])),
  );
  const compiled = await engine.compile(
    ({ inputs, weights }) => ({
      outputs: recordedOutputs(config, weights, inputs as unknown as AffectGptLossInputs),
    }),
    {
      name: `${name}.forward`,
      inputs: inputSpecs(config, features),
      weights: { ...reference.frozen, ...trainable },
    },
  );
  try {
    return await compiled.run({ ...features, ...tokenInputs(config, reference.placeholderIds, batch) });
  } finally {
    await compiled.dispose();
  }
}

/** Everything that the fixture says of one variant. */
async function compareVariant(
  reference: AffectGptReference,
  name: string,
  engine: Engine,
  rules: Rules,
): Promise<Comparison[]> {
  const where = `golden.json variants.${name}`;
  const variant = await openVariant(reference, name);
  const { file, stored, facts, config } = variant;
  const shown = (tensors: Readonly<Record<string, readonly number[]>>): string[] =>
    Object.entries(tensors).map(([tensor, shape]) => `${tensor} [${shape}]`);
  const parameters = Object.entries(below(stored, 'param/')).map(
    ([tensor, { shape }]) => [tensor, shape] as const,
  );
  const comparisons: Comparison[] = [
    sameNames(
      `${file} param/`,
      shown(fusionTensorShapes(config.fusion)),
      shown(Object.fromEntries(parameters)),
      'names and shapes of all tensors outside the language model',
    ),
  ];
  const outputs = await forward(reference, variant, engine);
  let noise = 0;
  for (const [tensor, expected] of Object.entries(stored)) {
    const label = `${file} ${tensor}`;
    const [prefix, rest] = [tensor.slice(0, tensor.indexOf('/')), tensor.slice(tensor.indexOf('/') + 1)];
    if (prefix === 'out') {
      const output = outputs[rest];
      comparisons.push(output === undefined ? unknown(label) : close(label, output, expected, rules));
    } else if (isOfTraining(tensor)) {
      if (isNoise(tensor.split('[')[0]!)) noise++;
    } else if (prefix !== 'param' && !(prefix === 'input' && inputNames.has(rest))) {
      comparisons.push(unknown(label));
    }
  }
  comparisons.push(...(await compareTraining(reference, variant, engine, rules)));
  if (noise > 0) {
    const reason =
      'softmax ignores the key biases of Q-Formers: their gradients are rounding noise, their updates too';
    comparisons.push(
      notCompared(`${file} ${noise} tensors grad/ and after5/ ...attention.self.key.bias`, reason),
    );
  }
  comparisons.push(...(await compareVariantTexts(reference, variant)));
  comparisons.push(...compareCheckpoints(variant), ...compareDropout(reference, variant));
  const keys = Object.keys(facts).filter((key) => !key.startsWith('five_steps_'));
  comparisons.push(...unknownKeys(`${where}.`, Object.fromEntries(keys.map((key) => [key, true])), factKeys));
  return comparisons;
}

/** All variants that `golden.json` names; what goes wrong in one does not keep the others from being compared. */
export async function compareVariants(
  reference: AffectGptReference,
  engine: Engine,
  rules: Rules,
): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  for (const name of Object.keys(reference.golden.variants)) {
    if (!existsSync(join(reference.folder, `variant-${name}.safetensors`))) {
      comparisons.push(missed(`variant-${name}.safetensors`, undefined, 'is not there'));
      continue;
    }
    try {
      comparisons.push(...(await compareVariant(reference, name, engine, rules)));
    } catch (error) {
      comparisons.push(missed(`variant-${name}`, undefined, reasonOf(error)));
    }
  }
  return comparisons;
}

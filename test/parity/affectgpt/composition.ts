import { fusionTensorShapes } from '../../../fusion/parameters.ts';
import { loraTargets } from '../../../lora/config.ts';
import { adapterTensorShapes } from '../../../lora/names.ts';
import {
  type AffectGptConfig,
  type AffectGptLossInputs,
  affectGptLoss,
  lossInputSpecs,
} from '../../../model/affectgpt.ts';
import { decoderTensorShapes } from '../../../model/decoder.ts';
import { inputModes } from '../../../model/modes.ts';
import { Parameters } from '../../../src/engine/parameters.ts';
import { traceFunction } from '../../../src/engine/trace/trace.ts';
import type { HostTensorMap } from '../../../src/engine/types.ts';
import { type AffectGptReference, isAdapter, type Variant } from '../../support/affectgpt-reference.ts';
import type { Comparison } from '../handler.ts';
import { equal, sameNames } from './comparisons.ts';

/** Names and shapes of the decoder and of its adapters. */
export function compareLanguageModel({ decoder, lora, frozen, adapter }: AffectGptReference): Comparison[] {
  const shapes = decoderTensorShapes(decoder);
  const targets = loraTargets.filter((target) =>
    Object.keys(adapter).some((name) => name.includes(`.${target}.lora_A.`)),
  );
  const expected = { ...shapes, ...adapterTensorShapes(shapes, { rank: lora.rank, targets }) };
  return [
    sameNames(
      'llm.safetensors',
      Object.entries(expected).map(([name, shape]) => `${name} [${shape}]`),
      Object.entries({ ...frozen, ...adapter }).map(([name, { shape }]) => `${name} [${shape}]`),
      'names and shapes of all tensors of decoder and adapters',
    ),
  ];
}

/** What a published checkpoint holds: every trainable tensor, and what else PyTorch finds in the modules. */
export function compareCheckpoints({ name, facts, config, trainable }: Variant): Comparison[] {
  const where = `golden.json variants.${name}`;
  const comparisons: Comparison[] = [];
  const { checkpoint_keys_outside_the_llm: outside, checkpoint_keys_in_the_llm: inside } = facts;
  if (outside !== undefined) {
    // Position numbers of the Q-Formers' unused text embeddings: buffers, no parameters.
    const isBuffer = (key: string): boolean => key.endsWith('_Qformer.bert.embeddings.position_ids');
    comparisons.push(
      sameNames(
        `${where}.checkpoint_keys_outside_the_llm`,
        Object.keys(fusionTensorShapes(config.fusion)),
        outside.filter((key) => !isBuffer(key)),
        `${outside.filter(isBuffer).length} buffers position_ids apart, which are no tensors of the model`,
      ),
    );
  }
  if (inside !== undefined) {
    const adapters = Object.keys(trainable).filter(isAdapter).length;
    const tied = config.decoder.tieWordEmbeddings ? 1 : 0;
    const note = tied === 1 ? 'adapters, and the output embeddings, which are tied' : 'adapters';
    comparisons.push(equal(`${where}.checkpoint_keys_in_the_llm`, [adapters + tied], [inside], note));
  }
  return comparisons;
}

/** Rate of the published adapters' dropout, and of the Q-Formers'. */
const publishedRates = { adapters: 0.05, qformers: 0.1 };

/** The modules that drop, by rate, found by tracing the loss with dropout. */
function droppingModules(config: AffectGptConfig, tensors: HostTensorMap): Map<number, Set<unknown>> {
  const { fusion, lora } = config;
  const dropping: AffectGptConfig = {
    ...config,
    // All modules are there in every mode; this one uses them all.
    mode: fusion.multi === 'none' ? inputModes.face : inputModes.multiface_audio_face_text,
    lora: lora && { ...lora, dropout: publishedRates.adapters },
    fusion: { ...fusion, qformer: { ...fusion.qformer, dropout: publishedRates.qformers } },
  };
  const graph = traceFunction(
    ({ inputs, weights }) => ({
      outputs: {
        loss: affectGptLoss(dropping, new Parameters(weights), inputs as unknown as AffectGptLossInputs)
          .lossSum,
      },
    }),
    { name: 'dropout', inputs: lossInputSpecs(dropping, true), weights: tensors },
    { batch: 2, tokens: 40, supervised: 5 },
  );
  const modules = new Map<number, Set<unknown>>();
  for (const { op, attributes } of graph.nodes) {
    if (op !== 'DropoutMask') continue;
    const rate = attributes.rate as number;
    modules.set(rate, (modules.get(rate) ?? new Set()).add(attributes.moduleKey));
  }
  return modules;
}

/** How many modules drop in training, by rate; reference results are made with all of them off. */
export function compareDropout(
  reference: AffectGptReference,
  { name, facts, config, trainable }: Variant,
): Comparison[] {
  const expected = facts.dropout_rates_set_to_zero;
  if (expected === undefined) return [];
  const modules = droppingModules(config, { ...reference.frozen, ...trainable });
  const lines = (counts: Iterable<readonly [number, number]>): string[] =>
    [...counts].map(([rate, count]) => `${count} modules drop ${rate}`);
  return [
    sameNames(
      `golden.json variants.${name}.dropout_rates_set_to_zero`,
      lines([...modules].map(([rate, set]) => [rate, set.size] as const)),
      lines(Object.entries(expected).map(([rate, count]) => [Number(rate), count] as const)),
      'number of modules by rate, in a trace with dropout',
    ),
  ];
}

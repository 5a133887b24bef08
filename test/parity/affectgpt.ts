import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../src/engine/types.ts';
import {
  type AffectGptReference,
  openReference,
  type ReferenceGolden,
} from '../support/affectgpt-reference.ts';
import { readJson, readTensors } from '../support/fixture.ts';
import { parseRules, type Rules, unknown, unknownKeys } from './affectgpt/comparisons.ts';
import { compareLanguageModel } from './affectgpt/composition.ts';
import { compareGeneration } from './affectgpt/generation.ts';
import { RawMedia } from './affectgpt/media.ts';
import { comparePromptFile } from './affectgpt/prompts.ts';
import { compareRaw } from './affectgpt/raw.ts';
import { compareTables } from './affectgpt/tables.ts';
import { compareVariants } from './affectgpt/variants.ts';
import { missed, reasonOf } from './compare.ts';
import type { Comparison, ParityHandler } from './handler.ts';

/** Sections of `golden.json` with results, and what the models are built from. */
const sections = ['variants', 'raw', 'generation', 'sizes', 'lora_alpha', 'tiny_model_configs'];
/** Sections that say how the results were made: nothing to compare. */
const prose = [
  'fixture',
  'about',
  'read_me',
  'compare',
  'versions',
  'shims',
  'seed',
  'llm',
  'lora_dropout',
  'made_with',
  'notes',
];
const knownFiles = new Set([
  'golden.json',
  'llm.safetensors',
  'raw.safetensors',
  'prompts.json',
  'tables.json',
]);
/** Beside the results: an own tokenizer, and texts for people. */
const sideFile = /^(tokenizer(_config)?\.json|.*\.md)$/;

/** Raw media, features, loss of the whole and answers about them. */
async function compareRawFile(
  reference: AffectGptReference,
  engine: Engine,
  rules: Rules,
): Promise<Comparison[]> {
  const file = join(reference.folder, 'raw.safetensors');
  if (!existsSync(file)) {
    const expected =
      reference.golden.raw === undefined ? [] : [missed('raw.safetensors', undefined, 'is not there')];
    return [...expected, ...(await compareGeneration(reference, undefined, {}, engine, rules))];
  }
  const tensors = await readTensors(file);
  const media = await RawMedia.open(reference, tensors, engine);
  try {
    return [
      ...(await compareRaw(reference, media, tensors, engine, rules)),
      ...(await compareGeneration(reference, media, tensors, engine, rules)),
    ];
  } finally {
    await media.dispose();
  }
}

/** `tables.json`, where there is one. */
async function compareTableFile({ folder }: AffectGptReference): Promise<Comparison[]> {
  const file = join(folder, 'tables.json');
  return existsSync(file) ? compareTables((await readJson(file)) as Parameters<typeof compareTables>[0]) : [];
}

/** Files that no rule reads. */
async function unknownFiles({ folder, golden }: AffectGptReference): Promise<Comparison[]> {
  const variants = new Set(Object.keys(golden.variants).map((name) => `variant-${name}.safetensors`));
  const names = await readdir(folder);
  return names
    .filter((name) => !knownFiles.has(name) && !variants.has(name) && !sideFile.test(name))
    .map((name) => unknown(name));
}

/**
 * Results of the published AffectGPT code with tiny sub-models: variants of pre-fusion and pooling in training, features
 * of raw media, prompts and token ids, greedy answers, tables. Its `golden.json` explains itself in `read_me`. Whatever
 * the folder holds is compared, named as left out with the reason, or a miss.
 */
export const affectGptHandler: ParityHandler = async ({ folder, golden }, engine) => {
  const facts = golden as unknown as ReferenceGolden;
  const rules = parseRules(String(facts.compare));
  if (rules === undefined) {
    return [missed('golden.json compare', undefined, 'does not state its tolerances in the known words')];
  }
  const reference = await openReference(folder, facts);
  const comparisons: Comparison[] = compareLanguageModel(reference);
  const parts: readonly (readonly [string, () => Promise<Comparison[]>])[] = [
    ['variants', () => compareVariants(reference, engine, rules)],
    ['raw.safetensors', () => compareRawFile(reference, engine, rules)],
    ['prompts.json', () => comparePromptFile(reference)],
    ['tables.json', () => compareTableFile(reference)],
    ['files', () => unknownFiles(reference)],
  ];
  for (const [name, compare] of parts) {
    try {
      comparisons.push(...(await compare()));
    } catch (error) {
      comparisons.push(missed(name, undefined, reasonOf(error)));
    }
  }
  return [...comparisons, ...unknownKeys('golden.json ', golden, new Set([...sections, ...prose]))];
};

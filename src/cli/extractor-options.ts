import type { Options } from 'yargs';
import type { EngineOptions } from '../engine/engines.ts';
import type { ExtractorName, OpenedExtractor } from '../eval/mer-unibench/run.ts';
import { usageError } from './errors.ts';
import { checkTemperature } from './option-values.ts';

/** What the command line says of a language model that looks for words. */
export interface ExtractorArguments {
  extractor: ExtractorName | undefined;
  seed: number;
  'llm-url': string | undefined;
  'llm-model': string | undefined;
  'llm-key-variable': string | undefined;
  'llm-concurrency': number | undefined;
  'llm-cache': string | undefined;
  'llm-temperature': number | undefined;
  /** Groups words by the same endpoint where it is `llm`. */
  'set-level': 'wheel' | 'llm' | undefined;
  'grouping-model': string | undefined;
}

/** In the form of `yargs.options`. */
export const llmOptions = {
  'llm-url': {
    type: 'string',
    requiresArg: true,
    describe: 'Of an OpenAI-compatible endpoint, as in http://localhost:8000/v1',
  },
  'llm-model': {
    type: 'string',
    requiresArg: true,
    describe:
      'Its model; with --extractor local a model folder or an id of the hub, such as Qwen/Qwen2.5-7B-Instruct',
  },
  'llm-temperature': {
    type: 'number',
    requiresArg: true,
    describe: 'With --extractor local: 0 (default) takes the most likely tokens; 0.7 is published',
  },
  'llm-key-variable': {
    type: 'string',
    requiresArg: true,
    describe: 'Environment variable that holds the key; OPENAI_API_KEY by default',
  },
  'llm-concurrency': {
    type: 'number',
    requiresArg: true,
    describe: 'Requests at a time; 8 by default',
  },
  'llm-cache': {
    type: 'string',
    requiresArg: true,
    describe: 'Folder of replies, so that nothing is asked twice; ~/.cache/affectgpt/llm by default',
  },
} as const satisfies Record<string, Options>;

/** Which extractors an option is of. */
const optionsOf = {
  'llm-url': ['llm'],
  'llm-model': ['llm', 'local'],
  'llm-key-variable': ['llm'],
  'llm-concurrency': ['llm'],
  'llm-cache': ['llm', 'local'],
  'llm-temperature': ['local'],
} as const satisfies Partial<Record<keyof ExtractorArguments, readonly ExtractorName[]>>;

/** Options that would change nothing are refused, and what a model needs is asked for before anything is read. */
export function checkExtractorOptions(args: ExtractorArguments): void {
  const { extractor, 'set-level': setLevel } = args;
  for (const [option, extractors] of Object.entries(optionsOf)) {
    const isGiven = args[option as keyof typeof optionsOf] !== undefined;
    if (!isGiven || (extractors as readonly (ExtractorName | undefined)[]).includes(extractor)) continue;
    const isOfEndpoint = (extractors as readonly ExtractorName[]).includes('llm');
    if (isOfEndpoint && setLevel === 'llm' && !(option === 'llm-model' && args['grouping-model'])) continue;
    const named = extractors.join(' and ');
    throw usageError(
      `--${option} is of the extractor ${named}${isOfEndpoint ? ' (and of --set-level llm)' : ''}; give --extractor ${extractors[0]}, or leave it out.`,
    );
  }
  checkTemperature('llm-temperature', args['llm-temperature']);
  if (extractor === 'llm' && (args['llm-url'] === undefined || args['llm-model'] === undefined)) {
    throw usageError('--extractor llm needs --llm-url and --llm-model.');
  }
  if (extractor === 'local' && args['llm-model'] === undefined) {
    throw usageError('--extractor local needs --llm-model, such as Qwen/Qwen2.5-7B-Instruct.');
  }
}

/**
 * Opens the extractor that was chosen.
 * @param args checked by `checkExtractorOptions`
 * @param engine what a model on this machine runs on
 */
export async function openExtractor(
  name: Exclude<ExtractorName, 'stored'>,
  args: ExtractorArguments,
  { engine, notify }: { readonly engine: EngineOptions; readonly notify: (message: string) => void },
): Promise<OpenedExtractor> {
  if (name === 'rules') {
    const { rulesExtractor } = await import('../eval/mer-unibench/extractor.ts');
    return { extractor: rulesExtractor };
  }
  const { seed, 'llm-temperature': temperature } = args;
  const model = args['llm-model']!;
  const { llmCacheFolder, openLlmExtractor } = await import('../eval/mer-unibench/open-llm-extractor.ts');
  const cacheFolder = args['llm-cache'] ?? llmCacheFolder();
  if (name === 'local') {
    const { openLocalExtractor } = await import('../eval/mer-unibench/extract-local.ts');
    const { createEngine } = await import('../engine/engines.ts');
    return openLocalExtractor({
      ...{ model, option: '--llm-model', cacheFolder, notify },
      engine: await createEngine({ ...engine, devices: 1 }, notify),
      settings: { seed, ...(temperature !== undefined && { temperature }) },
    });
  }
  return openLlmExtractor({
    ...{ url: args['llm-url']!, model, seed, notify, cacheFolder },
    ...(args['llm-key-variable'] !== undefined && { keyVariable: args['llm-key-variable'] }),
    ...(args['llm-concurrency'] !== undefined && { concurrency: args['llm-concurrency'] }),
  });
}

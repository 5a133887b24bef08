import type { EngineOptions } from '../engine/engines.ts';
import type { ExtractorName, OpenedExtractor } from '../eval/mer-unibench/run.ts';
import { usageError } from './errors.ts';

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
}

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
  const { extractor } = args;
  for (const [option, extractors] of Object.entries(optionsOf)) {
    const isGiven = args[option as keyof typeof optionsOf] !== undefined;
    if (!isGiven || (extractors as readonly (ExtractorName | undefined)[]).includes(extractor)) continue;
    const named = extractors.join(' and ');
    throw usageError(
      `--${option} is of the extractor ${named}; give --extractor ${extractors[0]}, or leave it out.`,
    );
  }
  const { 'llm-temperature': temperature } = args;
  if (temperature !== undefined && !(temperature >= 0 && Number.isFinite(temperature))) {
    throw usageError(`--llm-temperature is ${temperature}; expected is a number from 0.`);
  }
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
      engine: await createEngine(engine),
      settings: { seed, ...(temperature !== undefined && { temperature }) },
    });
  }
  return openLlmExtractor({
    ...{ url: args['llm-url']!, model, seed, notify, cacheFolder },
    ...(args['llm-key-variable'] !== undefined && { keyVariable: args['llm-key-variable'] }),
    ...(args['llm-concurrency'] !== undefined && { concurrency: args['llm-concurrency'] }),
  });
}

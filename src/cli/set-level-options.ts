import type { Options } from 'yargs';
import type { SetLevelGrouping } from '../eval/mer-unibench/set-level.ts';
import type { WheelNumber } from '../eval/mer-unibench/tables.ts';
import { usageError } from './errors.ts';
import type { ExtractorArguments } from './extractor-options.ts';

/** What the command line says of the set-level metric of 2024. */
export interface SetLevelArguments extends ExtractorArguments {
  'grouping-wheel': WheelNumber | undefined;
  checkpoint: string[] | undefined;
  output: string | undefined;
  json: boolean;
}

/** In the form of `yargs.options`. */
export const setLevelOptions = {
  'set-level': {
    choices: ['wheel', 'llm'] as const,
    describe:
      'Score open vocabularies (ovmerdplus, ovmerd, mer2025ov) by Accuracy_s, Recall_s and Avg of 2024 too, with words grouped by a wheel, or by a language model (--llm-url)',
  },
  'grouping-wheel': {
    choices: [1, 2, 3, 4, 5] as const,
    describe: 'With --set-level wheel: which one, at the level of --level; 1 by default',
  },
  'grouping-model': {
    type: 'string',
    requiresArg: true,
    describe: 'With --set-level llm: model of the endpoint that groups; that of --llm-model by default',
  },
} as const satisfies Record<string, Options>;

/** Options that would change nothing are refused, and what a model needs is asked for before anything is read. */
export function checkSetLevelOptions(args: SetLevelArguments): void {
  const { 'set-level': kind, 'grouping-model': model } = args;
  for (const [option, needed] of [
    ['grouping-wheel', 'wheel'],
    ['grouping-model', 'llm'],
  ] as const) {
    if (args[option] === undefined || kind === needed) continue;
    throw usageError(`--${option} is of --set-level ${needed}; give that, or leave it out.`);
  }
  if (kind === undefined) return;
  if (args.json && args.output === undefined && args.checkpoint === undefined) {
    throw usageError(
      'What --json prints has no place for the scores of --set-level; give --output DIR for report.json, or leave out --json.',
    );
  }
  if (kind === 'wheel') return;
  if (args['llm-url'] === undefined || (model ?? args['llm-model']) === undefined) {
    throw usageError('--set-level llm needs --llm-url, and --llm-model or --grouping-model.');
  }
  if (args.extractor === 'local' && model === undefined) {
    throw usageError(
      '--llm-model is what extracts on this machine (--extractor local); name the model of the endpoint that groups with --grouping-model.',
    );
  }
}

/**
 * Who groups words, if that was asked for.
 * @param args checked by `checkSetLevelOptions`
 */
export async function openSetLevel(
  args: SetLevelArguments,
  notify: (message: string) => void,
): Promise<SetLevelGrouping | undefined> {
  const { 'set-level': kind } = args;
  if (kind === undefined) return undefined;
  if (kind === 'wheel') return { kind, wheel: args['grouping-wheel'] ?? 1 };
  const { openLlmGrouping } = await import('../eval/mer-unibench/open-llm-extractor.ts');
  return openLlmGrouping({
    ...{ url: args['llm-url']!, model: (args['grouping-model'] ?? args['llm-model'])!, notify },
    ...(args['llm-cache'] !== undefined && { cacheFolder: args['llm-cache'] }),
    ...(args['llm-key-variable'] !== undefined && { keyVariable: args['llm-key-variable'] }),
    ...(args['llm-concurrency'] !== undefined && { concurrency: args['llm-concurrency'] }),
  });
}

import type { Options } from 'yargs';
import type { OpenedRun } from '../predict/open-run.ts';
import { usageError } from './errors.ts';

/** What the command line says of a trained run. */
export interface RunArguments {
  checkpoint: string;
  set: string[];
}

/** The trained run that a command takes. */
export const checkpointOption = {
  type: 'string',
  requiresArg: true,
  demandOption: true,
  describe: 'Run folder (its latest checkpoint is taken) or one of its checkpoint folders',
} as const satisfies Options;

/** Where a command writes something whole. */
export const newFolderOption = {
  type: 'string',
  requiresArg: true,
  demandOption: true,
  describe: 'Folder to write; it must not exist',
} as const satisfies Options;

/**
 * Overrides of the run's configuration.
 * @param which says which keys, where not all are read
 */
export const savedSetOption = (example: string, which = '') =>
  ({
    type: 'string',
    array: true,
    nargs: 1,
    default: [] as string[],
    describe: `Override a key of the saved configuration${which}, such as --set ${example}`,
  }) as const satisfies Options;

/** @throws InputError those of `openRun` */
export async function openGivenRun({ checkpoint, set }: RunArguments): Promise<OpenedRun> {
  const { openRun } = await import('../predict/open-run.ts');
  return openRun(checkpoint, set);
}

/** What answers depend on, of a run's configuration: sections, and keys of `data`. */
export const answerKeys = [
  ...['model', 'fusion', 'lora', 'engine', 'compat', 'generation'],
  ...['template', 'faces', 'onBadSample', 'decodeTimeout', 'featureCache'].map((key) => `data.${key}`),
];

/**
 * Settings that would change nothing are refused.
 *
 * @param keys that are read: sections, or keys of them
 * @param reader who reads them, for the message
 * @throws InputError `USAGE` with all of them
 */
export async function checkSettingsRead(
  set: readonly string[],
  keys: readonly string[],
  reader: string,
): Promise<void> {
  const { isPlain, parseSet } = await import('../config/layer.ts');
  // Dotted, down to values that are no map.
  const keysOf = (value: unknown, key: string): string[] =>
    isPlain(value) && Object.keys(value).length > 0
      ? Object.entries(value).flatMap(([name, inner]) => keysOf(inner, key === '' ? name : `${key}.${name}`))
      : [key];
  const isRead = (key: string): boolean =>
    keys.some((read) => key === read || key.startsWith(`${read}.`) || read.startsWith(`${key}.`));
  const unread = set.flatMap((one) => keysOf(parseSet(one).layer.values, '')).filter((key) => !isRead(key));
  if (unread.length === 0) return;
  throw usageError(
    `--set ${[...new Set(unread)].join(', ')}: ${reader} does not read that, so it says nothing. It reads ${keys.join(', ')}.`,
  );
}

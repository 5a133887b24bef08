import type { Options } from 'yargs';
import type { OpenedRun } from '../predict/open-run.ts';

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

import { setTimeout } from 'node:timers/promises';
import type { Collective } from '../collective/collective.ts';
import { describeFailure, usageError } from './errors.ts';
import { notify } from './notify.ts';

/** A process among those that work on one command. */
export interface RankContext {
  readonly collective: Collective;
  /** To be called when nothing is left to be done together; the first rank may go on alone. */
  readonly leave: () => Promise<void>;
}

/**
 * How long another rank than the first keeps an error to itself. Most are of the command line or the data and come up
 * everywhere: the first rank then tells it, once, and ends the others.
 */
const patienceMilliseconds = 1000;

/**
 * Runs a command on the processes that a launcher (mpirun, srun) has started together, or on this one alone. A rank that
 * fails says its name and ends all.
 */
export async function onRanks(
  verbose: boolean,
  work: (context: RankContext) => Promise<void>,
): Promise<void> {
  const { openCollective } = await import('../collective/launch.ts');
  const { isEveryRanks } = await import('../collective/collective.ts');
  const collective = await openCollective(process.env, notify);
  let isTogether = collective.size > 1;
  const leave = async (): Promise<void> => {
    await collective.close();
    isTogether = false;
  };
  try {
    await work({ collective, leave });
  } catch (error) {
    if (!isTogether) throw error;
    if (isEveryRanks(error)) {
      await leave();
      if (collective.rank === 0) throw error;
      return;
    }
    const { text, exitCode } = describeFailure(error, verbose);
    if (collective.rank > 0) await setTimeout(patienceMilliseconds);
    process.stderr.write(`${collective.describe(collective.rank)}: ${text}`);
    collective.abort(exitCode);
  }
}

/** @throws InputError `USAGE` where a launcher has started several processes */
export async function refuseRanks(what: string): Promise<void> {
  const { launchedRanks } = await import('../collective/launch.ts');
  if (launchedRanks(process.env) > 1) {
    throw usageError(`${what} runs in one process: start it without mpirun or srun.`);
  }
}

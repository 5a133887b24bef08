import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { endOf, readRunStatus } from '../../train/run-status.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { AffectGptError, InputError } from '../errors.ts';
import { readText } from '../io/filesystem.ts';
import { claimAttempt } from './attempts.ts';
import { lastAttempt, pointState } from './point-state.ts';
import { afterName, pointConfigName } from './snapshot.ts';

export interface RunPointOptions {
  /** Runs a command line of affectgpt in this process; throws what it throws. */
  readonly command: (argv: readonly string[]) => Promise<void>;
  /** Of the engine, where the point does not say and no attempt was made; null leaves the number to it. */
  readonly threads: number | null;
  readonly notify: (message: string) => void;
}

/**
 * Works on one point of a sweep in this process, as every backend does: claims it, trains or goes on training, scores,
 * and runs what follows. A point that is done, or that another process works on, is left alone.
 *
 * @param folder of the point, as the sweep prepared it
 * @returns what was found where nothing was done
 * @throws InputError `SWEEP_POINT_NOT_PREPARED`, and whatever the commands throw
 */
export async function runPoint(
  folder: string,
  { command, threads: wanted, notify }: RunPointOptions,
): Promise<'worked' | 'done' | 'running'> {
  const file = join(folder, pointConfigName);
  if (!existsSync(file)) {
    throw new InputError(
      'SWEEP_POINT_NOT_PREPARED',
      `${folder} is no point of a sweep: there is no ${pointConfigName} in it. affectgpt sweep --config FILE makes the folders of its points.`,
    );
  }
  const { config } = loadConfig({ config: file });
  const state = await pointState({ folder });
  if (state.state === 'done' || state.state === 'running') {
    const by = state.attempts.at(-1)?.claim;
    notify(
      state.state === 'done'
        ? `${folder} is done; nothing is repeated.`
        : `${folder} is being worked on by process ${by?.pid} on ${by?.host}; it is left alone.`,
    );
    return state.state;
  }
  // Bit for bit the same result takes the same number of threads, so a point keeps those that it began with.
  const begun = state.attempts.find(({ claim }) => claim !== undefined)?.claim;
  const threads = config.engine.threads ?? (begun === undefined ? wanted : begun.threads);
  if (begun !== undefined && begun.threads !== wanted && config.engine.threads === null) {
    notify(
      `The point goes on with ${begun.threads ?? 'as many'} threads as it began, for the same numbers bit for bit.`,
    );
  }
  const claim = await claimAttempt(folder, lastAttempt(state), threads);
  if (claim === undefined) {
    notify(`${folder} was claimed by another process a moment ago; it is left alone.`);
    return 'running';
  }
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  try {
    await work({ folder, file, config, threads, command });
  } catch (error) {
    const { state: ended, exitCode, error: reason } = endOf(error);
    const end = { exitCode: exitCode ?? 1, seconds: seconds(), ...(reason && { error: reason }) };
    // The error itself is what counts, also where the disk is too full to note it.
    await claim.end({ ...end, state: ended === 'interrupted' ? 'stopped' : 'failed' }).catch(() => undefined);
    throw error;
  }
  await claim.end({ state: 'done', exitCode: 0, seconds: seconds() });
  return 'worked';
}

async function work(options: {
  readonly folder: string;
  readonly file: string;
  readonly config: Config;
  readonly threads: number | null;
  readonly command: RunPointOptions['command'];
}): Promise<void> {
  const { folder, file, config, threads, command } = options;
  const set = threads === null ? [] : ['--set', `engine.threads=${threads}`];
  if (!(await isTrained(folder))) {
    try {
      await command(['train', '--config', file, '--resume', 'auto', ...set]);
    } catch (error) {
      // It was killed after its last step, before it could say so.
      if (!(error instanceof AffectGptError) || error.code !== 'RUN_COMPLETE') throw error;
    }
  }
  if (config.evaluation !== null && !existsSync(join(folder, 'evaluation.json'))) {
    await command([
      'eval',
      'choices',
      '--checkpoint',
      folder,
      '--output',
      join(folder, 'evaluation'),
      ...set,
    ]);
  }
  for (const line of await afterCommands(folder)) await command(line);
}

/** Whether the training of a run folder is over. */
async function isTrained(folder: string): Promise<boolean> {
  const status = await readRunStatus(folder).catch((error: unknown) => {
    if (error instanceof InputError) return undefined;
    throw error;
  });
  return status?.state === 'done';
}

/** What follows the training of a point, as arguments of affectgpt. */
async function afterCommands(folder: string): Promise<string[][]> {
  const file = join(folder, afterName);
  if (!existsSync(file)) return [];
  const lines = JSON.parse(await readText(file)) as string[];
  return lines.map((line) =>
    line
      .split(/\s+/)
      .filter((word) => word !== '')
      .map((word) => word.replaceAll('{run}', folder)),
  );
}

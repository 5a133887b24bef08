import { join } from 'node:path';
import type { Argv } from 'yargs';
import { NumericError } from '../errors.ts';
import { notify } from './notify.ts';

export interface ReplayArguments {
  replay: string | undefined;
  engine: string | undefined;
}

/** `--replay` and `--engine` of `affectgpt train`. A dump brings the configuration that is asked for otherwise. */
export function withReplayOptions<Given>(args: Argv<Given>) {
  return args
    .option('replay', {
      type: 'string',
      requiresArg: true,
      describe: 'Compute a dumped step with NaN or infinity again and say where they come up; trains nothing',
    })
    .option('engine', {
      type: 'string',
      requiresArg: true,
      implies: 'replay',
      describe: 'Replay on this engine instead (as --set engine.type=…)',
    })
    .middleware((given) => {
      const values = given as { config?: string; replay?: unknown };
      if (typeof values.replay === 'string') values.config ??= join(values.replay, 'config.yaml');
    }, true);
}

/**
 * Prints the report of a replayed step.
 * @throws NumericError `REPLAY_NOT_FINITE` where NaN or infinity come up again
 */
export async function replay({
  folder,
  config: name,
  set,
  engine: type,
}: {
  readonly folder: string;
  readonly config: string;
  readonly set: readonly string[];
  readonly engine: string | undefined;
}): Promise<void> {
  const { loadConfig } = await import('../config/load.ts');
  const { config } = loadConfig({
    config: name,
    set: [...set, ...(type === undefined ? [] : [`engine.type=${type}`, 'engine.devices=1'])],
  });
  const { createEngine } = await import('../engine/engines.ts');
  const { replayConfigured } = await import('../../train/affectgpt.ts');
  const { formatReplay } = await import('../../train/replay.ts');
  const engine = await createEngine(config.engine, notify);
  const replayed = await replayConfigured(folder, config, engine);
  process.stdout.write(formatReplay(replayed));
  const { fault } = replayed.result;
  if (fault !== undefined) {
    const { describeFault } = await import('../../train/bad-step.ts');
    throw new NumericError(
      'REPLAY_NOT_FINITE',
      `Step ${replayed.dump.step.step} gives NaN or infinity again: ${describeFault(fault)}. The report above counts them by tensor.`,
    );
  }
}

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { listCheckpoints } from '../../train/checkpoint-folders.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { InputError } from '../errors.ts';

/** A trained run, or one of its checkpoints. */
export interface OpenedRun {
  readonly config: Config;
  readonly checkpoint: string;
}

const notARun = (folder: string, what: string): InputError =>
  new InputError(
    'RUN_NOT_FOUND',
    `${folder} is not a run of this program: ${what}. Give the folder that affectgpt train wrote (its "output"), or one of its checkpoints/step-… folders.`,
  );

/** The checkpoint that `checkpoints/latest` names. */
async function latestCheckpoint(run: string): Promise<string> {
  const latest = join(run, 'checkpoints', 'latest');
  if (!existsSync(latest))
    throw notARun(run, 'it has no checkpoints/latest; perhaps no checkpoint was saved yet');
  const name = (await readFile(latest, 'utf8')).trim();
  const folder = join(run, 'checkpoints', name);
  if (!/^step-\d+$/.test(name) || !existsSync(folder)) {
    throw notARun(run, `checkpoints/latest names "${name}", which is not there`);
  }
  return folder;
}

/**
 * Opens a run folder (its latest checkpoint) or a checkpoint folder of one.
 *
 * @param set overrides of the saved configuration, as `--set`
 * @throws InputError `RUN_NOT_FOUND`, `CONFIG_INVALID`
 */
export async function openRun(folder: string, set: readonly string[] = []): Promise<OpenedRun> {
  if (!existsSync(folder)) throw notARun(folder, 'there is no such folder');
  const isCheckpoint = existsSync(join(folder, 'state.json'));
  const run = isCheckpoint ? dirname(dirname(resolve(folder))) : folder;
  const file = join(run, 'config.yaml');
  if (!existsSync(file)) throw notARun(folder, `there is no ${file}`);
  const { config } = loadConfig({ config: file, set: [...set] });
  return { config, checkpoint: isCheckpoint ? folder : await latestCheckpoint(run) };
}

/** Several checkpoints of one run. */
export interface OpenedCheckpoints {
  readonly config: Config;
  /** Their folders, oldest first. */
  readonly checkpoints: readonly string[];
}

/**
 * Opens checkpoints of one run.
 *
 * @param folders one run folder, or checkpoint folders of the same run
 * @param options.all all checkpoints of the run instead of its latest
 * @param options.set overrides of the saved configuration, as `--set`
 * @throws InputError `CHECKPOINTS_OF_SEVERAL_RUNS`, and those of `openRun`
 */
export async function openCheckpoints(
  folders: readonly string[],
  { all, set }: { readonly all: boolean; readonly set: readonly string[] },
): Promise<OpenedCheckpoints> {
  const opened = [];
  for (const folder of folders) opened.push(await openRun(folder, set));
  const runOf = (checkpoint: string): string => dirname(dirname(resolve(checkpoint)));
  const runs = [...new Set(opened.map(({ checkpoint }) => runOf(checkpoint)))];
  if (runs.length !== 1) {
    throw new InputError(
      'CHECKPOINTS_OF_SEVERAL_RUNS',
      `The checkpoints are of different runs: ${runs.join(', ')}. Give those of one run; several runs are compared by their reports.`,
    );
  }
  const { config } = opened[0]!;
  if (all) return { config, checkpoints: (await listCheckpoints(runs[0]!)).map(({ folder }) => folder) };
  const byName = new Map(opened.map(({ checkpoint }) => [basename(checkpoint), checkpoint]));
  return { config, checkpoints: [...byName.values()].sort() };
}

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
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

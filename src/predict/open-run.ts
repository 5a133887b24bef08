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
    `${folder} is not a run of this program: ${what}. Give the folder that affectgpt train wrote (its "output"), one of its checkpoints/step-… folders, or its checkpoints/best.`,
  );

/** Files beside the checkpoints that name one of them. */
const naming = ['latest', 'best'];

/** The checkpoint that `checkpoints/latest`, or `checkpoints/best`, names. */
async function namedCheckpoint(run: string, by: string): Promise<string> {
  const file = join(run, 'checkpoints', by);
  if (!existsSync(file)) {
    throw notARun(run, `it has no checkpoints/${by}; perhaps no checkpoint was saved yet`);
  }
  const name = (await readFile(file, 'utf8')).trim();
  const folder = join(run, 'checkpoints', name);
  if (!/^step-\d+$/.test(name) || !existsSync(folder)) {
    throw notARun(run, `checkpoints/${by} names "${name}", which is not there`);
  }
  return folder;
}

/**
 * Opens a run folder (its latest checkpoint), a checkpoint folder of one, or the checkpoint that its `checkpoints/best` or
 * `checkpoints/latest` names.
 *
 * @param set overrides of the saved configuration, as `--set`
 * @throws InputError `RUN_NOT_FOUND`, `CONFIG_INVALID`
 */
export async function openRun(folder: string, set: readonly string[] = []): Promise<OpenedRun> {
  if (!existsSync(folder)) throw notARun(folder, 'there is no such folder');
  const isName = naming.includes(basename(folder)) && basename(dirname(resolve(folder))) === 'checkpoints';
  const isCheckpoint = existsSync(join(folder, 'state.json'));
  const run = isCheckpoint || isName ? dirname(dirname(resolve(folder))) : folder;
  const file = join(run, 'config.yaml');
  if (!existsSync(file)) throw notARun(folder, `there is no ${file}`);
  const { config } = loadConfig({ config: file, set: [...set] });
  if (isCheckpoint) return { config, checkpoint: folder };
  return { config, checkpoint: await namedCheckpoint(run, isName ? basename(folder) : 'latest') };
}

/**
 * The checkpoint of the same run that its validations found the best.
 * @param checkpoint folder of one
 * @returns its name, which may be that of the given one; undefined where nothing was validated
 */
export async function bestCheckpointName(checkpoint: string): Promise<string | undefined> {
  const file = join(dirname(resolve(checkpoint)), 'best');
  return existsSync(file) ? (await readFile(file, 'utf8')).trim() : undefined;
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

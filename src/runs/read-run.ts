import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { readBest } from '../../train/checkpoint-folders.ts';
import { type Environment, readEnvironments } from '../../train/environment.ts';
import type { MetricsLine } from '../../train/metrics.ts';
import type { RunStatus } from '../../train/run-status.ts';
import type { SkippedSample } from '../data/source.ts';
import { InputError } from '../errors.ts';
import { readText } from '../io/filesystem.ts';
import { isJsonObject } from '../io/json.ts';
import { readEventFile } from '../io/tensorboard.ts';
import type { Point } from '../report/line-chart.ts';
import {
  type BestValidation,
  bestValidation,
  checkRunFolder,
  messageOf,
  type RunState,
  readLines,
  readRunMetrics,
  readRunValidations,
  readState,
  type StoredCheckpoint,
  sizeOf,
  storedCheckpoints,
  type Validation,
} from './run-files.ts';
import { readSavedConfig, type SavedConfig, savedValue } from './saved-config.ts';

/** Everything that the folder of a run tells. */
export interface RunRecord {
  readonly folder: string;
  readonly name: string;
  readonly state: RunState;
  readonly status: RunStatus | undefined;
  readonly metrics: readonly MetricsLine[];
  readonly validations: readonly Validation[];
  readonly best: BestValidation | undefined;
  /** Curves that only TensorBoard's files hold, by tag. */
  readonly scalars: ReadonlyMap<string, readonly Point[]>;
  readonly config: SavedConfig | undefined;
  /** Names of the samples that it was told to train on; undefined where it is not noted. */
  readonly samples: readonly string[] | undefined;
  readonly skipped: readonly SkippedSample[];
  /** Lines of `log.txt` that are no lines of progress. */
  readonly notes: readonly string[];
  readonly checkpoints: readonly StoredCheckpoint[];
  readonly latest: string | undefined;
  /** Step of the checkpoint that `best` names. */
  readonly bestStep: number | undefined;
  readonly environments: readonly Environment[];
  readonly bytes: number;
  /** What is there and cannot be read. */
  readonly faults: readonly string[];
}

const shownScalars = new Set(['train/mfu', 'system/rss_gb', 'system/peak_rss_gb']);

/** The scalars of all event files that can be read. */
async function readScalars(folder: string, faults: string[]): Promise<Map<string, Point[]>> {
  const curves = new Map<string, Point[]>();
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((one) => one.startsWith('events.out.tfevents.'))) {
    try {
      for (const { step, scalars } of await readEventFile(join(folder, name))) {
        for (const { tag, value } of scalars) {
          if (!shownScalars.has(tag)) continue;
          const points = curves.get(tag) ?? [];
          points.push([step, value]);
          curves.set(tag, points);
        }
      }
    } catch (error) {
      faults.push(messageOf(error));
    }
  }
  return curves;
}

/** `2026-01-01T00:00:00.000Z [label: ]step 5/20  loss 1.2 …` */
const isProgress = (line: string): boolean => /^\S+Z (?:[^:]+: )?step \d+\/\d+ {2}loss /.test(line);

/**
 * Reads all that a run folder tells. What is missing or damaged is left out and named in `faults`.
 * @throws InputError `RUN_NOT_FOUND`, `NOT_A_RUN`
 */
export async function readRun(path: string): Promise<RunRecord> {
  await checkRunFolder(path);
  const folder = resolve(path);
  const faults: string[] = [];
  /** The text of a file; undefined where there is none. */
  const text = async (...names: string[]): Promise<string | undefined> => {
    try {
      return await readText(join(folder, ...names));
    } catch (error) {
      if (!(error instanceof InputError && error.code === 'FILE_NOT_FOUND')) faults.push(messageOf(error));
      return undefined;
    }
  };
  const { status, ...state } = await readState(folder);
  if (state.state === 'unreadable') faults.push(state.text);
  const metrics = await readRunMetrics(folder);
  const validations = await readRunValidations(folder);
  const skipped = await readLines(join(folder, 'skipped.jsonl'), ({ name, reasons }) =>
    typeof name === 'string' && Array.isArray(reasons) ? { name, reasons: reasons.map(String) } : undefined,
  );
  faults.push(...metrics.faults, ...validations.faults, ...skipped.faults);
  const configText = await text('config.yaml');
  const config = configText === undefined ? undefined : readSavedConfig(configText);
  if (config?.fault !== undefined) faults.push(`${join(folder, 'config.yaml')}: ${config.fault}`);
  const metric = config && savedValue(config, 'train.validation.metric');
  const samples = namesOf(await text('samples.json'));
  if (samples === 'damaged') faults.push(`${join(folder, 'samples.json')} is not an object of JSON.`);
  return {
    ...{ folder, name: basename(folder), state, status },
    metrics: metrics.lines,
    validations: validations.lines.toSorted((a, b) => a.step - b.step),
    best: bestValidation(validations.lines, typeof metric === 'string' ? metric : 'loss'),
    scalars: await readScalars(folder, faults),
    config,
    samples: samples === 'damaged' ? undefined : samples,
    skipped: skipped.lines,
    notes: ((await text('log.txt')) ?? '').split('\n').filter((line) => line !== '' && !isProgress(line)),
    checkpoints: await storedCheckpoints(folder),
    latest: (await text('checkpoints', 'latest'))?.trim(),
    bestStep: await readBest(folder).catch(() => undefined),
    environments: await readEnvironments(folder).catch((error: unknown) => {
      faults.push(messageOf(error));
      return [];
    }),
    bytes: await sizeOf(folder),
    faults,
  };
}

/** Keys of `samples.json`. */
function namesOf(text: string | undefined): readonly string[] | 'damaged' | undefined {
  if (text === undefined) return undefined;
  try {
    const json: unknown = JSON.parse(text);
    return isJsonObject(json) ? Object.keys(json) : 'damaged';
  } catch {
    return 'damaged';
  }
}

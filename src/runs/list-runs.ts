import { readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { formatBytes } from '../../train/dry-run/format.ts';
import { formatDuration } from '../../train/progress.ts';
import { InputError } from '../errors.ts';
import { fileError, readText } from '../io/filesystem.ts';
import {
  type BestValidation,
  bestValidation,
  isRunFolder,
  messageOf,
  type RunState,
  readRunMetrics,
  readRunValidations,
  readState,
  sizeOf,
} from './run-files.ts';
import { readSavedConfig, savedValue } from './saved-config.ts';

/** A run in a list. JSON. */
export interface RunSummary {
  /** Its path below the folder that was listed. */
  readonly name: string;
  readonly folder: string;
  readonly state: RunState['state'];
  /** The state for people; of a folder that cannot be read, the reason. */
  readonly text: string;
  /** What is there and cannot be read. */
  readonly faults: readonly string[];
  /** Steps done, and of the whole run; null where nothing tells. */
  readonly step: number | null;
  readonly steps: number | null;
  /** Of the last line of metrics. */
  readonly loss: number | null;
  readonly bestValidation: BestValidation | null;
  readonly startedAt: string | null;
  /** Spent in steps. */
  readonly seconds: number | null;
  /** On disk. */
  readonly bytes: number;
}

/** Folders between the listed one and a run, at most. */
const deepest = 4;

/** Folders that are never looked into. */
const isPassedOver = (name: string): boolean => name.startsWith('.') || name === 'node_modules';

interface Found {
  readonly folder: string;
  /** Why it cannot be looked into. */
  readonly reason?: string;
}

/** Runs at and below a folder, by name; a run is not looked into. Links are followed, none twice. */
async function findRuns(folder: string, depth = 0, seen = new Set<string>()): Promise<Found[]> {
  try {
    const real = await realpath(folder);
    if (seen.has(real)) return [];
    seen.add(real);
    if (await isRunFolder(folder)) return [{ folder }];
    if (depth === deepest) return [];
    const found: Found[] = [];
    for (const entry of (await readdir(folder, { withFileTypes: true })).sort(byName)) {
      if (isPassedOver(entry.name) || entry.isFile()) continue;
      const path = join(folder, entry.name);
      const isFolder = entry.isDirectory() || (await stat(path).catch(() => undefined))?.isDirectory();
      if (isFolder) found.push(...(await findRuns(path, depth + 1, seen)));
    }
    return found;
  } catch (error) {
    return [{ folder, reason: messageOf(fileError(error, folder, 'read')) }];
  }
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  a.name.localeCompare(b.name, 'en', { numeric: true });

async function summarise({ folder, reason }: Found, top: string): Promise<RunSummary> {
  const name = relative(top, folder) || '.';
  const nothing = { step: null, steps: null, loss: null, bestValidation: null, startedAt: null };
  if (reason !== undefined) {
    return {
      ...{ name, folder, state: 'unreadable', text: reason, faults: [] },
      ...{ ...nothing, seconds: null, bytes: 0 },
    };
  }
  const { state, text, status } = await readState(folder);
  const metrics = await readRunMetrics(folder);
  const validations = await readRunValidations(folder);
  const config = readSavedConfig(await readText(join(folder, 'config.yaml')).catch(() => ''));
  const metric = savedValue(config, 'train.validation.metric');
  const steps = status?.steps ?? savedValue(config, 'train.steps');
  const last = metrics.lines.at(-1);
  const known = [status?.step, last?.step].filter((step) => step !== undefined);
  return {
    ...{ name, folder, state, text },
    faults: [...metrics.faults, ...validations.faults],
    step: known.length === 0 ? null : Math.max(...known),
    steps: typeof steps === 'number' ? steps : null,
    loss: last?.loss ?? null,
    bestValidation: bestValidation(validations.lines, typeof metric === 'string' ? metric : 'loss') ?? null,
    startedAt: status?.startedAt ?? null,
    seconds: last?.seconds ?? null,
    bytes: await sizeOf(folder),
  };
}

/**
 * All runs at and below a folder, by name. One that cannot be read is listed with the reason.
 * @throws InputError `RUNS_FOLDER_NOT_FOUND`, `NOT_A_FOLDER`
 */
export async function listRuns(folder: string): Promise<RunSummary[]> {
  const found = await stat(folder).catch(() => undefined);
  if (found === undefined) {
    throw new InputError(
      'RUNS_FOLDER_NOT_FOUND',
      `There is no folder ${folder}. Runs lie where the "output" of their configurations says; give that folder: affectgpt runs FOLDER.`,
    );
  }
  if (!found.isDirectory()) {
    throw new InputError('NOT_A_FOLDER', `${folder} is no folder; give one that holds runs.`);
  }
  const top = resolve(folder);
  const summaries: RunSummary[] = [];
  for (const run of await findRuns(top)) summaries.push(await summarise(run, top));
  return summaries;
}

/** States that need no explanation. */
const wellStates: ReadonlySet<RunState['state']> = new Set(['done', 'running', 'interrupted', 'unknown']);

/** A table for people, and below it what is to be said of runs that are not well. */
export function formatRuns(runs: readonly RunSummary[], folder: string): string {
  if (runs.length === 0) return `There is no run at or below ${folder}.\n`;
  const rows = [
    ['name', 'state', 'steps', 'loss', 'best validation', 'started', 'in steps', 'on disk'],
    ...runs.map(({ name, state, step, steps, loss, bestValidation: best, startedAt, seconds, bytes }) => [
      printable(name),
      state,
      step === null ? '-' : `${step}/${steps ?? '?'}`,
      loss === null ? '-' : loss.toFixed(4),
      best === null ? '-' : `${printable(best.metric)} ${best.value.toFixed(4)} @ ${best.step}`,
      startedAt === null ? '-' : startedAt.slice(0, 16).replace('T', ' '),
      seconds === null ? '-' : formatDuration(seconds),
      formatBytes(bytes),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const remarks = runs.flatMap(({ name, state, text, faults }) => {
    const said = wellStates.has(state) ? faults : [text, ...faults];
    return said.map((one) => `${name}: ${one}`);
  });
  return `${[...lines, ...(remarks.length === 0 ? [] : ['', ...remarks.map(printable)])].join('\n')}\n`;
}

/** Without control characters, which a name could use to draw over the table. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
const printable = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');

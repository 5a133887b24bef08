import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { isPlain } from '../config/layer.ts';
import { loadConfig } from '../config/load.ts';
import { packageVersion } from '../config/package-folder.ts';
import { renderConfig } from '../config/save.ts';
import { firstOf, InputError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { fileError, readText } from '../io/filesystem.ts';
import { pointsFolder, type Sweep, type SweepPoint } from './load.ts';

/** File in the folder of a point: its whole configuration. */
export const pointConfigName = 'point.yaml';
/** File in the folder of a point: commands that follow its training, as JSON. */
export const afterName = 'after.json';
/** File in the folder of a sweep: the sweep file as it was given last. */
const sweepName = 'sweep.yaml';
/** File in the folder of a sweep: its points. */
const pointsName = 'points.json';

const format = 'affectgpt-sweep';
const pointEntry = z.object({
  id: z.string(),
  setting: z.string(),
  seed: z.number(),
  values: z.record(z.string(), z.unknown()),
});
const pointsSchema = z.object({
  format: z.literal(format),
  version: z.literal(1),
  /** Of affectgpt. */
  program: z.string(),
  points: z.array(pointEntry),
  /** Of earlier forms of the grid; their folders stay. */
  former: z.array(pointEntry),
});
export type SavedPoints = z.infer<typeof pointsSchema>;

/**
 * `points.json` of a sweep's folder; undefined where there is none.
 * @throws InputError `SWEEP_FOLDER_INVALID`
 */
async function readPoints(output: string): Promise<SavedPoints | undefined> {
  const path = join(output, pointsName);
  if (!existsSync(path)) return undefined;
  try {
    return pointsSchema.parse(JSON.parse(await readText(path)));
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(
      'SWEEP_FOLDER_INVALID',
      `${path} is not the list of points of a sweep. Move it away; the same sweep writes it anew and loses nothing.`,
      { cause: error },
    );
  }
}

/** Dotted keys with different values; `null` and absent are the same. */
function differences(before: unknown, now: unknown, key = ''): string[] {
  if (isPlain(before) && isPlain(now)) {
    return [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((name) =>
      differences(before[name], now[name], key === '' ? name : `${key}.${name}`),
    );
  }
  const [was, is] = [before, now].map((value) => JSON.stringify(value ?? null));
  return was === is ? [] : [`${key} was ${was} and is now ${is}`];
}

/** What changed of a point that was prepared before; undefined where nothing did. */
async function changeOf(point: SweepPoint, after: readonly string[]): Promise<string | undefined> {
  const path = join(point.folder, pointConfigName);
  if (!existsSync(path)) return undefined;
  const { config } = loadConfig({ config: path });
  const { output: _was, ...before } = config;
  const { output: _is, ...now } = point.config;
  const changed = differences(before, now);
  const afterPath = join(point.folder, afterName);
  const commands: unknown = existsSync(afterPath) ? JSON.parse(await readText(afterPath)) : [];
  if (JSON.stringify(commands) !== JSON.stringify(after)) {
    changed.push(`after was ${JSON.stringify(commands)} and is now ${JSON.stringify(after)}`);
  }
  return changed.length === 0 ? undefined : `${point.id}: ${changed.join('; ')}`;
}

/** Longest list of changed points in a message. */
const changesShown = 20;

/**
 * Whether a sweep can be in its folder: a new one, or one of the same points. New points are welcome, points that were
 * left out stay as they are.
 *
 * @throws InputError `SWEEP_FOLDER_IN_USE`, `SWEEP_POINTS_CHANGED` with every change, `SWEEP_FOLDER_INVALID`
 */
export async function checkSnapshot({
  output,
  points,
  file,
  label,
}: Sweep): Promise<SavedPoints | undefined> {
  const saved = await readPoints(output);
  const names = await readdir(output).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw fileError(error, output, 'read');
  });
  const strange = names.filter(
    (name) => ![sweepName, pointsName, 'points'].includes(name) && !/^\./.test(name),
  );
  if (saved === undefined && !names.includes(sweepName) && strange.length > 0) {
    throw new InputError(
      'SWEEP_FOLDER_IN_USE',
      `${output} is not empty and holds no sweep (${strange.slice(0, 5).join(', ')}). Set another output.`,
    );
  }
  const changes: string[] = [];
  for (const point of points) {
    const change = await changeOf(point, file.after);
    if (change !== undefined) changes.push(change);
  }
  if (changes.length > 0) {
    throw new InputError(
      'SWEEP_POINTS_CHANGED',
      `${label} asks for other trainings than those in ${output}, under the same names:\n  ${firstOf(changes, changesShown, '\n  ')}\nSet it as it was, or give another output. (New values of an axis, new axes and new seeds make new points and are welcome.)`,
    );
  }
  return saved;
}

/**
 * For commands that look at a sweep: its folder has to be there.
 * @throws InputError `SWEEP_NOT_FOUND`, and those of `checkSnapshot`
 */
export async function checkPrepared(sweep: Sweep): Promise<void> {
  const saved = await checkSnapshot(sweep);
  if (saved !== undefined) return;
  throw new InputError(
    'SWEEP_NOT_FOUND',
    `${sweep.output} holds no sweep yet, so there are no results. affectgpt sweep --config ${sweep.label} runs it.`,
  );
}

/**
 * Makes the folders of all points and notes what the sweep is. What is there already stays as it is.
 * @throws InputError those of `checkSnapshot` and `fileError`
 */
export async function prepareSweep(sweep: Sweep): Promise<void> {
  const { output, points, text, file } = sweep;
  const saved = await checkSnapshot(sweep);
  await mkdir(pointsFolder(output), { recursive: true }).catch((error: unknown) => {
    throw fileError(error, output, 'write');
  });
  await writeFileAtomic(join(output, sweepName), text);
  for (const { folder, config, given } of points) {
    const path = join(folder, pointConfigName);
    if (existsSync(path)) continue;
    await mkdir(folder, { recursive: true }).catch((error: unknown) => {
      throw fileError(error, folder, 'write');
    });
    if (file.after.length > 0) {
      await writeFileAtomic(join(folder, afterName), `${JSON.stringify(file.after, null, 2)}\n`);
    }
    await writeFileAtomic(path, renderConfig(config, new Map(given.map((key) => [key, 'sweep']))));
  }
  const entries = points.map(({ id, setting, seed, cells }) => ({ id, setting, seed, values: cells }));
  const ids = new Set(entries.map(({ id }) => id));
  const before = [...(saved?.points ?? []), ...(saved?.former ?? [])].filter(({ id }) => !ids.has(id));
  const list: SavedPoints = {
    ...{ format, version: 1, program: packageVersion() },
    points: entries,
    former: before,
  };
  await writeFileAtomic(join(output, pointsName), `${JSON.stringify(list, null, 1)}\n`);
}

import { createHash, randomBytes } from 'node:crypto';
import { open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

/**
 * The part of a blob that has come so far lies beside it:
 *
 *     <hash>.affectgpt.incomplete                        nobody's: whoever wants it renames it to
 *     <hash>.affectgpt-<process>-<host>-<random>.incomplete   a process's own, while it downloads
 *
 * A rename succeeds for one process only, so no two write to one file, on any file system, without a lock. The Python
 * client's own unfinished files have other names and are left alone.
 */
export interface Partial {
  readonly file: string;
  /** Bytes that are there. */
  readonly bytes: number;
}

/** A process that has not written for so many milliseconds has stopped, wherever it runs. */
const abandonedAfter = 10 * 60_000;

const thisHost = createHash('sha256').update(os.hostname()).digest('hex').slice(0, 8);
const freeName = (blob: string): string => `${blob}.affectgpt.incomplete`;

function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Unfinished files of a blob, the largest first. */
async function findPartials(blob: string): Promise<(Partial & { readonly busy: boolean })[]> {
  const pattern = /^([0-9a-f]+)\.affectgpt(?:-(\d+)-([0-9a-f]{8})-[0-9a-f]{8})?\.incomplete$/;
  const found = [];
  for (const name of await readdir(path.dirname(blob))) {
    const [, hash, processId, host] = pattern.exec(name) ?? [];
    if (hash !== path.basename(blob)) continue;
    const file = path.join(path.dirname(blob), name);
    const state = await stat(file).catch(() => undefined);
    if (state === undefined) continue;
    const isOwned = processId !== undefined && (host !== thisHost || isRunning(Number(processId)));
    const busy = isOwned && Date.now() - state.mtimeMs < abandonedAfter;
    found.push({ file, bytes: state.size, busy });
  }
  return found.sort((a, b) => b.bytes - a.bytes);
}

/** Bytes of a blob that came with an earlier attempt. */
export async function partialBytes(blob: string): Promise<number> {
  const found = await findPartials(blob).catch(() => []);
  return Math.max(0, ...found.map(({ bytes }) => bytes));
}

/**
 * Takes over what is there of a blob, or begins an empty file.
 * @returns `busy` where another process is downloading it
 */
export async function claimPartial(blob: string): Promise<Partial | 'busy'> {
  const found = await findPartials(blob);
  if (found.some(({ busy }) => busy)) return 'busy';
  const own = `${blob}.affectgpt-${process.pid}-${thisHost}-${randomBytes(4).toString('hex')}.incomplete`;
  for (const { file, bytes } of found) {
    try {
      const now = new Date();
      await utimes(file, now, now);
      await rename(file, own);
      return { file: own, bytes };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      // Another process was faster.
      return 'busy';
    }
  }
  await (await open(own, 'wx')).close();
  // Another process may have begun since the first look. It sees this file, or this look sees its file: at most one goes on.
  const others = (await findPartials(blob)).filter(({ file, busy }) => busy && file !== own);
  if (others.length === 0) return { file: own, bytes: 0 };
  await rm(own, { force: true });
  return 'busy';
}

/** Gives an unfinished file free for whoever goes on; an empty one is removed. */
export async function releasePartial(blob: string, { file }: Partial): Promise<void> {
  const bytes = await stat(file).then(
    (state) => state.size,
    () => 0,
  );
  if (bytes === 0) await rm(file, { force: true });
  else await rename(file, freeName(blob));
}

/** Removes what earlier, killed processes left of a blob that is complete now. */
export async function removePartials(blob: string): Promise<void> {
  for (const { file, busy } of await findPartials(blob)) if (!busy) await rm(file, { force: true });
}

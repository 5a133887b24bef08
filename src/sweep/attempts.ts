import { readdir, readFile, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { describeState, processStart } from '../../train/run-status.ts';
import { packageVersion } from '../config/package-folder.ts';
import { InputError } from '../errors.ts';
import { writeFileAtomic, writeFolderAtomic } from '../io/atomic.ts';
import { fileError } from '../io/filesystem.ts';

const count = z.number().int().min(0);

/** Who works on a point, or worked on it. */
const claimSchema = z.object({
  pid: count,
  host: z.string(),
  /** Tells the process from a later one with the same id; null where the system does not say. */
  processStart: z.string().nullable(),
  startedAt: z.iso.datetime(),
  /** Of the engine; null leaves the number to it. A point keeps those that it began with. */
  threads: count.nullable(),
});
export type Claim = z.infer<typeof claimSchema>;

/** How an attempt ended, where it could say so. */
const endSchema = z.object({
  state: z.enum(['done', 'failed', 'stopped']),
  exitCode: z.number().int(),
  finishedAt: z.iso.datetime(),
  /** Of the whole attempt. */
  seconds: z.number(),
  peakMemoryBytes: z.number(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});
export type AttemptEnd = z.infer<typeof endSchema>;

/** One try at a point. */
export interface Attempt {
  /** From 1. */
  readonly number: number;
  /** Undefined where it cannot be read. */
  readonly claim: Claim | undefined;
  /** Undefined while it goes on, and of one that was killed. */
  readonly end: AttemptEnd | undefined;
  /** Whether whoever made it is still there. */
  readonly isAlive: boolean;
}

const attemptsFolder = (point: string): string => join(point, 'attempts');
const attemptFolder = (point: string, number: number): string =>
  join(attemptsFolder(point), String(number).padStart(4, '0'));
const claimName = 'claim.json';
const endName = 'end.json';

/** Between two signs of life. */
const heartbeatMilliseconds = 20_000;

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    const parsed = schema.safeParse(JSON.parse(await readFile(path, 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw fileError(error, path, 'read');
  }
}

/** A process of this machine that is there, or one of another machine that was heard of within five minutes. */
async function isClaimAlive(path: string, claim: Claim): Promise<boolean> {
  const heard = await stat(path).catch(() => undefined);
  if (heard === undefined) return false;
  const progress = { step: 0, steps: 0, checkpoint: null, version: packageVersion(), command: null };
  const status = { ...claim, ...progress, state: 'running' as const, updatedAt: heard.mtime.toISOString() };
  return describeState(status).state === 'running';
}

/** All attempts at a point, the first one first; none where it was never tried. */
export async function readAttempts(point: string): Promise<Attempt[]> {
  const names = await readdir(attemptsFolder(point)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw fileError(error, attemptsFolder(point), 'read');
  });
  const numbers = names.flatMap((name) => (/^\d{4,}$/.test(name) ? [Number(name)] : []));
  return Promise.all(
    numbers
      .sort((a, b) => a - b)
      .map(async (number): Promise<Attempt> => {
        const folder = attemptFolder(point, number);
        const claimPath = join(folder, claimName);
        const claim = await readJson(claimPath, claimSchema);
        // In this order: an attempt that ends in between is seen as one that has ended.
        const isAlive = claim !== undefined && (await isClaimAlive(claimPath, claim));
        const end = await readJson(join(folder, endName), endSchema);
        return { number, claim, end, isAlive: isAlive && end === undefined };
      }),
  );
}

/** A point that is this process's alone until it is ended. */
export interface HeldClaim {
  /** Says how it ended. Whoever dies without it leaves a claim that others take over. */
  end(end: Omit<AttemptEnd, 'finishedAt' | 'peakMemoryBytes'>): Promise<void>;
}

/**
 * Claims a point: the folder of the next attempt is put in place in one step, so that of two processes that saw the same
 * last attempt only one succeeds. Nothing is ever deleted, so a claim cannot be lost to somebody who was slow.
 *
 * @param last the attempt that was seen to be the last one; 0 where there was none
 * @returns undefined where somebody else was faster
 * @throws InputError those of `writeFolderAtomic`
 */
export async function claimAttempt(
  point: string,
  last: number,
  threads: number | null,
): Promise<HeldClaim | undefined> {
  const folder = attemptFolder(point, last + 1);
  const claim: Claim = {
    ...{ pid: process.pid, host: hostname(), processStart: processStart(process.pid) ?? null },
    ...{ startedAt: new Date().toISOString(), threads },
  };
  try {
    await writeFolderAtomic(folder, (temporary) =>
      writeFileAtomic(join(temporary, claimName), `${JSON.stringify(claim, null, 2)}\n`),
    );
  } catch (error) {
    if (error instanceof InputError && error.code === 'FOLDER_EXISTS') return undefined;
    throw error;
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    // Where the disk does not take it, others may think that this process is gone; nothing is lost by trying on.
    void utimes(join(folder, claimName), now, now).catch(() => undefined);
  }, heartbeatMilliseconds);
  heartbeat.unref();
  return {
    end: async (end) => {
      clearInterval(heartbeat);
      const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
      const whole: AttemptEnd = { ...end, finishedAt: new Date().toISOString(), peakMemoryBytes };
      await writeFileAtomic(join(folder, endName), `${JSON.stringify(whole, null, 2)}\n`);
    },
  };
}

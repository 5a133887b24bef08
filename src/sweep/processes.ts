import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '../io/filesystem.ts';

/** File in the folder of a point: what its processes say. */
const pointOutputName = 'output.txt';

/** A program and the arguments before those of a command. */
export type Program = readonly [string, ...string[]];

/** A process that works on a point. */
export interface PointProcess {
  readonly pid: number | undefined;
  /** Resolves when it is gone, with what it did: `was killed by SIGKILL`, … Never fails. */
  readonly ended: Promise<string>;
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts the process of a point. It lives on if this one dies: it is in a process group of its own, so that a Ctrl-C of
 * the terminal reaches it only through `kill`, and it writes into a file, not into a pipe.
 *
 * @throws InputError of `fileError` where the file cannot be written
 */
export function startPoint(program: Program, folder: string, threads: number | null): PointProcess {
  const [command, ...before] = program;
  const path = join(folder, pointOutputName);
  let file: number;
  try {
    file = openSync(path, 'a');
  } catch (error) {
    throw fileError(error, path, 'write');
  }
  const more = threads === null ? [] : ['--threads', String(threads)];
  let child: ChildProcess;
  try {
    child = spawn(command, [...before, 'sweep', '--point', folder, ...more], {
      stdio: ['ignore', file, file],
      detached: process.platform !== 'win32',
    });
  } finally {
    closeSync(file);
  }
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (exitCode, signal) =>
      resolve(
        signal === null
          ? `ended with exit code ${exitCode}`
          : `was killed by ${signal}${signal === 'SIGKILL' ? ' (by somebody, or for lack of memory)' : ''}`,
      ),
    );
  });
  return { pid: child.pid, ended, kill: (signal) => void child.kill(signal) };
}

/** Bytes at the end of a file that are looked at. */
const tailBytes = 4096;

/** The last lines that the processes of a point wrote; none where there is no file. */
export async function outputTail(folder: string, lines: number): Promise<string[]> {
  const handle = await open(join(folder, pointOutputName), 'r').catch(() => undefined);
  if (handle === undefined) return [];
  try {
    const { size } = await handle.stat();
    const from = Math.max(0, size - tailBytes);
    const buffer = Buffer.alloc(size - from);
    await handle.read(buffer, 0, buffer.length, from);
    return buffer
      .toString('utf8')
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(-lines);
  } finally {
    await handle.close();
  }
}

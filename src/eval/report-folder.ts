import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { fileError } from '../io/filesystem.ts';

const pieceBytes = 1024 * 1024;

/** Larger pieces of small ones: one system call each. */
function* joined(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let length = 0;
  for (const piece of pieces) {
    waiting.push(piece);
    length += piece.byteLength;
    if (length < pieceBytes) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    length = 0;
  }
  yield Buffer.concat(waiting);
}

/**
 * Refuses a folder for reports that is none, before hours of work.
 *
 * @throws InputError `NOT_A_FOLDER`
 */
export async function checkReportFolder(folder: string): Promise<void> {
  const there = await stat(folder).catch(() => undefined);
  if (there === undefined || there.isDirectory()) return;
  throw new InputError(
    'NOT_A_FOLDER',
    `${folder} is a file; reports are written to a folder. Give another name.`,
  );
}

/** A file of a report: its name, and its text, whole or in pieces. */
export type ReportFile = readonly [name: string, text: string | Iterable<Uint8Array>];

/**
 * Writes files into a folder, each whole or not at all; those of an earlier run are replaced. The folder is made where it
 * does not exist.
 *
 * @param files the first one is written last: where it is there, the others are
 * @returns the paths
 * @throws InputError of `fileError`
 */
export async function writeReportFiles(folder: string, files: readonly ReportFile[]): Promise<string[]> {
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw fileError(error, folder, 'write');
  });
  for (const [name, text] of files.toReversed()) {
    await writeFileAtomic(join(folder, name), typeof text === 'string' ? text : joined(text));
  }
  return files.map(([name]) => join(folder, name));
}

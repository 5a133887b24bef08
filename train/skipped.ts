import { join } from 'node:path';
import type { SkippedSample } from '../src/data/source.ts';
import { AppendFile } from '../src/io/append-file.ts';
import { writeFileAtomic } from '../src/io/atomic.ts';
import { fileError } from '../src/io/filesystem.ts';
import { jsonLines } from '../src/io/jsonl.ts';

/** Samples that a run leaves out, one a line: `{"name","reasons"}`. */
const skippedName = 'skipped.jsonl';

/**
 * Notes in a run folder which samples the run leaves out and why: in `skipped.jsonl`, which always tells of the
 * latest start, and at the end of `log.txt`.
 *
 * @throws InputError those of `fileError`
 */
export async function recordSkipped(folder: string, skipped: readonly SkippedSample[]): Promise<void> {
  await writeFileAtomic(join(folder, skippedName), jsonLines(skipped));
  if (skipped.length === 0) return;
  const path = join(folder, 'log.txt');
  const time = new Date().toISOString();
  const notes = skipped.map(
    ({ name, reasons }) => `${time} Skipped sample "${name}": ${reasons.join('; ')}\n`,
  );
  try {
    const log = await AppendFile.open(path, 'a');
    try {
      await log.append(Buffer.from(notes.join('')));
    } finally {
      await log.close();
    }
  } catch (error) {
    throw fileError(error, path, 'write');
  }
}

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { fileError } from '../io/filesystem.ts';
import type { SampleRecord } from './records.ts';

/**
 * Writes records as a manifest, JSON Lines as `readManifest` reads them. Paths are relative to its folder.
 * @throws InputError `OUTPUT_EXISTS`, and those of `fileError`
 */
export async function writeManifest(file: string, records: Iterable<SampleRecord>): Promise<void> {
  if (existsSync(file)) {
    throw new InputError('OUTPUT_EXISTS', `${file} exists already. Remove it, or write to another file.`);
  }
  const folder = path.dirname(path.resolve(file));
  const line = ({ name, video, audio, face, origin: _, ...rest }: SampleRecord): string => {
    const column = (key: string, to: string | undefined) =>
      to !== undefined && { [key]: path.relative(folder, to).split(path.sep).join('/') };
    const files = { ...column('video', video), ...column('audio', audio), ...column('face', face) };
    return `${JSON.stringify({ name, ...files, ...rest })}\n`;
  };
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fileError(error, folder, 'write');
  });
  const lines = Array.from(records, line);
  await writeFileAtomic(file, lines.join(''));
}

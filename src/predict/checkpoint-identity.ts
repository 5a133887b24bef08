import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { sha256 } from '../io/checksum.ts';
import { fileError } from '../io/filesystem.ts';

/** What stands for the weights of a checkpoint, wherever it lies. */
export interface CheckpointIdentity {
  readonly name: string;
  /** Of its checksums. */
  readonly sha256: string;
}

/**
 * @param checkpoint its folder
 * @throws InputError those of `fileError`
 */
export async function checkpointIdentity(checkpoint: string): Promise<CheckpointIdentity> {
  const sums = join(checkpoint, 'checksums.json');
  const content = await readFile(sums).catch((error: unknown) => {
    throw fileError(error, sums, 'read');
  });
  return { name: basename(checkpoint), sha256: sha256(content) };
}

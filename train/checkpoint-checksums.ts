import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../src/errors.ts';
import { writeFileAtomic } from '../src/io/atomic.ts';
import { sha256File } from '../src/io/checksum.ts';
import { readText } from '../src/io/filesystem.ts';

const checksumsName = 'checksums.json';

/** What to do about a checkpoint that cannot be trusted. */
const advice =
  'Copy the checkpoint again from where it is whole, or continue from an older one: write the name of its folder into the file "latest" beside it.';

const checksumsSchema = z.strictObject({
  algorithm: z.literal('sha256'),
  files: z.record(z.string(), z.strictObject({ bytes: z.number(), sha256: z.string() })),
});

/** Records size and SHA-256 of files that have been written to a folder. */
export async function writeChecksums(folder: string, names: readonly string[]): Promise<void> {
  const files: z.infer<typeof checksumsSchema>['files'] = {};
  for (const name of names) {
    const path = join(folder, name);
    files[name] = { bytes: (await stat(path)).size, sha256: await sha256File(path) };
  }
  const text = JSON.stringify({ algorithm: 'sha256', files }, null, 2);
  await writeFileAtomic(join(folder, checksumsName), `${text}\n`);
}

/** @throws InputError `CHECKPOINT_DAMAGED` where a file of a checkpoint is not the JSON it should be */
export async function readCheckedJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const damaged = (what: string, cause?: unknown) =>
    new InputError('CHECKPOINT_DAMAGED', `${path} is damaged: ${what}. ${advice}`, { cause });
  let json: unknown;
  try {
    json = JSON.parse(await readText(path));
  } catch (error) {
    if (error instanceof SyntaxError) throw damaged(`it is not JSON (${error.message})`, error);
    throw error;
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw damaged(parsed.error.issues.map(({ path: at, message }) => `${at.join('.')}: ${message}`).join('; '));
}

/** What is wrong with one file, or undefined. Without `withContent` that of a file of the right size is not looked at. */
async function fileFault(
  folder: string,
  name: string,
  expected: { readonly bytes: number; readonly sha256: string } | undefined,
  withContent: boolean,
): Promise<{ code: string; text: string } | undefined> {
  if (expected === undefined) {
    return { code: 'CHECKPOINT_FILE_UNLISTED', text: `${name} is not listed in ${checksumsName}` };
  }
  const path = join(folder, name);
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return { code: 'CHECKPOINT_FILE_MISSING', text: `${name} is missing` };
  if (found.size < expected.bytes) {
    return {
      code: 'CHECKPOINT_TRUNCATED',
      text: `${name} is cut off: ${found.size} of ${expected.bytes} bytes are there`,
    };
  }
  const isSound =
    found.size === expected.bytes && (!withContent || (await sha256File(path)) === expected.sha256);
  if (!isSound) {
    return {
      code: 'CHECKPOINT_DAMAGED',
      text: `the content of ${name} is not what was saved (its checksum differs)`,
    };
  }
  return undefined;
}

/**
 * Checks files of a checkpoint, byte for byte, against what was saved.
 *
 * @param files.required files that are needed, and `optional`, files that are checked where the checkpoint has them
 * @param files.contents of which files every byte is looked at, not the size alone; all by default
 * @returns the names of the files that the checkpoint lists
 * @throws InputError with all faults, under the code of the first: `CHECKPOINT_FILE_MISSING`, `CHECKPOINT_TRUNCATED`,
 *   `CHECKPOINT_DAMAGED`, `CHECKPOINT_FILE_UNLISTED`
 */
export async function verifyChecksums(
  folder: string,
  {
    required,
    optional,
    contents,
  }: {
    readonly required: readonly string[];
    readonly optional: readonly string[];
    readonly contents?: readonly string[];
  },
): Promise<ReadonlySet<string>> {
  const list = join(folder, checksumsName);
  if ((await stat(list).catch(() => undefined)) === undefined) {
    throw new InputError(
      'CHECKPOINT_FILE_MISSING',
      `The checkpoint ${folder} cannot be checked: ${checksumsName} is missing. ${advice}`,
    );
  }
  const { files } = await readCheckedJson(list, checksumsSchema);
  const names = [...required, ...optional.filter((name) => files[name] !== undefined)];
  const checked = await Promise.all(
    names.map((name) => fileFault(folder, name, files[name], contents?.includes(name) ?? true)),
  );
  const faults = checked.filter((fault) => fault !== undefined);
  if (faults.length > 0) {
    throw new InputError(
      faults[0]!.code,
      `The checkpoint ${folder} cannot be used: ${faults.map(({ text }) => text).join('; ')}. ${advice}`,
    );
  }
  return new Set(Object.keys(files));
}

import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { compareParts, missed, type Part, reasonOf } from './compare.ts';
import type { Comparison, ParityFixture } from './handler.ts';

/** A file that says the same as another one in another form, e.g. `config.transformers5.json`. */
const otherForm = /^(config|preprocessor_config|model)\.[^.]+(\.json|\.safetensors)$/;

/** The file that a file of another form stands for; undefined for any other file. */
function standardName(file: string): string | undefined {
  const match = otherForm.exec(file);
  if (match === null || (match[1] === 'model') !== (match[2] === '.safetensors')) return undefined;
  return `${match[1]}${match[2]}`;
}

/** Gives `use` a folder of links in which `file` stands in the place of the file that it is another form of. */
async function inItsPlace<Result>(
  folder: string,
  file: string,
  standard: string,
  use: (folder: string) => Promise<Result>,
): Promise<Result> {
  const staged = await mkdtemp(path.join(os.tmpdir(), 'affectgpt-parity-'));
  try {
    for (const name of await readdir(folder)) {
      if (name === standard || standardName(name) !== undefined) continue;
      await symlink(path.resolve(folder, name), path.join(staged, name));
    }
    await symlink(path.resolve(folder, file), path.join(staged, standard));
    return await use(staged);
  } finally {
    await rm(staged, { recursive: true });
  }
}

/** A text about a staged folder, with the files that its links stand for. */
const inRealPaths = (text: string, staged: string, folder: string, file: string, standard: string): string =>
  text.replaceAll(path.join(staged, standard), path.join(folder, file)).replaceAll(staged, folder);

/**
 * Compares the expected tensors with a model folder as it is, then again with each file that is there in another form
 * as well; the names of these comparisons begin with the file.
 *
 * @param open reads the model of a folder; where it fails for a form, that form is one miss for its reason
 * @throws what `open` throws about the folder as it is
 */
export async function compareForms(
  fixture: ParityFixture,
  open: (folder: string) => Promise<readonly Part[]>,
): Promise<Comparison[]> {
  const comparisons = await compareParts(fixture, await open(fixture.folder));
  for (const file of (await readdir(fixture.folder)).sort()) {
    const standard = standardName(file);
    if (standard === undefined) continue;
    const others = await inItsPlace(fixture.folder, file, standard, async (staged) => {
      const real = (text: string): string => inRealPaths(text, staged, fixture.folder, file, standard);
      let parts: readonly Part[];
      try {
        parts = await open(staged);
      } catch (error) {
        return [missed(file, undefined, real(reasonOf(error)))];
      }
      return (await compareParts(fixture, parts)).map((other) => ({
        ...other,
        tensor: `${file}: ${other.tensor}`,
        ...(other.note !== undefined && { note: real(other.note) }),
      }));
    });
    comparisons.push(...others);
  }
  return comparisons;
}

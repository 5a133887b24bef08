import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../../io/atomic.ts';
import { fileError } from '../../../io/filesystem.ts';
import type { Comparison } from './compare.ts';
import { comparisonJson, comparisonMarkdown } from './format.ts';
import { comparisonHtml } from './html.ts';

/**
 * Writes `compare.json`, `compare.md` and `compare.html` into a folder, each whole or not at all; those of an earlier run
 * are replaced. The folder is made where it does not exist.
 *
 * @returns the paths
 * @throws InputError of `fileError`
 */
export async function writeComparison(folder: string, comparison: Comparison): Promise<string[]> {
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw fileError(error, folder, 'write');
  });
  const texts = {
    'compare.json': `${JSON.stringify(comparisonJson(comparison), null, 1)}\n`,
    'compare.md': comparisonMarkdown(comparison),
    'compare.html': comparisonHtml(comparison),
  };
  const paths: string[] = [];
  for (const [name, text] of Object.entries(texts)) {
    paths.push(join(folder, name));
    await writeFileAtomic(paths.at(-1)!, text);
  }
  return paths;
}

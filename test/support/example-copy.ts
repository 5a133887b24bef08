import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * Copies an example to a folder of its own, with the packages of this project beside it as an installation would put
 * them.
 * @returns the folder, and what removes it
 */
export async function copyExample(name: string): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), `affectgpt-example-${name}-`));
  await cp(resolve('examples', name), folder, { recursive: true });
  await symlink(resolve('node_modules'), join(folder, 'node_modules'), 'dir');
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

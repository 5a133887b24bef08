import { rmSync } from 'node:fs';
import { access, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { applyMutant, type Mutant } from './mutant.ts';

/** What the tests need of the repository, besides its configuration files. */
const folders = ['src', 'model', 'encoders', 'fusion', 'lora', 'train', 'test', 'configs', 'docs'];
const isWanted = (name: string): boolean =>
  folders.includes(name) || /^(package\.json|tsconfig.*\.json|vitest\.config\.ts|README\.md)$/.test(name);

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** A private copy of the repository's sources, in which a file may be broken. */
export class Workspace {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @param parent an empty folder of its own; the copy lies in it beside what the repository lies beside */
  static async copy(repository: string, parent: string): Promise<Workspace> {
    const folder = join(parent, 'repository');
    await mkdir(folder, { recursive: true });
    for (const name of (await readdir(repository)).filter(isWanted)) {
      await cp(join(repository, name), join(folder, name), { recursive: true });
    }
    await symlink(join(repository, 'node_modules'), join(folder, 'node_modules'), 'dir');
    const shared = resolve(repository, '../shared');
    // Reference data that some tests look for and do without.
    if (await isThere(shared)) await symlink(shared, join(parent, 'shared'), 'dir');
    return new Workspace(folder);
  }

  /**
   * Breaks the copy while `use` runs, and mends it again.
   * @throws CheckError `MUTANT_DOES_NOT_APPLY`
   */
  async broken<T>(mutant: Mutant, use: () => Promise<T>): Promise<T> {
    const path = join(this.folder, mutant.file);
    const whole = await readFile(path, 'utf8');
    await writeFile(path, applyMutant(mutant, whole));
    try {
      return await use();
    } finally {
      await writeFile(path, whole);
    }
  }
}

/** Copies for workers, removed when `use` is done. */
export async function withWorkspaces<T>(
  repository: string,
  count: number,
  use: (workspaces: readonly Workspace[]) => Promise<T>,
): Promise<T> {
  const parent = await mkdtemp(join(tmpdir(), 'affectgpt-mutants-'));
  const stop = (signal: NodeJS.Signals): void => {
    rmSync(parent, { recursive: true, force: true });
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const workspaces: Workspace[] = [];
    for (let i = 0; i < count; i++) {
      workspaces.push(await Workspace.copy(repository, join(parent, String(i))));
    }
    return await use(workspaces);
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    await rm(parent, { recursive: true, force: true });
  }
}

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeFolder, removeFolderAtomic, writeFileAtomic, writeFolderAtomic } from '../../src/io/atomic.ts';
import { type Operation, watchOperations } from './operations.ts';
import { DiskModel, replayLog } from './power-cut.ts';

/** Files by path below the folder; folders end in a slash. */
type Tree = Readonly<Record<string, string>>;

/**
 * Does some steps, then cuts the power at every moment of them. Gives every tree that may be left, by how many steps had
 * been done: what a step promised when it was done has to hold from there on.
 */
async function cutPower(...steps: ((folder: string) => Promise<unknown>)[]): Promise<Tree[][]> {
  const folder = await mkdtemp(join(tmpdir(), 'affectgpt-power-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const operations: Operation[] = [];
  const ends: number[] = [];
  const stop = await watchOperations({
    folder,
    before: () => 'whole',
    after: (operation) => void operations.push(operation),
    die: () => {
      throw new Error('Nothing is to die here.');
    },
  });
  try {
    for (const step of steps) {
      await step(folder);
      ends.push(operations.length);
    }
  } finally {
    stop();
  }
  for (const [path, content] of replayLog(folder, operations)) {
    if (content !== null) expect(content).toEqual(await readFile(path));
  }
  const disk = new DiskModel(folder);
  return ends.map((end, i) => {
    const trees: Tree[] = [];
    const begin = i === 0 ? 0 : ends[i - 1]!;
    for (const operation of operations.slice(begin, end)) {
      for (const survivor of disk.survivors(new Set())) trees.push(asTree(folder, survivor.files));
      disk.apply(operation);
    }
    // The last moment belongs to what the step promised.
    for (const survivor of disk.survivors(new Set()))
      trees.push({ ...asTree(folder, survivor.files), done: '' });
    return trees;
  });
}

const asTree = (folder: string, files: ReadonlyMap<string, Buffer | null>): Tree =>
  Object.fromEntries(
    [...files].map(([path, content]) => {
      const name = relative(folder, path);
      return content === null ? [`${name}/`, ''] : [name, content.toString()];
    }),
  );

/** Different trees as JSON; those at the end of a step apart. */
function outcomes(trees: readonly Tree[]): { during: Set<string>; done: Set<string> } {
  const [during, done] = [new Set<string>(), new Set<string>()];
  for (const { done: isDone, ...tree } of trees) {
    const sorted = Object.fromEntries(Object.entries(tree).sort(([a], [b]) => (a < b ? -1 : 1)));
    (isDone === undefined ? during : done).add(JSON.stringify(sorted));
  }
  return { during, done };
}

const set = (...trees: Tree[]): Set<string> => new Set(trees.map((tree) => JSON.stringify(tree)));

const fill = (text: string) => async (folder: string) => {
  await writeFile(join(folder, 'one'), text);
  await mkdir(join(folder, 'inner'));
  await writeFile(join(folder, 'inner', 'two'), text + text);
};
const filled = (name: string, text: string): Tree => ({
  [`${name}/`]: '',
  [`${name}/inner/`]: '',
  [`${name}/inner/two`]: text + text,
  [`${name}/one`]: text,
});

describe('after a power cut at any moment', () => {
  it('a file holds the former or the new content, and the new one once it was written', async () => {
    const [first, second] = await cutPower(
      (folder) => writeFileAtomic(join(folder, 'file'), 'former'),
      (folder) => writeFileAtomic(join(folder, 'file'), [Buffer.from('the '), Buffer.from('new one')]),
    );
    const [former, next] = [{ file: 'former' }, { file: 'the new one' }];
    expect(outcomes(first!)).toEqual({ during: set({}, former), done: set(former) });
    expect(outcomes(second!)).toEqual({ during: set(former, next), done: set(next) });
  });

  it('a folder is complete or not there, with the parents that it needs', async () => {
    const [written] = await cutPower((folder) => writeFolderAtomic(join(folder, 'a', 'run'), fill('x')));
    const { during, done } = outcomes(written!);
    const complete = { 'a/': '', ...filled('a/run', 'x') };
    expect(done).toEqual(set(complete));
    expect(during).toEqual(set({}, { 'a/': '' }, complete));
  });

  it('a replaced folder is the former or the new one, and no mixture', async () => {
    const target = (folder: string) => join(folder, 'run');
    const [, replaced] = await cutPower(
      (folder) => writeFolderAtomic(target(folder), fill('old')),
      (folder) => writeFolderAtomic(target(folder), fill('new'), { existing: 'replace' }),
    );
    const { during, done } = outcomes(replaced!);
    // Between the two renames both are there under hidden names.
    expect(during).toEqual(set(filled('run', 'old'), {}, filled('run', 'new')));
    expect(done).toEqual(set(filled('run', 'new')));
  });

  it('a removed folder is whole or gone', async () => {
    const [, removed] = await cutPower(
      (folder) => writeFolderAtomic(join(folder, 'run'), fill('x')),
      (folder) => removeFolderAtomic(join(folder, 'run')),
    );
    const { during, done } = outcomes(removed!);
    expect(during).toEqual(set(filled('run', 'x'), {}));
    expect(done).toEqual(set({}));
  });

  it('a folder that was made is there', async () => {
    const [made] = await cutPower((folder) => makeFolder(join(folder, 'a', 'b')));
    expect(outcomes(made!).done).toEqual(set({ 'a/': '', 'a/b/': '' }));
  });
});

describe('the model of a power cut', () => {
  it('loses what nobody made durable', async () => {
    const [written] = await cutPower(async (folder) => {
      await mkdir(join(folder, 'a'));
      await writeFile(join(folder, 'a', 'file'), 'text');
    });
    const { done } = outcomes(written!);
    for (const tree of [{}, { 'a/': '' }, { 'a/': '', 'a/file': '' }, { 'a/': '', 'a/file': 'te' }]) {
      expect(done).toContain(JSON.stringify(tree));
    }
    expect(done).toContain(JSON.stringify({ 'a/': '', 'a/file': 'text' }));
  });
});

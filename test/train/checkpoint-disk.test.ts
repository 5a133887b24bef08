import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { execa, execaSync } from 'execa';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensor, HostTensorMap, State } from '../../src/engine/types.ts';
import { sha256 } from '../../src/io/checksum.ts';
import type * as filesystem from '../../src/io/filesystem.ts';
import { loadCheckpoint, saveCheckpoint } from '../../train/checkpoint.ts';
import { pythonWith } from '../support/python.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { digests, frozenCheckpoint, frozenShapes, frozenSteps, trainFrozen } from './frozen-run.ts';
import { tinyAdapter } from './tiny-tasks.ts';

/** A disk that fills up at one of the writes that are counted, or reports it when the file is flushed. */
const disk = vi.hoisted(() => ({ writes: 0, fullAt: 0, when: 'write' as 'write' | 'flush' }));

vi.mock('../../src/io/filesystem.ts', async (importOriginal) => {
  const original = await importOriginal<typeof filesystem>();
  const full = (syscall: string) =>
    Object.assign(new Error(`ENOSPC: no space left on device, ${syscall}`), { code: 'ENOSPC', syscall });
  return {
    ...original,
    writeAll: async (...[handle, data]: Parameters<typeof original.writeAll>) => {
      disk.writes++;
      const isFull = disk.writes === disk.fullAt;
      if (isFull && disk.when === 'write') {
        await original.writeAll(handle, data.subarray(0, data.byteLength >> 1));
        throw full('write');
      }
      await original.writeAll(handle, data);
      if (isFull) handle.sync = () => Promise.reject(full('fsync'));
    },
  };
});

/** Parameters and moments that differ from step to step. */
function tensorsOf(step: number): HostTensorMap {
  const random = new RandomGenerator(step);
  const entries = Object.entries(frozenShapes).flatMap(([name, shape]) =>
    [name, `exp_avg:${name}`, `exp_avg_sq:${name}`].map((entry): [string, HostTensor] => {
      const size = shape.reduce((product, edge) => product * edge, 1);
      return [entry, { dtype: 'float32', shape, data: random.split(entry).normalFloat32(size) }];
    }),
  );
  return Object.fromEntries(entries);
}

const inMemory = (tensors: HostTensorMap): Pick<State, 'read'> => ({
  read: async (names = Object.keys(tensors)) =>
    Object.fromEntries(names.map((name) => [name, tensors[name]!])),
});

/** @param tensors by default those of the step */
function save(runFolder: string, step: number, keep = 9, tensors = tensorsOf(step)): Promise<string> {
  const state = {
    formatVersion: 1 as const,
    ...{ step, epoch: 1, tokensSeen: 0, samplesSeen: 0, seconds: 0, configHash: '', config: {} },
    sampler: { index: 0, samples: 1, namesHash: '' },
    rng: { seed: 1 },
  };
  const given = { runFolder, state, shapes: frozenShapes, tensors: inMemory(tensors), keep };
  return saveCheckpoint({ ...given, adapter: tinyAdapter });
}

const stepFolder = (run: string, step: number): string =>
  join(run, 'checkpoints', `step-${String(step).padStart(6, '0')}`);

/** That a run has exactly this checkpoint, whole. */
async function expectWhole(run: string, step: number, latest = step): Promise<void> {
  expect(await readFile(join(run, 'checkpoints', 'latest'), 'utf8')).toBe(
    `step-${String(latest).padStart(6, '0')}\n`,
  );
  const { parameters, moments, state } = await loadCheckpoint(stepFolder(run, step), frozenShapes);
  expect(state.step).toBe(step);
  expect(digests({ ...parameters, ...moments })).toEqual(digests(tensorsOf(step)));
}

const files = [
  'adapter_model.safetensors',
  'adapter_config.json',
  'affectgpt.safetensors',
  'optimizer.safetensors',
  'state.json',
  'checksums.json',
];

/** The file that a message about a full disk names, and the bytes it says are needed. */
function named(error: unknown): { readonly file: string; readonly bytes: number } {
  expect(error).toMatchObject({ name: 'InputError', code: 'DISK_FULL', exitCode: 2 });
  const match = /^Cannot write (.+): the disk is full\. (\d+) bytes are needed in all\. Free some space/.exec(
    (error as Error).message,
  );
  expect(match, (error as Error).message).not.toBeNull();
  return { file: match![1]!, bytes: Number(match![2]) };
}

describe('a disk that fills up while a checkpoint is saved', () => {
  it.each(['write', 'flush'] as const)(
    'leaves the former one, whichever %s it comes at, and says what was needed',
    async (when) => {
      const run = await temporaryFolder();
      await save(run, 5);
      Object.assign(disk, { writes: 0, fullAt: 0, when });
      await save(await temporaryFolder(), 10);
      const { writes } = disk;
      expect(writes).toBeGreaterThan(files.length + 12);
      const full = new Map<string, number>();
      for (let fullAt = 1; fullAt <= writes; fullAt++) {
        Object.assign(disk, { writes: 0, fullAt });
        const { file, bytes } = named(await save(run, 10).catch((error: unknown) => error));
        full.set(file.split('/').at(-1)!, bytes);
        expect(file.startsWith(join(run, 'checkpoints'))).toBe(true);
        // The last write is that of `latest`: the new checkpoint is there, and not yet the one to go on from.
        const isLatest = file.endsWith('latest');
        expect((await readdir(join(run, 'checkpoints'))).sort()).toEqual(
          isLatest ? ['latest', 'step-000005', 'step-000010'] : ['latest', 'step-000005'],
        );
        await expectWhole(run, 5);
      }
      expect([...full.keys()].sort()).toEqual([...files, 'latest'].sort());
      Object.assign(disk, { fullAt: 0 });
      await save(run, 10);
      await expectWhole(run, 10);
      for (const file of files) {
        expect(full.get(file), file).toBe((await readFile(join(stepFolder(run, 10), file))).byteLength);
      }
    },
  );

  it('leaves the one that it was to replace', async () => {
    const run = await temporaryFolder();
    await save(run, 5);
    Object.assign(disk, { writes: 0, fullAt: 4, when: 'write' });
    named(await save(run, 5, 9, tensorsOf(6)).catch((error: unknown) => error));
    Object.assign(disk, { fullAt: 0 });
    await expectWhole(run, 5);
  });
});

/** Why no small file system can be mounted here, or undefined. */
function whyNoMount(): string | undefined {
  if (process.platform !== 'linux') return 'mounting a tmpfs needs Linux';
  if (process.getuid?.() !== 0) return 'mounting a tmpfs needs root';
  const tried = execaSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { reject: false });
  return tried.failed
    ? `a tmpfs cannot be mounted (${tried.stderr.trim() || tried.shortMessage})`
    : undefined;
}

const missingMount = whyNoMount();
if (missingMount !== undefined) console.warn(`Skipped: a disk that is really full: ${missingMount}.`);

const kib = 1024;

/** A file system of this size that is gone after the test. */
async function smallDisk(bytes: number): Promise<string> {
  const folder = join(await temporaryFolder(), 'disk');
  await mkdir(folder);
  await execa('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder]);
  onTestFinished(async () => {
    await execa('umount', [folder]);
  });
  return folder;
}

/** Leaves so many free bytes on the file system of a folder. */
async function leaveFree(folder: string, bytes: number): Promise<void> {
  const filler = join(folder, 'filler');
  await rm(filler, { force: true });
  const { stdout } = await execa('df', ['--output=avail', '-B1', folder]);
  const free = Number(stdout.split('\n').at(-1));
  expect(free).toBeGreaterThanOrEqual(bytes);
  await writeFile(filler, Buffer.alloc(free - bytes));
}

describe.skipIf(missingMount !== undefined)('a disk that is really full', () => {
  it('leaves the former checkpoint, however little is missing', async () => {
    const folder = await smallDisk(512 * kib);
    const run = join(folder, 'run');
    await save(run, 5);
    const faults: string[] = [];
    let saved = false;
    for (let free = 0; !saved; free += 4 * kib) {
      await leaveFree(folder, free);
      const error = await save(run, 10).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      saved = error === undefined;
      if (saved) break;
      expect(error).toMatchObject({ code: 'DISK_FULL', message: expect.stringContaining(run) });
      faults.push((error as Error).message);
      await expectWhole(run, 5);
      expect((await readdir(join(run, 'checkpoints'))).filter((name) => name.startsWith('.'))).toEqual([]);
    }
    // A page more each time, until there is room for six files and `latest`.
    expect(faults.length).toBeGreaterThanOrEqual(6);
    expect(faults.some((fault) => /optimizer\.safetensors: the disk is full\. \d+ bytes/.test(fault))).toBe(
      true,
    );
    await expectWhole(run, 10);
  });

  it('stops a training, which goes on as if nothing had happened once there is room', async () => {
    const folder = await smallDisk(512 * kib);
    const run = join(folder, 'run');
    const first = await trainFrozen(run, frozenSteps.saved);
    await leaveFree(folder, 12 * kib);
    await expect(trainFrozen(run, frozenSteps.whole)).rejects.toMatchObject({
      code: 'DISK_FULL',
      exitCode: 2,
      message: expect.stringContaining(run),
    });
    expect((await loadCheckpoint(frozenCheckpoint(run), frozenShapes)).state.step).toBe(frozenSteps.saved);
    await rm(join(folder, 'filler'));
    const rest = await trainFrozen(run, frozenSteps.whole);
    const whole = join(await temporaryFolder(), 'whole');
    expect([...first, ...rest]).toEqual(await trainFrozen(whole, frozenSteps.whole));
    const end = async (of: string) => loadCheckpoint(stepFolder(of, frozenSteps.whole), frozenShapes);
    const [resumed, uninterrupted] = [await end(run), await end(whole)];
    expect(digests({ ...resumed.parameters, ...resumed.moments })).toEqual(
      digests({ ...uninterrupted.parameters, ...uninterrupted.moments }),
    );
  });
});

describe.skipIf(process.platform === 'win32')(
  'a checkpoint that somebody reads while it is saved over',
  () => {
    const tensorFiles = files.filter((file) => file.endsWith('.safetensors'));

    it.each([
      ['replaced', (run: string) => save(run, 5, 9, tensorsOf(6))],
      ['deleted as an old one', (run: string) => save(run, 10, 1)],
    ])('is read to its end as it was when opened, though it is %s', async (_, change) => {
      const run = await temporaryFolder();
      const folder = await save(run, 5);
      const latest = join(run, 'checkpoints', 'latest');
      const paths = [...files.map((file) => join(folder, file)), latest];
      const before = await Promise.all(paths.map((path) => readFile(path)));
      const handles = await Promise.all(paths.map((path) => open(path)));
      onTestFinished(async () => {
        await Promise.all(handles.map((handle) => handle.close()));
      });
      await change(run);
      for (const [i, handle] of handles.entries()) {
        expect(await handle.readFile(), paths[i]).toEqual(before[i]);
      }
      const now = await Promise.all(paths.map((path) => readFile(path).catch(() => undefined)));
      expect(now.filter((bytes, i) => bytes?.equals(before[i]!)).length).toBeLessThan(paths.length);
    });

    const interpreter = pythonWith('mmap', 'hashlib');
    const missingPython = 'missing' in interpreter ? interpreter.missing : undefined;
    if (missingPython !== undefined) console.warn(`Skipped: a memory-mapped checkpoint: ${missingPython}.`);

    it.skipIf(missingPython !== undefined)(
      'keeps its bytes in memory that another process has mapped',
      async () => {
        const run = await temporaryFolder();
        const folder = await save(run, 5);
        const paths = tensorFiles.map((file) => join(folder, file));
        // Maps the files and reads nothing of them before it is told to.
        const script = `
import hashlib, mmap, sys
files = [open(path, 'rb') for path in sys.argv[1:]]
maps = [mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) for file in files]
for file in files: file.close()
print('mapped', flush=True)
sys.stdin.readline()
for one in maps: print(hashlib.sha256(one[:]).hexdigest(), flush=True)
`;
        const { python } = interpreter as { python: string };
        const reader = execa(python, ['-c', script, ...paths], { timeout: 30_000 });
        const lines = createInterface(reader.stdout)[Symbol.asyncIterator]();
        const next = async () => (await lines.next()).value as string | undefined;
        expect(await next()).toBe('mapped');
        const before = await Promise.all(paths.map(async (path) => sha256(await readFile(path))));
        await save(run, 5, 9, tensorsOf(6));
        await save(run, 10, 1);
        reader.stdin.write('go on\n');
        expect([await next(), await next(), await next()]).toEqual(before);
        await reader;
        await expectWhole(run, 10);
      },
    );
  },
);

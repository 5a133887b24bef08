import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { hasXla } from '../support/xla.ts';

const script = path.resolve(import.meta.dirname, '../support/xla-process.ts');

describe.skipIf(!hasXla)('a second process', () => {
  it('compiles nothing that the first one did, and computes the same, bit for bit', async () => {
    const executables = await mkdtemp(path.join(tmpdir(), 'xla-processes-'));
    const run = async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [
        '--import',
        'tsx',
        script,
        executables,
      ]);
      const names = await readdir(executables);
      // A file that was written again would be another one of the same name.
      const files = await Promise.all(
        names.map(async (name) => (await stat(path.join(executables, name))).ino),
      );
      return { losses: JSON.parse(stdout) as number[], names, files };
    };
    const first = await run();
    expect(first.losses).toHaveLength(3);
    expect(first.names).toHaveLength(1);
    expect(await run()).toEqual(first);
    await rm(executables, { recursive: true });
  }, 180_000);
});

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { pluginEngines } from '../../src/install/wheels.ts';
import { commandInFolder } from '../support/command-output.ts';
import { IndexServer, sha256, wheelOf } from '../support/index-server.ts';

const library = createHash('shake256', { outputLength: 300_000 }).digest();
const real = pluginEngines.find(({ name }) => name === 'xla-cpu')!;
const content = wheelOf({ [real.library]: library, 'x.dist-info/METADATA': Buffer.from('License: free') });
const system = `${process.platform}-${process.arch}` as 'linux-x64';
const file = real.wheels[system]?.file;

// The command as it is, for a wheel that is small.
vi.mock('../../src/install/wheels.ts', async (load) => {
  const original = await load<typeof import('../../src/install/wheels.ts')>();
  const engines = original.pluginEngines.map((engine) =>
    engine.name === 'xla-cpu' ? { ...engine, wheels: { ...engine.wheels } } : engine,
  );
  return { ...original, pluginEngines: engines };
});

let server: IndexServer;
beforeAll(async () => {
  server = await IndexServer.start();
});
beforeEach(() => {
  server.seen.length = 0;
});
afterAll(() => server.stop());

const command = commandInFolder('engine', (folder) => ({
  AFFECTGPT_ENGINES: join(folder, 'engines'),
  PIP_INDEX_URL: server.url.replace('://', '://me:hidden@'),
  ...{ PIP_NO_INDEX: '', PIP_CONFIG_FILE: '' },
}));
const { run } = command;
const engines = () => join(command.folder, 'engines');

describe.skipIf(file === undefined)('affectgpt engine', () => {
  it('refuses a wheel that is not the pinned one, and installs nothing', async () => {
    server.projects[real.project] = { [file!]: content };
    const { exitCode, out, err } = await run('install', 'xla-cpu');
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(/^error\[INDEX_HASH\]: .*Nothing was downloaded/m);
    expect(err).not.toContain('hidden');
    expect(existsSync(engines())).toBe(false);
  });

  it('installs, lists and removes an engine', async () => {
    const pinned = { file: file!, bytes: content.length, sha256: sha256(content) };
    const { pluginEngines: offered } = await import('../../src/install/wheels.ts');
    Object.assign(offered.find(({ name }) => name === 'xla-cpu')!.wheels, { [system]: pinned });
    server.projects[real.project] = { [file!]: content };
    const { exitCode, out, err } = await run('install', 'xla-cpu');
    expect({ exitCode, err }).toMatchObject({ exitCode: 0 });
    const place = join(engines(), `xla-cpu-${real.version}`);
    expect(out).toBe(`${join(place, real.library)}\n`);
    expect(err).toContain(`${file}  ${(content.length / 1000).toFixed(1)} kB of`);
    expect(err).toContain(`xla-cpu ${real.version} is installed.`);
    expect(err).not.toContain('hidden');
    expect(readFileSync(join(place, real.library)).equals(library)).toBe(true);
    expect((await run('install', 'xla-cpu')).err).toContain('is installed already; --force');
    expect((await run('list')).out).toContain(`xla-cpu ${real.version}  installed 20`);
    expect(JSON.parse((await run('list', '--json')).out)).toMatchObject([{ name: 'xla-cpu' }]);
    expect((await run('remove', 'xla-cpu')).out).toBe(`${place}\n`);
    expect(readdirSync(engines())).toEqual(['.downloads']);
    expect(await run('remove', 'xla-cpu')).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining('error[ENGINE_NOT_INSTALLED]'),
    });
    expect((await run('list')).out).toMatch(/^None in /);
  });

  it.each([
    [[], 'Say what to do'],
    [['install', 'torch'], 'xla-cuda12'],
    [['install', 'xla-cpu', '--gpu'], '--gpu is for tensorflow'],
    [['install', 'xla-cpu', '--index-url', 'no address'], '--index-url'],
    [['install', 'xla-cpu', '--wheel-dir', '/nowhere'], 'pip download --no-deps xla-cpu-pjrt'],
  ])('%j is an error of usage', async (argv, message) => {
    const { exitCode, err } = await run(...argv);
    expect(exitCode).toBe(2);
    expect(err).toContain(message);
  });
});

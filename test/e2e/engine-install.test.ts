import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { pluginEngines } from '../../src/install/wheels.ts';
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

const written = { out: '', err: '' };
let server: IndexServer;
let folder: string;

async function run(...argv: string[]) {
  Object.assign(written, { out: '', err: '' });
  return { exitCode: await main(['engine', ...argv]), ...written };
}

beforeAll(async () => {
  server = await IndexServer.start();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'affectgpt-engine-'));
  vi.stubEnv('AFFECTGPT_ENGINES', join(folder, 'engines'));
  vi.stubEnv('PIP_INDEX_URL', server.url.replace('://', '://me:hidden@'));
  for (const name of ['PIP_NO_INDEX', 'PIP_CONFIG_FILE']) vi.stubEnv(name, '');
  server.seen.length = 0;
  for (const [stream, key] of [
    [process.stdout, 'out'],
    [process.stderr, 'err'],
  ] as const) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      written[key] += String(text);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});
afterAll(() => server.stop());

describe.skipIf(file === undefined)('affectgpt engine', () => {
  it('refuses a wheel that is not the pinned one, and installs nothing', async () => {
    server.projects[real.project] = { [file!]: content };
    const { exitCode, out, err } = await run('install', 'xla-cpu');
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(/^error\[INDEX_HASH\]: .*Nothing was downloaded/m);
    expect(err).not.toContain('hidden');
    expect(existsSync(join(folder, 'engines'))).toBe(false);
  });

  it('installs, lists and removes an engine', async () => {
    const pinned = { file: file!, bytes: content.length, sha256: sha256(content) };
    const { pluginEngines: engines } = await import('../../src/install/wheels.ts');
    Object.assign(engines.find(({ name }) => name === 'xla-cpu')!.wheels, { [system]: pinned });
    server.projects[real.project] = { [file!]: content };
    const { exitCode, out, err } = await run('install', 'xla-cpu');
    expect({ exitCode, err }).toMatchObject({ exitCode: 0 });
    const place = join(folder, 'engines', `xla-cpu-${real.version}`);
    expect(out).toBe(`${join(place, real.library)}\n`);
    expect(err).toContain(`${file}  ${(content.length / 1000).toFixed(1)} kB of`);
    expect(err).toContain(`xla-cpu ${real.version} is installed.`);
    expect(err).not.toContain('hidden');
    expect(readFileSync(join(place, real.library)).equals(library)).toBe(true);
    expect((await run('install', 'xla-cpu')).err).toContain('is installed already; --force');
    expect((await run('list')).out).toContain(`xla-cpu ${real.version}  installed 20`);
    expect(JSON.parse((await run('list', '--json')).out)).toMatchObject([{ name: 'xla-cpu' }]);
    expect((await run('remove', 'xla-cpu')).out).toBe(`${place}\n`);
    expect(readdirSync(join(folder, 'engines'))).toEqual(['.downloads']);
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

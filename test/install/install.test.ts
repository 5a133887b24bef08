import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { engineFolder, findInstalledEngine, listInstalledEngines } from '../../src/engine/install-folder.ts';
import { type InstallOptions, installPlugin, removeEngine } from '../../src/install/install-plugin.ts';
import { findPackageIndex } from '../../src/install/package-index.ts';
import { unpackWheel } from '../../src/install/unpack.ts';
import {
  type PinnedWheel,
  type PluginEngine,
  pluginEngines,
  type ToolPackage,
  wheelFor,
} from '../../src/install/wheels.ts';
import { refusalOf } from '../hub/workspace.ts';
import { faults } from '../support/hub-server.ts';
import { IndexServer, sha256, wheelOf } from '../support/index-server.ts';

// Hard to compress, so that the wheel is about as long.
const library = createHash('shake256', { outputLength: 300_000 }).digest();
const content = wheelOf({
  'plugins/fake/fake.so': library,
  'plugins/fake/__init__.py': Buffer.from('pass'),
  'fake_pjrt-1.0.dist-info/licenses/LICENSE': Buffer.from('free'),
  '../../outside': Buffer.from('not wanted, so never looked at'),
});
const file = 'fake_pjrt-1.0-py3-none-manylinux_2_27_x86_64.whl';
const armFile = 'fake_pjrt-1.0-py3-none-manylinux_2_27_aarch64.whl';
const pinned = { file, bytes: content.length, sha256: sha256(content) };
const engine: PluginEngine = {
  ...{ name: 'fake', project: 'fake-pjrt', version: '1.0', describe: '', library: 'plugins/fake/fake.so' },
  wheels: { 'linux-x64': pinned, 'linux-arm64': { ...pinned, file: armFile } },
};
const machine = { platform: 'linux', arch: 'x64', glibc: '2.36' };
let server: IndexServer;
let home: string;
let messages: string[];

const engines = () => join(home, 'affectgpt', 'engines');
const downloads = () => join(engines(), '.downloads');
/** Engines that can be seen. */
const visible = () => (existsSync(engines()) ? readdirSync(engines()).filter((name) => name[0] !== '.') : []);
const arrived = (bytes: number) =>
  existsSync(downloads()) &&
  readdirSync(downloads()).some((name) => statSync(join(downloads(), name)).size >= bytes);
const misbehave = (act: (typeof server.faults)[number]['act'], times = 1) =>
  void server.faults.push({ path: /./, times, act });
const ranges = () => server.seen.filter(({ host }) => host === 'cdn').map(({ range }) => range);

function install(overrides: Partial<InstallOptions> = {}, url = server.url, signal?: AbortSignal) {
  return installPlugin(engine, {
    from: {
      index: findPackageIndex(url),
      retries: { attempts: 2, firstWait: 1, longestWait: 1000 },
      signal: signal ?? new AbortController().signal,
      notify: (message) => void messages.push(message),
      stallMilliseconds: 5000,
    },
    ...{ force: false, onBytes: () => {}, machine },
    ...overrides,
  });
}

beforeAll(async () => {
  server = await IndexServer.start();
});
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'affectgpt-engines-'));
  messages = [];
  vi.stubEnv('XDG_CACHE_HOME', home);
  vi.stubEnv('AFFECTGPT_ENGINES', '');
  Object.assign(server, { form: 'json', credentials: undefined });
  server.projects['fake-pjrt'] = { [file]: content, [armFile]: content };
  delete server.listedHashes[file];
  server.seen.length = 0;
  server.faults.length = 0;
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true });
});
afterAll(() => server.stop());

describe('an engine out of a wheel', () => {
  it.each(['json', 'html'] as const)('comes from an index of the %s form', async (form) => {
    server.form = form;
    const { engine: installed, wasThere } = await install();
    expect(wasThere).toBe(false);
    expect(readFileSync(installed.libraryPath).equals(library)).toBe(true);
    expect(installed.folder).toBe(engineFolder('fake', '1.0'));
    expect(readdirSync(installed.folder).sort()).toEqual(['LICENSE', 'installed.json', 'plugins']);
    const noted = JSON.parse(readFileSync(join(installed.folder, 'installed.json'), 'utf8'));
    expect(noted).toMatchObject({ name: 'fake', version: '1.0', wheel: file, sha256: pinned.sha256 });
    expect(findInstalledEngine('fake')).toEqual(installed);
    expect(readdirSync(downloads())).toEqual([]);
    expect(existsSync(join(home, 'outside'))).toBe(false);
  });

  it('is left alone when it is there, installed again with force, and removed', async () => {
    await install();
    server.seen.length = 0;
    expect((await install()).wasThere).toBe(true);
    expect(server.seen).toEqual([]);
    expect((await install({ force: true })).wasThere).toBe(false);
    expect(await removeEngine('fake')).toEqual([engineFolder('fake', '1.0')]);
    expect(visible()).toEqual([]);
    expect(await refusalOf(removeEngine('fake'))).toMatch(/^ENGINE_NOT_INSTALLED: /);
  });

  it('is installed without what a killed installation left, but not without one under way', async () => {
    const left = ['.fake-1.0.1-0123456789ab.partial', '.fake-1.0.2-0123456789ab.partial'] as const;
    for (const name of left) mkdirSync(join(engines(), name), { recursive: true });
    utimesSync(join(engines(), left[0]), 1, 1);
    await install();
    expect(readdirSync(engines()).sort()).toEqual(['.downloads', left[1], 'fake-1.0']);
    expect(listInstalledEngines().map(({ name }) => name)).toEqual(['fake']);
  });

  it('does not count when its library is gone', async () => {
    const { engine: installed } = await install();
    rmSync(installed.libraryPath);
    expect(listInstalledEngines()).toEqual([]);
    expect((await install()).wasThere).toBe(false);
  });

  it('goes on where a connection was cut, and where an earlier attempt was stopped', async () => {
    misbehave(faults.cutAfter(100_000, arrived));
    const stop = new AbortController();
    misbehave(faults.cutAfter(50_000, arrived, () => stop.abort(new Error('stopped'))));
    await expect(install({}, server.url, stop.signal)).rejects.toThrow('stopped');
    expect(visible()).toEqual([]);
    const { engine: installed } = await install();
    expect(readFileSync(installed.libraryPath).equals(library)).toBe(true);
    expect(ranges()).toEqual([undefined, 'bytes=100000-', 'bytes=150000-']);
  });

  it('comes out of a folder without any connection', async () => {
    writeFileSync(join(home, file), content);
    const { engine: installed } = await install({ from: { folder: home } });
    expect(readFileSync(installed.libraryPath).equals(library)).toBe(true);
    expect(server.seen).toEqual([]);
    writeFileSync(join(home, file), content.subarray(1));
    expect(await refusalOf(install({ from: { folder: home }, force: true }))).toMatch(/^WHEEL_CHECKSUM: /);
    rmSync(join(home, file));
    expect(await refusalOf(install({ from: { folder: home }, force: true }))).toMatch(/^WHEEL_NOT_FOUND: /);
    expect(visible()).toEqual(['fake-1.0']);
  });
});

describe('nothing is installed', () => {
  afterEach(() => expect(visible()).toEqual([]));

  it('when the bytes are others than the pinned ones', async () => {
    const wrong = Buffer.from(content);
    wrong[1000]! ^= 1;
    misbehave(faults.send(wrong));
    expect(await refusalOf(install())).toMatch(/^WHEEL_CHECKSUM: .*nothing was installed/);
    expect(readdirSync(downloads())).toEqual([]);
  });

  it('when the index lists another hash: the file is not even asked for', async () => {
    for (const form of ['json', 'html'] as const) {
      server.form = form;
      server.listedHashes[file] = 'ab'.repeat(32);
      expect(await refusalOf(install())).toMatch(/^INDEX_HASH: .*abab/);
    }
    expect(ranges()).toEqual([]);
  });

  it('when the server sends a page of another length', async () => {
    misbehave(faults.send(Buffer.from('<html>log in</html>')));
    expect(await refusalOf(install())).toMatch(/^WHEEL_SIZE: .*sends 19/);
  });

  it('when the index has neither the version nor the project', async () => {
    server.projects['fake-pjrt'] = { 'fake_pjrt-0.9-py3-none-any.whl': content };
    const message = await refusalOf(install());
    expect(message).toMatch(/^INDEX_NO_WHEEL: .*fake-pjrt 1\.0.*fake_pjrt-0\.9-py3-none-any\.whl/);
    delete server.projects['fake-pjrt'];
    expect(await refusalOf(install())).toMatch(/^INDEX_NO_PROJECT: .*--index-url/);
  });

  it('when nobody answers, after as many attempts as allowed', async () => {
    const gone = await IndexServer.start();
    const { url } = gone;
    await gone.stop();
    expect(await refusalOf(install({}, url))).toMatch(/^INDEX_UNREACHABLE: .*Given up after 2 attempts/);
  });

  it('when the disk has too little room', async () => {
    const message = await refusalOf(install({ freeBytes: async () => 1000 }));
    expect(message).toMatch(/^DISK_FULL: .*Nothing was downloaded/);
    expect(server.seen).toEqual([]);
  });

  it('when the wheel lacks the library', async () => {
    const empty = wheelOf({ 'other.so': library });
    server.projects['fake-pjrt'] = { [file]: empty };
    const wheels = { 'linux-x64': { file, bytes: empty.length, sha256: sha256(empty) } };
    const index = findPackageIndex(server.url);
    const from = {
      ...{ index, retries: { attempts: 1, firstWait: 1, longestWait: 1 }, notify: () => {} },
      ...{ signal: new AbortController().signal, stallMilliseconds: 5000 },
    };
    const installing = installPlugin(
      { ...engine, wheels },
      { from, force: false, onBytes: () => {}, machine },
    );
    expect(await refusalOf(installing)).toMatch(/^WHEEL_INCOMPLETE: /);
  });

  it('when the wheel lacks one that the library loads; nothing is installed then', async () => {
    const companions = ['plugins/fake/other.so'];
    const folder = join(home, 'wheels');
    mkdirSync(folder);
    writeFileSync(join(folder, file), content);
    const from = { folder };
    const installing = installPlugin(
      { ...engine, companions },
      { from, force: false, onBytes: () => {}, machine },
    );
    expect(await refusalOf(installing)).toMatch(
      /^WHEEL_INCOMPLETE: .* does not hold plugins\/fake\/other\.so/,
    );
    expect(visible()).toEqual([]);
  });
});

describe('wheels of tools', () => {
  const program = Buffer.from('#!/bin/sh\n');
  const toolWheel = wheelOf({
    'nvidia/bin/assembler': program,
    'nvidia/other': Buffer.from('x'),
    'tool-1.dist-info/licenses/License.txt': Buffer.from('terms'),
  });
  const tool = (members: string[]): ToolPackage => ({
    ...{ project: 'tool', version: '1', members },
    wheels: {
      'linux-x64': {
        ...{ file: 'tool-1-py3-none-manylinux_2_17_x86_64.whl', bytes: toolWheel.length },
        sha256: sha256(toolWheel),
      },
    },
  });
  const installWith = (members: string[]) => {
    const folder = join(home, 'wheels');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, file), content);
    writeFileSync(join(folder, 'tool-1-py3-none-manylinux_2_17_x86_64.whl'), toolWheel);
    const options = { from: { folder }, force: false, onBytes: () => {}, machine };
    return installPlugin({ ...engine, tools: [tool(members)] }, options);
  };

  it('lie beside the library; programs can be run, licences are kept, the rest is not', async () => {
    const { engine: installed } = await installWith(['nvidia/bin/assembler']);
    const assembler = join(installed.folder, 'nvidia/bin/assembler');
    expect(readFileSync(assembler).equals(program)).toBe(true);
    expect(statSync(assembler).mode & 0o111).toBe(0o111);
    expect(readFileSync(join(installed.folder, 'licenses/tool/License.txt'), 'utf8')).toBe('terms');
    expect(existsSync(join(installed.folder, 'nvidia/other'))).toBe(false);
    expect((await installWith(['nvidia/bin/assembler'])).wasThere).toBe(true);
    rmSync(assembler);
    expect((await installWith(['nvidia/bin/assembler'])).wasThere).toBe(false);
    expect(existsSync(assembler)).toBe(true);
  });

  it('have to hold what is wanted of them; nothing is installed otherwise', async () => {
    expect(await refusalOf(installWith(['nvidia/bin/linker']))).toMatch(
      /^WHEEL_INCOMPLETE: tool-1\S+ does not hold nvidia\/bin\/linker/,
    );
    expect(visible()).toEqual([]);
  });
});

describe('credentials', () => {
  const secret = 'p%40ss-word';
  it('go to the index alone and are in no message', async () => {
    server.credentials = 'me:p@ss-word';
    const url = server.url.replace('://', `://me:${secret}@`);
    expect(findPackageIndex(url).url).toBe(`${server.url}/`);
    await install({}, url);
    const sent = server.seen.map(({ host, authorization }) => [host, authorization !== undefined]);
    expect(sent).toEqual([
      ['hub', true],
      ['cdn', false],
    ]);
    misbehave(faults.status(503), 100);
    server.credentials = 'me:other';
    const refused = [
      await refusalOf(install({ force: true }, url)),
      await refusalOf(install({ force: true })),
    ];
    server.credentials = 'me:p@ss-word';
    refused.push(await refusalOf(install({ force: true }, url)));
    expect(refused[0]).toMatch(/^INDEX_FORBIDDEN: .*were not accepted/);
    expect(refused[1]).toMatch(/^INDEX_FORBIDDEN: .*none were sent/);
    expect(refused[2]).toMatch(/^INDEX_UNAVAILABLE: /);
    expect([...refused, ...messages].join()).not.toMatch(/ss-word/);
  });
});

describe('a wheel', () => {
  it('is that of the system, the processor and the C library', () => {
    expect(wheelFor(engine, machine).file).toBe(file);
    expect(wheelFor(engine, { ...machine, arch: 'arm64' }).file).toBe(armFile);
    expect(wheelFor(engine, { ...machine, glibc: '2.27' }).file).toBe(file);
    for (const [other, message] of [
      [{ platform: 'darwin' }, /darwin x64.*linux-x64 and linux-arm64/],
      [{ arch: 'ia32' }, /linux ia32/],
      [{ glibc: '2.26' }, /2\.27 or newer; here is 2\.26/],
      [{ glibc: undefined }, /musl/],
    ] as const) {
      expect(() => wheelFor(engine, { ...machine, ...other })).toThrow(message);
    }
  });

  it('cannot write outside of its folder', async () => {
    for (const name of ['../evil', '/tmp/evil', 'a/../../evil', 'a\\..\\evil']) {
      const path = join(home, 'evil.whl');
      writeFileSync(path, wheelOf({ good: Buffer.from('x'), [name]: Buffer.from('x') }));
      const unpacking = unpackWheel(path, join(home, 'inside'), (member) => member);
      expect(await refusalOf(unpacking)).toMatch(/^WHEEL_UNSAFE: /);
    }
    expect(readdirSync(home)).toEqual(['evil.whl']);
  });

  it('is pinned for each plugin, those of XLA on both processors', () => {
    expect(pluginEngines).toHaveLength(4);
    const cpus = { 'linux-x64': 'x86_64', 'linux-arm64': 'aarch64' } as const;
    for (const { name, wheels, version } of pluginEngines) {
      expect(Object.keys(wheels)).toEqual(name === 'openvino' ? ['linux-x64'] : Object.keys(cpus));
      const python =
        name === 'openvino' ? String.raw`\d+-cp312-cp312-manylinux_2_28` : 'py3-none-manylinux_2_27';
      for (const [system, cpu] of Object.entries(cpus)) {
        const wheel = (wheels as Record<string, PinnedWheel | undefined>)[system];
        if (wheel === undefined) continue;
        expect(wheel.file).toMatch(new RegExp(`-${version}-${python}_${cpu}.whl$`));
        expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/);
      }
    }
  });
});

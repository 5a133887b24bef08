import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path, { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { installTensorflow } from '../../src/install/install-tensorflow.ts';
import { refusalOf } from '../hub/workspace.ts';
import { wheelOf } from '../support/index-server.ts';

let folder: string;

// A wheel with as much of TensorFlow as the steps before the compiler look at.
vi.mock('../../src/install/install-plugin.ts', async (load) => ({
  ...(await load<typeof import('../../src/install/install-plugin.ts')>()),
  obtainWheel: async () => ({ file: join(folder, 'tensorflow.whl'), dispose: async () => {} }),
}));

/** A program in place of the one of that name. */
function program(name: string, script: string): void {
  const file = join(folder, 'bin', name);
  writeFileSync(file, `#!/bin/sh\nPATH=/usr/bin:/bin\n[ "$1" = --version ] && exit 0\n${script}\n`);
  chmodSync(file, 0o755);
}

const sources = 'mkdir -p node_modules/@tensorflow/tfjs-node/binding node_modules/@tensorflow/tfjs-core';
const install = () =>
  installTensorflow({
    ...{ from: { folder }, force: false, onBytes: () => {}, gpu: false, notify: () => {} },
    signal: new AbortController().signal,
    machine: { platform: 'linux', arch: 'x64', glibc: '2.36' },
  });
const visible = () =>
  existsSync(join(folder, 'engines'))
    ? readdirSync(join(folder, 'engines')).filter((name) => name[0] !== '.')
    : [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'affectgpt-tensorflow-'));
  mkdirSync(join(folder, 'bin'));
  vi.stubEnv('AFFECTGPT_ENGINES', join(folder, 'engines'));
  vi.stubEnv('PATH', join(folder, 'bin'));
  const members = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2', 'include/tensorflow/c/c_api.h'];
  const content = Object.fromEntries(members.map((name) => [`tensorflow/${name}`, Buffer.from(name)]));
  writeFileSync(join(folder, 'tensorflow.whl'), wheelOf({ ...content, 'tensorflow/x.py': Buffer.from('x') }));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('TensorFlow is not installed', () => {
  afterEach(() => expect(visible()).toEqual([]));

  it('without a compiler or npm, and says which is missing', async () => {
    expect(await refusalOf(install())).toMatch(/^ENGINE_TOOL_MISSING: .*C\+\+ compiler/);
    program('g++', 'exit 0');
    expect(await refusalOf(install())).toMatch(/^ENGINE_TOOL_MISSING: .*npm/);
  });

  it('when npm or the compiler fails; their last words are shown, credentials not', async () => {
    program('c++', 'echo no such header >&2; exit 3');
    program('npm', 'echo "no https://me:secret@registry.test/x" >&2; exit 1');
    const message = await refusalOf(install());
    expect(message).toMatch(/^ENGINE_BUILD_FAILED: npm failed[\s\S]*no https:\/\/registry\.test\/x/);
    program('npm', sources);
    expect(await refusalOf(install())).toMatch(/c\+\+ failed \(exit code 3\)[\s\S]*no such header/);
  });

  it('when the binding does not load', async () => {
    program('npm', sources);
    program('c++', 'for last; do :; done; echo nothing > "$last"');
    const message = await refusalOf(install());
    expect(message).toMatch(/^ENGINE_BUILD_FAILED: node failed/);
    expect(message).toContain(path.join('napi-v8', 'tfjs_binding.node'));
  });
});

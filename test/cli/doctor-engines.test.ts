import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Finding } from '../../src/cli/doctor.ts';
import { run } from '../support/command-output.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();

/** Puts something in the place of an installed engine. */
function pretend(name: string, library: Buffer): void {
  const place = join(folder, `${name}-1`);
  mkdirSync(place);
  writeFileSync(join(place, 'library.so'), library);
  const noted = { name, version: '1', wheel: 'x.whl', sha256: '', date: '2026', library: 'library.so' };
  writeFileSync(join(place, 'installed.json'), JSON.stringify(noted));
}

const doctor = (...options: string[]) => run('doctor', ...options);

beforeEach(() => {
  vi.stubEnv('AFFECTGPT_ENGINES', folder);
  for (const name of ['AFFECTGPT_XLA_PLUGIN', 'AFFECTGPT_OPENVINO', 'VIRTUAL_ENV', 'CONDA_PREFIX'])
    vi.stubEnv(name, '');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

describe('doctor', () => {
  it('tries what is here, and names the command for what is not', async () => {
    const { exitCode, out } = await doctor('--json');
    const { checks } = JSON.parse(out) as { checks: Finding[] };
    const named = new Map(checks.map((finding) => [finding.name, finding]));
    expect(exitCode).toBe(0);
    const optional = ['xla-cpu', 'xla-cuda12', 'xla-cuda13', 'openvino'];
    const engines = ['onnxruntime', 'wasm', 'cpu', 'tensorflow', ...optional];
    expect([...named.keys()]).toEqual(['node', 'machine', 'ffmpeg', ...engines, 'auto', 'transformers']);
    for (const name of ['onnxruntime', 'wasm', 'cpu']) {
      expect(named.get(name), name).toMatchObject({ ok: true, engine: { devices: ['cpu'] } });
      expect(named.get(name)!.engine!.selfTest.difference).toBeLessThan(1e-5);
    }
    for (const name of optional) {
      expect(named.get(name)).toEqual({
        ...{ name, ok: false, needed: false, detail: 'not installed' },
        advice: `Optional. Run: affectgpt engine install ${name}`,
      });
    }
  });

  it('survives libraries that are none or crash, and still works without them', async () => {
    pretend('xla-cpu', Buffer.from('not a library'));
    pretend('tensorflow', Buffer.from(''));
    const binding = join(folder, 'tensorflow-1', 'node_modules', '@tensorflow', 'tfjs-node');
    mkdirSync(binding, { recursive: true });
    writeFileSync(join(binding, 'index.js'), "process.kill(process.pid, 'SIGABRT');");
    const { exitCode, out } = await doctor();
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^ok +onnxruntime .*self-test \d+ ms/m);
    expect(out).toMatch(/^BROKEN +xla-cpu +xla-cpu 1: .*\n +Run: affectgpt engine install xla-cpu --force$/m);
    expect(out).toMatch(
      /^BROKEN +tensorflow .*was ended by SIGABRT.*\n +Run: affectgpt engine install tensorflow --force$/m,
    );
  });
});

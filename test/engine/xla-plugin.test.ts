import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { engineFolder } from '../../src/engine/install-folder.ts';
import { XlaEngine } from '../../src/engine/xla/engine.ts';
import { findXlaPlugin } from '../../src/engine/xla/plugin.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();

async function library(...parts: string[]): Promise<string> {
  const file = path.join(folder, ...parts);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, 'no library');
  return file;
}

describe('the XLA plugin', () => {
  it('is the one named, then the one installed, then that of the Python environment', async () => {
    const python = await library(
      'venv/lib/python3.12/site-packages/jax_plugins/xla_cuda13/xla_cuda_plugin.so',
    );
    await library('venv/lib/python3.12/site-packages/jax_plugins/other/plugin.so');
    const named = await library('named.so');
    const env: Record<string, string> = { XDG_CACHE_HOME: path.join(folder, 'cache') };
    expect(findXlaPlugin({ env })).toBeUndefined();
    env.VIRTUAL_ENV = path.join(folder, 'venv');
    expect(findXlaPlugin({ env })).toEqual({ path: python, source: 'VIRTUAL_ENV' });

    const installed = engineFolder('xla-cpu', '0.0.1', env);
    await mkdir(installed, { recursive: true });
    await writeFile(
      path.join(installed, 'installed.json'),
      JSON.stringify({ name: 'xla-cpu', version: '0.0.1', date: '2026-01-01', library: 'xla_cpu_pjrt.so' }),
    );
    expect(findXlaPlugin({ env })?.source).toBe('VIRTUAL_ENV');
    await writeFile(path.join(installed, 'xla_cpu_pjrt.so'), 'no library');
    expect(findXlaPlugin({ env })).toEqual({
      path: path.join(installed, 'xla_cpu_pjrt.so'),
      source: 'xla-cpu 0.0.1',
    });

    env.AFFECTGPT_XLA_PLUGIN = named;
    expect(findXlaPlugin({ env })).toEqual({ path: named, source: 'AFFECTGPT_XLA_PLUGIN' });
    expect(findXlaPlugin({ env, explicit: python })?.path).toBe(python);
  });

  it('that is named and not there, or no plugin, is an error that says so', async () => {
    const env = { AFFECTGPT_XLA_PLUGIN: path.join(folder, 'none.so') };
    expect(() => findXlaPlugin({ env })).toThrow(
      /AFFECTGPT_XLA_PLUGIN names .*none\.so, which does not exist/,
    );
    const plugin = await library('text.so');
    expect(() => new XlaEngine({ plugin })).toThrow(
      /text\.so does not load as a PJRT plugin|optional package koffi/,
    );
  });
});

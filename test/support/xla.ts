import { cacheVariable } from '../../src/engine/xla/executables-folder.ts';
import { loadKoffiForXla } from '../../src/engine/xla/pjrt.ts';
import { findXlaPlugin, pluginVariable } from '../../src/engine/xla/plugin.ts';

// Tests neither see nor leave executables of other runs.
process.env[cacheVariable] ??= '';

function missing(): string | undefined {
  try {
    loadKoffiForXla();
  } catch (error) {
    return (error as Error).message;
  }
  return findXlaPlugin() === undefined
    ? `no PJRT plugin: affectgpt engine install xla-cpu, or ${pluginVariable}=LIBRARY`
    : undefined;
}

const reason = missing();

/** Whether the engine xla can run here; where it cannot, the tests that need it say why and are skipped. */
export const hasXla = reason === undefined;
if (reason !== undefined) process.stderr.write(`xla is not tested: ${reason}\n`);

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../../errors.ts';
import { driverFile } from '../choose.ts';
import { findInstalledEngine } from '../install-folder.ts';

/** Names a plugin library; comes before everything that is searched. */
export const pluginVariable = 'AFFECTGPT_XLA_PLUGIN';

export interface XlaPluginSearch {
  /** A library that was named; nothing else is looked at. */
  readonly explicit?: string | undefined;
  /** Default: that of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface FoundXlaPlugin {
  /** Absolute path of the library. */
  readonly path: string;
  /** Where it was found, for people: `AFFECTGPT_XLA_PLUGIN`, `xla-cpu 0.0.1`, `VIRTUAL_ENV`. */
  readonly source: string;
}

const subfolders = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => path.join(folder, name))
        .sort()
        .reverse()
    : [];

function named(file: string, source: string): FoundXlaPlugin {
  const library = path.resolve(file);
  if (!existsSync(library)) {
    throw new EngineError(
      'ENGINE_PLUGIN_MISSING',
      `${source} names the XLA plugin ${library}, which does not exist.`,
    );
  }
  return { path: library, source };
}

/** Libraries of the wheels that hold a PJRT plugin, as pip unpacks them. */
function inPythonEnvironment(environment: string): string[] {
  const packages = subfolders(path.join(environment, 'lib'))
    .filter((folder) => path.basename(folder).startsWith('python3'))
    .map((folder) => path.join(folder, 'site-packages'));
  return packages
    .flatMap((folder) => [path.join(folder, 'jax_plugins'), path.join(folder, 'xla_plugins')])
    .flatMap(subfolders)
    .filter((folder) => path.basename(folder).startsWith('xla_'))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => /^xla_\w+\.so$/.test(name))
        .map((name) => path.join(folder, name)),
    );
}

/**
 * The PJRT plugin to use: the one named, by `explicit` or the environment; then what `affectgpt engine install` has
 * put down; then the Python environment that is active (`VIRTUAL_ENV`, `CONDA_PREFIX`). Undefined where there is none.
 * @throws EngineError `ENGINE_PLUGIN_MISSING` where the one named does not exist
 */
export function findXlaPlugin(search: XlaPluginSearch = {}): FoundXlaPlugin | undefined {
  const { explicit, env = process.env } = search;
  if (explicit !== undefined) return named(explicit, 'The configuration');
  const fromVariable = env[pluginVariable];
  if (fromVariable) return named(fromVariable, pluginVariable);
  // The plugins for CUDA load without a GPU, too, but find no device.
  const forCuda = ['xla-cuda13', 'xla-cuda12'];
  const names = existsSync(driverFile) ? [...forCuda, 'xla-cpu'] : ['xla-cpu', ...forCuda];
  for (const name of names) {
    const engine = findInstalledEngine(name, env);
    if (engine !== undefined) return { path: engine.libraryPath, source: `${engine.name} ${engine.version}` };
  }
  for (const variable of ['VIRTUAL_ENV', 'CONDA_PREFIX']) {
    const environment = env[variable];
    const [library] = environment ? inPythonEnvironment(environment) : [];
    if (library !== undefined) return { path: library, source: variable };
  }
  return undefined;
}

/**
 * A plugin for CUDA, which compiles for GPUs that are not here, too: the one that the environment names, then what
 * `affectgpt engine install` has put down, then that of the Python environment that is active.
 * @throws EngineError `ENGINE_PLUGIN_MISSING`
 */
export function findCudaPlugin(env: NonNullable<XlaPluginSearch['env']> = process.env): FoundXlaPlugin {
  const isCuda = (library: string): boolean => /cuda/.test(path.basename(library));
  const fromVariable = env[pluginVariable];
  if (fromVariable && isCuda(fromVariable)) return named(fromVariable, pluginVariable);
  for (const name of ['xla-cuda13', 'xla-cuda12']) {
    const engine = findInstalledEngine(name, env);
    if (engine !== undefined) return { path: engine.libraryPath, source: `${engine.name} ${engine.version}` };
  }
  for (const variable of ['VIRTUAL_ENV', 'CONDA_PREFIX']) {
    const environment = env[variable];
    const library = environment ? inPythonEnvironment(environment).find(isCuda) : undefined;
    if (library !== undefined) return { path: library, source: variable };
  }
  throw new EngineError(
    'ENGINE_PLUGIN_MISSING',
    'Compiling for a GPU needs the PJRT plugin of XLA for CUDA; the GPU itself need not be there: affectgpt engine install xla-cuda13 fetches it.',
  );
}

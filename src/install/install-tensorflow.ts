import { mkdir, readdir, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import {
  engineFolder,
  type FoundEngine,
  type InstalledEngine,
  readInstalledEngine,
} from '../engine/install-folder.ts';
import { EngineError } from '../errors.ts';
import { writeFileAtomic, writeFolderAtomic } from '../io/atomic.ts';
import { type InstallOptions, obtainWheel, removeLeftovers } from './install-plugin.ts';
import { unpackWheel } from './unpack.ts';
import { type WheelPackage, wheelFor } from './wheels.ts';

/** Versions that were built and run together. */
const bindingVersion = '4.22.0';
const headersVersion = '1.9.0';
const tensorflowVersion = '2.21.0';

const tensorflowForArm = {
  file: 'tensorflow-2.21.0-cp312-cp312-manylinux_2_27_aarch64.whl',
  bytes: 281946471,
  sha256: 'b07d15737406533898e36c7ef7944b1be18e9028dc521b9229952c537bbc5552',
};

/** The wheel whose two libraries are used; the version of Python in its name does not matter to them. */
const cpuWheel: WheelPackage = {
  project: 'tensorflow-cpu',
  version: tensorflowVersion,
  wheels: {
    'linux-x64': {
      file: 'tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl',
      bytes: 274000871,
      sha256: 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb',
    },
  },
};
const gpuWheel: WheelPackage = {
  project: 'tensorflow',
  version: tensorflowVersion,
  wheels: {
    'linux-x64': {
      file: 'tensorflow-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl',
      bytes: 572611111,
      sha256: 'b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0',
    },
  },
};
/** On arm64 the one for the processor has the other name. */
const armWheel: WheelPackage = {
  project: 'tensorflow',
  version: tensorflowVersion,
  wheels: { 'linux-arm64': tensorflowForArm },
};

const binding = 'node_modules/@tensorflow/tfjs-node';
const library = `${binding}/lib/napi-v8/tfjs_binding.node`;
const libraries = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];
/** Headers that the binding includes, and those that they include. */
const headerFolders = [
  'tensorflow/c/',
  'tensorflow/core/platform/ctstring',
  'tensorflow/tsl/platform/ctstring',
  'tsl/platform/ctstring',
  'xla/tsl/',
];

/** Where a member of TensorFlow's wheel goes in the folder `deps` of the binding. */
function placeMember(member: string): string | undefined {
  const inner = member.replace(/^tensorflow\//, '');
  if (libraries.includes(inner)) return `lib/${inner}`;
  const header = inner.replace(/^include\//, '');
  const isWanted = inner !== header && headerFolders.some((folder) => header.startsWith(folder));
  return isWanted ? `include/${header}` : undefined;
}

/** Told what is being done, one line a step. */
export interface TensorflowOptions extends InstallOptions {
  readonly gpu: boolean;
  readonly notify: (message: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Builds the binding of tfjs-node against a current TensorFlow: sources of the binding and headers of Node from the npm
 * registry, TensorFlow's libraries from its wheel, a C++ compiler from this machine. The folder appears when the binding
 * has been loaded in a process of its own.
 *
 * @returns the engine, and whether it was there before and was left alone
 * @throws EngineError `ENGINE_PLATFORM`, `ENGINE_TOOL_MISSING`, `ENGINE_BUILD_FAILED` with the last lines of the tool;
 *   InputError those of `obtainWheel` and `unpackWheel`
 */
export async function installTensorflow(
  options: TensorflowOptions,
): Promise<{ readonly engine: FoundEngine; readonly wasThere: boolean }> {
  const { gpu, notify, signal } = options;
  const name = gpu ? 'tensorflow-gpu' : 'tensorflow';
  const source = gpu ? gpuWheel : process.arch === 'arm64' ? armWheel : cpuWheel;
  const wheel = wheelFor(source, options.machine);
  const folder = engineFolder(name, tensorflowVersion);
  const there = readInstalledEngine(folder);
  if (there !== undefined && there.sha256 === wheel.sha256 && !options.force) {
    return { engine: { ...there, folder, libraryPath: path.join(folder, there.library) }, wasThere: true };
  }
  const compiler = await findTool('a C++ compiler', ['c++', 'g++', 'clang++'], 'apt-get install g++');
  const npm = await findTool('npm', ['npm'], 'it comes with Node.js');
  await removeLeftovers();
  const obtained = await obtainWheel(source, wheel, options);
  const noted: InstalledEngine = {
    ...{ name, version: tensorflowVersion, wheel: wheel.file, sha256: wheel.sha256 },
    ...{ date: new Date().toISOString(), library },
  };
  await writeFolderAtomic(
    folder,
    async (temporary) => {
      notify(`Getting the sources of @tensorflow/tfjs-node ${bindingVersion} from the npm registry …`);
      await getSources(npm, temporary, signal);
      notify('Unpacking TensorFlow …');
      const deps = path.join(temporary, binding, 'deps');
      await rm(deps, { recursive: true, force: true });
      await unpackWheel(obtained.file, deps, placeMember);
      notify('Compiling the binding …');
      await compile(compiler, temporary, signal);
      await prune(temporary);
      notify('Trying it …');
      await prove(temporary, signal);
      await writeFileAtomic(path.join(temporary, 'installed.json'), `${JSON.stringify(noted, null, 2)}\n`);
    },
    { existing: 'replace' },
  );
  await obtained.dispose();
  return { engine: { ...noted, folder, libraryPath: path.join(folder, library) }, wasThere: false };
}

async function findTool(what: string, names: readonly string[], advice: string): Promise<string> {
  for (const name of names) {
    if ((await execa(name, ['--version'], { reject: false })).exitCode === 0) return name;
  }
  throw new EngineError(
    'ENGINE_TOOL_MISSING',
    `The engine "tensorflow" is built on this machine, and that needs ${what} (looked for ${names.join(', ')}): ${advice}.`,
  );
}

/** Runs a step's program; what it says is shown only when it fails, without what looks like credentials in an address. */
async function runStep(
  file: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly signal: AbortSignal; readonly env?: Record<string, string> },
): Promise<string> {
  const { cwd, signal, env = {} } = options;
  const result = await execa(file, args, { cwd, env, reject: false, cancelSignal: signal, all: true });
  signal.throwIfAborted();
  if (result.exitCode === 0) return result.stdout;
  const said = result.all
    .replaceAll(/:\/\/[^/@\s]+@/g, '://')
    .trim()
    .split('\n')
    .slice(-12)
    .join('\n');
  throw new EngineError(
    'ENGINE_BUILD_FAILED',
    `${path.basename(file)} failed (exit code ${result.exitCode ?? result.signal}); nothing was installed. It says:\n${said}`,
  );
}

/** Gets the binding and what it needs, without running any script of theirs. */
async function getSources(npm: string, folder: string, signal: AbortSignal): Promise<void> {
  const description = { name: 'affectgpt-engine-tensorflow', private: true, version: '0.0.0' };
  await writeFileAtomic(path.join(folder, 'package.json'), JSON.stringify(description));
  const packages = [`@tensorflow/tfjs-node@${bindingVersion}`, `node-api-headers@${headersVersion}`];
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
  await runStep(npm, ['install', ...flags, ...packages], { cwd: folder, signal });
}

async function compile(compiler: string, folder: string, signal: AbortSignal): Promise<void> {
  const cwd = path.join(folder, binding);
  const [cc, framework] = libraries as [string, string];
  await symlink(cc, path.join(cwd, 'deps/lib/libtensorflow.so'));
  await symlink(framework, path.join(cwd, 'deps/lib/libtensorflow_framework.so'));
  await mkdir(path.join(cwd, path.dirname(path.relative(binding, library))), { recursive: true });
  const args = [
    ...['-std=c++17', '-O2', '-fPIC', '-shared', '-DNAPI_VERSION=8', '-Ideps/include'],
    `-I${path.join(folder, 'node_modules/node-api-headers/include')}`,
    ...['binding/tfjs_backend.cc', 'binding/tfjs_binding.cc'],
    ...['-Ldeps/lib', '-ltensorflow', '-ltensorflow_framework', '-Wl,-rpath,$ORIGIN/../../deps/lib'],
    ...['-o', path.relative(binding, library)],
  ];
  await runStep(compiler, args, { cwd, signal });
}

/** Removes what was for building only, and the copies of tfjs: the program's own is used. */
async function prune(folder: string): Promise<void> {
  const scope = path.join(folder, path.dirname(binding));
  const copies = (await readdir(scope)).filter((name) => name !== path.basename(binding));
  const unused = [
    ...copies.map((name) => path.join(scope, name)),
    path.join(folder, 'node_modules/node-api-headers'),
    path.join(folder, binding, 'deps/include'),
    path.join(folder, binding, 'deps/lib/libtensorflow.so'),
    path.join(folder, binding, 'deps/lib/libtensorflow_framework.so'),
  ];
  for (const one of unused) await rm(one, { recursive: true, force: true });
}

/** Loads the binding in a process of its own, where a crash does no harm, and asks for TensorFlow's version. */
async function prove(folder: string, signal: AbortSignal): Promise<void> {
  const script = `
    try {
      const { TF_Version } = require(${JSON.stringify(path.join(folder, library))});
      if (TF_Version !== ${JSON.stringify(tensorflowVersion)}) throw new Error('It is TensorFlow ' + TF_Version);
    } catch (error) {
      console.error('The binding does not load: ' + error.message);
      process.exitCode = 1;
    }`;
  await runStep(process.execPath, ['-e', script], {
    cwd: folder,
    signal,
    env: { TF_CPP_MIN_LOG_LEVEL: '2' },
  });
}

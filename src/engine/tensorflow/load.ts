import Module, { createRequire } from 'node:module';
import path from 'node:path';
import util from 'node:util';
import { EngineError } from '../../errors.ts';
import { type FoundEngine, findInstalledEngine } from '../install-folder.ts';
import type { TensorflowBackend } from './stored-weights.ts';

/** Where TensorFlow's binding for Node comes from. */
export interface TensorflowSource {
  /** As people know it: an npm package, or the engine that was installed. */
  readonly name: string;
  readonly version: string | undefined;
  /** What to load. */
  readonly entry: string;
  /** Whether it is there for the sake of a GPU. */
  readonly forGpu: boolean;
  /** Set for one that `affectgpt engine install` built. */
  readonly installed: FoundEngine | undefined;
}

export interface LoadedTensorflow {
  readonly source: TensorflowSource;
  /** Of TensorFlow itself. */
  readonly version: string;
  readonly usesGpu: boolean;
  /** The tfjs backend. */
  readonly backend: TensorflowBackend;
}

/** The package that brings the binding, inside the folder of an installed engine. */
const bindingPackage = '@tensorflow/tfjs-node';
const stockPackages = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];
const ownRequire = createRequire(import.meta.url);

/** The binding that would be loaded: one that was installed as an engine before a package, one for GPUs before others. */
export function findTensorflow(): TensorflowSource | undefined {
  for (const name of ['tensorflow-gpu', 'tensorflow']) {
    const installed = findInstalledEngine(name);
    if (installed !== undefined) {
      const entry = path.join(installed.folder, 'node_modules', bindingPackage);
      return { name, version: installed.version, entry, forGpu: name === 'tensorflow-gpu', installed };
    }
  }
  const name = stockPackages.find(isInstalled);
  return name === undefined
    ? undefined
    : { name, version: undefined, entry: name, forGpu: name.endsWith('-gpu'), installed: undefined };
}

function isInstalled(packageName: string): boolean {
  try {
    ownRequire.resolve(packageName);
    return true;
  } catch {
    return false;
  }
}

interface Binding {
  findBackend(name: string): TensorflowBackend;
}

/**
 * Loads TensorFlow's binding, which registers the tfjs backend `tensorflow`.
 *
 * @throws EngineError `ENGINE_PACKAGE_MISSING`, `ENGINE_PACKAGE_BROKEN`; `ENGINE_NO_GPU` where the build is one for GPUs and
 *   TensorFlow sees none: it would compute on the processor without a word
 */
export function loadTensorflow(source = findTensorflow()): LoadedTensorflow {
  if (source === undefined) {
    throw new EngineError(
      'ENGINE_PACKAGE_MISSING',
      'The engine "tensorflow" is not installed. Run: affectgpt engine install tensorflow (or, for NVIDIA GPUs, affectgpt engine install tensorflow --gpu). The packages of npm serve as well, where their own installation works: npm install @tensorflow/tfjs-node or @tensorflow/tfjs-node-gpu.',
    );
  }
  let backend: TensorflowBackend;
  try {
    prepareProcess();
    if (source.installed !== undefined) shareTfjs(source.installed.folder);
    backend = (ownRequire(source.entry) as Binding).findBackend('tensorflow');
  } catch (error) {
    throw new EngineError(
      'ENGINE_PACKAGE_BROKEN',
      `${source.name} is installed but does not load: ${(error as Error).message.split('\n')[0]}. Run: affectgpt engine install tensorflow --force`,
      { cause: error },
    );
  }
  if (source.forGpu && !backend.isUsingGpuDevice) {
    throw new EngineError(
      'ENGINE_NO_GPU',
      `${source.name} is made for NVIDIA GPUs, and TensorFlow sees none here: no device, no driver, or libraries of CUDA or cuDNN are missing (TF_CPP_MIN_LOG_LEVEL=0 makes it say which). To compute on the processor, remove it (affectgpt engine remove tensorflow-gpu, or npm uninstall @tensorflow/tfjs-node-gpu) and run: affectgpt engine install tensorflow`,
    );
  }
  return { source, version: backend.binding.TF_Version, usesGpu: backend.isUsingGpuDevice, backend };
}

/** What the binding expects of the process. */
function prepareProcess(): void {
  // Functions that the binding calls, and that Node 23 no longer has.
  const old = util as unknown as { isNullOrUndefined?: unknown; isArray?: unknown };
  old.isNullOrUndefined ??= (value: unknown) => value == null;
  old.isArray ??= Array.isArray;
  // Device memory as it is needed, instead of all of it at once; only errors are written.
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
}

type ResolveFilename = (
  request: string,
  parent: { filename?: string } | undefined,
  ...rest: unknown[]
) => string;
const shared = new Set<string>();

/**
 * Lets what lies in a folder use this program's own copy of tfjs: with two copies, tensors and backends of the one would
 * be unknown to the other.
 */
function shareTfjs(folder: string): void {
  if (shared.has(folder)) return;
  shared.add(folder);
  const loader = Module as unknown as { _resolveFilename: ResolveFilename };
  const resolve = loader._resolveFilename;
  const tfjsRequire = createRequire(ownRequire.resolve('@tensorflow/tfjs'));
  loader._resolveFilename = function (this: unknown, request, parent, ...rest) {
    const isTfjs = request.startsWith('@tensorflow/tfjs') && !request.startsWith(bindingPackage);
    return isTfjs && parent?.filename?.startsWith(folder + path.sep)
      ? tfjsRequire.resolve(request)
      : resolve.call(this, request, parent, ...rest);
  };
}

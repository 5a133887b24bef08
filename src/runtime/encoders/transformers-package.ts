import { createRequire } from 'node:module';
import { EngineError } from '../../errors.ts';

const packageName = '@huggingface/transformers';

/** A tensor of the package. */
export interface PackageTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: ArrayLike<number | bigint>;
}

/** What an image processor or feature extractor returns: tensors, and sizes of the images given. */
export type Prepared = Readonly<Record<string, PackageTensor | unknown>>;

interface LoadOptions {
  readonly local_files_only: true;
}

/** The part of the package that is used: its image processors and feature extractors. */
export interface TransformersPackage {
  readonly env: { readonly version: string; allowRemoteModels: boolean };
  readonly RawImage: new (data: Uint8Array, width: number, height: number, channels: number) => object;
  readonly AutoImageProcessor: {
    from_pretrained(
      folder: string,
      options: LoadOptions,
    ): Promise<(images: readonly object[]) => Promise<Prepared>>;
  };
  readonly AutoFeatureExtractor: {
    from_pretrained(folder: string, options: LoadOptions): Promise<(clip: Float32Array) => Promise<Prepared>>;
  };
}

const oldestVersion = 4;

/** Whether the optional package can be found: beside the program, or in a folder of NODE_PATH. */
export function findTransformers(
  require: NodeJS.Require = createRequire(import.meta.url),
): string | undefined {
  try {
    return require.resolve(packageName);
  } catch {
    return undefined;
  }
}

/**
 * Loads the optional package, which is told to download nothing.
 * @throws EngineError `ENGINE_PACKAGE_MISSING`, `ENGINE_PACKAGE_BROKEN`
 */
export function loadTransformers(): TransformersPackage {
  const require = createRequire(import.meta.url);
  const found = findTransformers(require);
  if (found === undefined) {
    throw new EngineError(
      'ENGINE_PACKAGE_MISSING',
      `Encoders of type "transformers" need the optional package ${packageName}: npm install ${packageName}`,
    );
  }
  const broken = (reason: string, options?: ErrorOptions): EngineError =>
    new EngineError(
      'ENGINE_PACKAGE_BROKEN',
      `${packageName} (${found}) cannot be used: ${reason}. Install a version of its own: npm install ${packageName}@^${oldestVersion}`,
      options,
    );
  let loaded: TransformersPackage;
  try {
    loaded = require(found) as TransformersPackage;
  } catch (error) {
    throw broken((error as Error).message, { cause: error });
  }
  const version = String(loaded.env?.version);
  if (Number.parseInt(version, 10) < oldestVersion) throw broken(`its version is ${version}`);
  loaded.env.allowRemoteModels = false;
  return loaded;
}

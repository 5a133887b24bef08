import { EngineError } from '../errors.ts';

/** One file of the Python package index, as it was when its version was chosen. */
export interface PinnedWheel {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Systems that wheels are chosen for. */
export type WheelSystem = 'linux-x64' | 'linux-arm64';

/** A package of the Python package index that an engine's native library is taken from. */
export interface WheelPackage {
  /** Its name there, in the spelling that the index's addresses have. */
  readonly project: string;
  readonly version: string;
  readonly wheels: Partial<Record<WheelSystem, PinnedWheel>>;
}

/** An engine that is one library out of a wheel. */
export interface PluginEngine extends WheelPackage {
  /** Name of the engine, as in `affectgpt engine install NAME`. */
  readonly name: string;
  /** The library's name inside the wheel. */
  readonly library: string;
  readonly describe: string;
}

/**
 * The plugins of the `xla` engine. Versions are pinned together with size and SHA-256: the program speaks the C interface
 * of exactly these, and what an index serves under the name is accepted only when it is that very file.
 */
export const pluginEngines: readonly PluginEngine[] = [
  {
    name: 'xla-cpu',
    project: 'xla-cpu-pjrt',
    version: '0.0.1',
    library: 'xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so',
    describe: 'XLA on the processor',
    wheels: {
      'linux-x64': {
        file: 'xla_cpu_pjrt-0.0.1-py3-none-manylinux_2_27_x86_64.whl',
        bytes: 63461052,
        sha256: '55837b6b7b47daa717f2d9a5a03563ea0ceaa338d06a81a1e2d3f060d960decc',
      },
      'linux-arm64': {
        file: 'xla_cpu_pjrt-0.0.1-py3-none-manylinux_2_27_aarch64.whl',
        bytes: 49514947,
        sha256: '8f613be6e891858f40d64f9799319502fff42689661944fc18a6ffd8210b30c9',
      },
    },
  },
  {
    name: 'xla-cuda12',
    project: 'jax-cuda12-pjrt',
    version: '0.10.2',
    library: 'jax_plugins/xla_cuda12/xla_cuda_plugin.so',
    describe: 'XLA on NVIDIA GPUs, CUDA 12',
    wheels: {
      'linux-x64': {
        file: 'jax_cuda12_pjrt-0.10.2-py3-none-manylinux_2_27_x86_64.whl',
        bytes: 174364763,
        sha256: '806d1fd29038b6acf5a2b289dd62192abea977ee26aef60ea295b1d28a23acf8',
      },
      'linux-arm64': {
        file: 'jax_cuda12_pjrt-0.10.2-py3-none-manylinux_2_27_aarch64.whl',
        bytes: 169847949,
        sha256: 'b6f2d66548ee1ee910a836b5fe3d0ebbe1da04a62d0f468ba4822189036a32b3',
      },
    },
  },
  {
    name: 'xla-cuda13',
    project: 'jax-cuda13-pjrt',
    version: '0.10.2',
    library: 'jax_plugins/xla_cuda13/xla_cuda_plugin.so',
    describe: 'XLA on NVIDIA GPUs, CUDA 13',
    wheels: {
      'linux-x64': {
        file: 'jax_cuda13_pjrt-0.10.2-py3-none-manylinux_2_27_x86_64.whl',
        bytes: 124395292,
        sha256: 'a97e9cabe0e21d8dbcc70bd909ca1c34cd546d3ce2d94b4cd907a8d4f6179f6a',
      },
      'linux-arm64': {
        file: 'jax_cuda13_pjrt-0.10.2-py3-none-manylinux_2_27_aarch64.whl',
        bytes: 119860632,
        sha256: 'b28f4940d09405ece084e50c91634f4bb1d43a8497b9d734f40007ee07281aec',
      },
    },
  },
];

/** The machine that a wheel has to run on. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** Version of the GNU C library; undefined where the system has another one. */
  readonly glibc: string | undefined;
}

export function thisMachine(): Machine {
  const { platform, arch } = process;
  // Looking up addresses for the report may take seconds.
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  report.excludeNetwork = true;
  const { header } = report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return { platform, arch, glibc: header.glibcVersionRuntime };
}

/**
 * The wheel of a package that runs on a machine.
 * @throws EngineError `ENGINE_PLATFORM` where there is none: another system, processor, or too old a C library
 */
export function wheelFor({ project, wheels }: WheelPackage, machine = thisMachine()): PinnedWheel {
  const { platform, arch, glibc } = machine;
  const wheel = (wheels as Record<string, PinnedWheel | undefined>)[`${platform}-${arch}`];
  if (wheel === undefined) {
    const known = Object.keys(wheels).join(' and ');
    throw new EngineError(
      'ENGINE_PLATFORM',
      `There is no ${project} for ${platform} ${arch}; there is one for ${known}. The engine onnxruntime runs here without it.`,
    );
  }
  const [, major, minor] = /manylinux_(\d+)_(\d+)/.exec(wheel.file) ?? [];
  const [ownMajor, ownMinor] = (glibc ?? '').split('.').map(Number);
  const isEnough =
    ownMajor !== undefined &&
    (ownMajor > Number(major) || (ownMajor === Number(major) && (ownMinor ?? 0) >= Number(minor)));
  if (!isEnough) {
    const found =
      glibc === undefined ? 'this system has none (is it musl, as Alpine has?)' : `here is ${glibc}`;
    throw new EngineError(
      'ENGINE_PLATFORM',
      `${project} needs the GNU C library ${major}.${minor} or newer; ${found}. Use a newer system or container.`,
    );
  }
  return wheel;
}

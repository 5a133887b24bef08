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

/** A package that an engine needs a few files of, which stay where the wheel has them. */
export interface ToolPackage extends WheelPackage {
  readonly members: readonly string[];
}

/** An engine that is one library out of a wheel, or one and those that it loads. */
export interface PluginEngine extends WheelPackage {
  /** Name of the engine, as in `affectgpt engine install NAME`. */
  readonly name: string;
  /** The library's name inside the wheel. */
  readonly library: string;
  /** Other libraries of the wheel that it loads. */
  readonly companions?: readonly string[];
  /** Wheels of others that it needs parts of. */
  readonly tools?: readonly ToolPackage[];
  readonly describe: string;
}

/** The parts of CUDA's compiler that XLA does not bring: the assembler, and a library of mathematical functions. */
const cuda12Tools: readonly ToolPackage[] = [
  {
    project: 'nvidia-cuda-nvcc-cu12',
    version: '12.9.86',
    members: ['nvidia/cuda_nvcc/bin/ptxas', 'nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc'],
    wheels: {
      'linux-x64': {
        file: 'nvidia_cuda_nvcc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
        bytes: 40546229,
        sha256: '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
      },
      'linux-arm64': {
        file: 'nvidia_cuda_nvcc_cu12-12.9.86-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl',
        bytes: 39411138,
        sha256: '44e1eca4d08926193a558d2434b1bf83d57b4d5743e0c431c0c83d51da1df62b',
      },
    },
  },
];
const cuda13Tools: readonly ToolPackage[] = [
  {
    project: 'nvidia-cuda-nvcc',
    version: '13.5.37',
    members: ['nvidia/cu13/bin/ptxas'],
    wheels: {
      'linux-x64': {
        file: 'nvidia_cuda_nvcc-13.5.37-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
        bytes: 47028279,
        sha256: 'f5c4f7ead5d964fb4af42bbf1e6d3ec3c1e6e9d83b53749f691d387e7fcaa3a7',
      },
      'linux-arm64': {
        file: 'nvidia_cuda_nvcc-13.5.37-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl',
        bytes: 40745418,
        sha256: '588eda18eb5076ae859fe272844b526459228af22df0b117f54eec3aa82bc9c8',
      },
    },
  },
  {
    project: 'nvidia-nvvm',
    version: '13.5.37',
    members: ['nvidia/cu13/nvvm/libdevice/libdevice.10.bc'],
    wheels: {
      'linux-x64': {
        file: 'nvidia_nvvm-13.5.37-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
        bytes: 75141406,
        sha256: 'c41bfa362e407405163f103c2229f0765f8cc2ed7d148b754dc77f228bf7e070',
      },
      'linux-arm64': {
        file: 'nvidia_nvvm-13.5.37-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl',
        bytes: 71213582,
        sha256: 'b659bd3115b7ac7ec8931e67d0e2c0dd09cd35b08a6a7372df6f8f22c67da80a',
      },
    },
  },
];

/**
 * The plugins of the `xla` engine, and OpenVINO. Versions are pinned together with size and SHA-256: the program speaks the C interface
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
    tools: cuda12Tools,
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
    tools: cuda13Tools,
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
  {
    name: 'openvino',
    project: 'openvino',
    version: '2026.4.1',
    library: 'openvino/libs/libopenvino_c.so.2641',
    companions: [
      'openvino/libs/libopenvino.so.2641',
      'openvino/libs/libopenvino_intel_cpu_plugin.so',
      'openvino/libs/libopenvino_onnx_frontend.so.2641',
      'openvino/libs/libtbb.so.12',
      'openvino/libs/libtbbmalloc.so.2',
      'openvino/libs/libtbbbind_2_5.so.3',
      'openvino/libs/libhwloc.so.15',
    ],
    describe: 'OpenVINO on the processor, in bf16 where it has that',
    // Nothing of it depends on the version of Python that the wheel is for.
    wheels: {
      'linux-x64': {
        file: 'openvino-2026.4.1-22982-cp312-cp312-manylinux_2_28_x86_64.whl',
        bytes: 59144434,
        sha256: '6b4375c17ddcac83a5180349e2e2bb811185c261066e2a920659892d58ef0e3b',
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

function thisMachine(): Machine {
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

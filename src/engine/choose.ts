import { existsSync } from 'node:fs';
import { type FoundEngine, findInstalledEngine } from './install-folder.ts';

/** What `engine.type: auto` comes to on this machine. */
export interface EngineChoice {
  readonly type: 'onnxruntime';
  /** Why, for people. */
  readonly reason: string;
}

export interface Surroundings {
  /** Whether the driver of NVIDIA's GPUs is running. */
  readonly hasGpuDriver: boolean;
  readonly installed: (name: string) => FoundEngine | undefined;
}

/** The device file that NVIDIA's driver makes on Linux. */
export const driverFile = '/dev/nvidiactl';

/**
 * What `auto` takes: `onnxruntime`, which every installation has and which is the fastest on processors. A GPU is used
 * where it is asked for: `xla` has not been run on one yet, and nobody should be the first without knowing.
 */
export function chooseEngine(
  { hasGpuDriver, installed }: Surroundings = {
    hasGpuDriver: existsSync(driverFile),
    installed: findInstalledEngine,
  },
): EngineChoice {
  const reason = 'the fastest on processors';
  if (!hasGpuDriver) return { type: 'onnxruntime', reason };
  const plugin = installed('xla-cuda13') ?? installed('xla-cuda12');
  const way =
    plugin === undefined
      ? 'affectgpt engine install xla-cuda12 or xla-cuda13, then engine.type: xla'
      : `${plugin.name} ${plugin.version} is installed: engine.type: xla`;
  return { type: 'onnxruntime', reason: `${reason}; for the GPU of this machine, untested so far, ${way}` };
}

import { existsSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../../errors.ts';
import { findInstalledEngine } from '../install-folder.ts';

/** Names OpenVINO's C library; comes before what is installed. */
export const openvinoVariable = 'AFFECTGPT_OPENVINO';

type Environment = Readonly<Record<string, string | undefined>>;

/** Path of OpenVINO's C library; undefined where there is none. */
export function locateOpenvino(environment: Environment = process.env): string | undefined {
  const named = environment[openvinoVariable];
  return named ? path.resolve(named) : findInstalledEngine('openvino', environment)?.libraryPath;
}

/**
 * Path of OpenVINO's C library: the one that the environment names, else the one installed.
 * @throws EngineError `ENGINE_PLUGIN_MISSING`
 */
export function findOpenvino(environment: Environment = process.env): string {
  const found = locateOpenvino(environment);
  if (found !== undefined && existsSync(found)) return found;
  throw new EngineError(
    'ENGINE_PLUGIN_MISSING',
    found === undefined
      ? 'The engine "openvino" is not installed. Run: affectgpt engine install openvino'
      : `${openvinoVariable} names ${found}, which does not exist.`,
  );
}

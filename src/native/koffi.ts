import { createRequire } from 'node:module';
import { EngineError } from '../errors.ts';

export type Koffi = typeof import('koffi');

/** Of the stacks that koffi gives to calls: compilers need more than its default. */
const stackBytes = 16 * 2 ** 20;

let loaded: Koffi | undefined;

/**
 * The optional package that calls native libraries.
 *
 * @param user what needs it, as messages begin: `The engine "xla" calls its library`
 * @param code of the error where it is missing
 * @throws EngineError `ENGINE_PACKAGE_MISSING`, or the code given
 */
export function loadKoffi(user: string, code = 'ENGINE_PACKAGE_MISSING'): Koffi {
  if (loaded !== undefined) return loaded;
  try {
    loaded = createRequire(import.meta.url)('koffi') as Koffi;
  } catch (error) {
    throw new EngineError(
      code,
      `${user} through the optional package koffi, which is not installed or does not load on this machine: npm install koffi`,
      { cause: error },
    );
  }
  // Only possible before it has loaded the first library.
  loaded.config({ sync_stack_size: stackBytes, async_stack_size: stackBytes });
  return loaded;
}

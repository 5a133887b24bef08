import { PickleMachine, type Unpickled, type UnpickleOptions } from './pickle/machine.ts';

export type { PickleKind, Unpickled, UnpickleOptions } from './pickle/machine.ts';
export { numpyKind, PickledArray } from './pickle/numpy.ts';
export type { PickleGlobal, PickleGlobals, PickleObject, PickleValue } from './pickle/values.ts';

/**
 * Reads one pickle (protocols 0 to 5) without running anything: a name in it only ever selects one of the constructors
 * of ours that the kind of file allows.
 *
 * @throws InputError with the file and the byte: `PICKLE_FORBIDDEN` (a global outside the allow-list, or a call or state
 *   that is not one's own), `PICKLE_OPCODE`, `PICKLE_PERSISTENT_ID`, `PICKLE_TRUNCATED`, `PICKLE_INVALID`, `PICKLE_LIMIT`
 */
export function unpickle(bytes: Uint8Array, options: UnpickleOptions): Unpickled {
  return new PickleMachine(bytes, options).run();
}

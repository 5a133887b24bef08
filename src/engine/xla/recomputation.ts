import { bytesOnDevice, type CompiledMemory } from './program.ts';

/** Whether layers are computed again for the backward pass: as memory demands, in any case, or not at all. */
export type RecomputeSetting = 'auto' | 'always' | 'never';

/** What a device leaves to programs: some is lost between blocks, some is other programs' inputs. */
const usableShare = 0.95;

/**
 * Whether a program that keeps everything has to give way to one that recomputes.
 *
 * @param plain what the compiler says of the program that keeps everything; undefined where it does not tell
 * @param limit bytes that the device gives to programs; undefined where it does not tell, as processors do not
 */
export const exceedsMemory = (plain: CompiledMemory | undefined, limit: number | undefined): boolean =>
  plain !== undefined && limit !== undefined && bytesOnDevice(plain) > usableShare * limit;

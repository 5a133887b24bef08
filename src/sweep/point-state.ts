import { readRunStatus } from '../../train/run-status.ts';
import { InputError } from '../errors.ts';
import { type Attempt, readAttempts } from './attempts.ts';
import type { SweepPoint } from './load.ts';

/** How a point stands, by what is on the disk alone. */
export interface PointState {
  /**
   * `pending` was never tried; `running` is worked on by a process that is there; `killed` ended without a word, and
   * `stopped` on a signal after saving: both go on from their checkpoint.
   */
  readonly state: 'pending' | 'running' | 'done' | 'failed' | 'stopped' | 'killed';
  readonly attempts: readonly Attempt[];
  /** Why it failed. */
  readonly error?: { readonly code: string; readonly message: string };
  /** Steps done, as far as the run has said. */
  readonly step: number | null;
}

/** The last attempt; 0 where there was none. */
export const lastAttempt = ({ attempts }: PointState): number => attempts.at(-1)?.number ?? 0;

/** Looks at the folder of a point. */
export async function pointState({ folder }: Pick<SweepPoint, 'folder'>): Promise<PointState> {
  const attempts = await readAttempts(folder);
  const last = attempts.at(-1);
  // A damaged status says nothing; the attempts do.
  const status = await readRunStatus(folder).catch((error: unknown) => {
    if (error instanceof InputError) return undefined;
    throw error;
  });
  const step = status?.step ?? null;
  if (last === undefined) return { state: 'pending', attempts, step };
  if (last.end !== undefined) {
    const { state, error } = last.end;
    return { state, attempts, step, ...(error && { error }) };
  }
  return { state: last.isAlive ? 'running' : 'killed', attempts, step };
}

import { setTimeout as timer } from 'node:timers/promises';
import { InputError } from '../errors.ts';
import { type RetryPolicy, TransientFailure } from '../io/retries.ts';

export interface Patience {
  readonly policy: RetryPolicy;
  readonly random: () => number;
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Told before each attempt but the first. */
  readonly retrying: (message: string) => void;
}

/** Ends early, and without an error, where the signal is aborted. */
export const sleepUnlessAborted = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  timer(milliseconds, undefined, { signal }).catch(() => undefined);

/**
 * Repeats what fails for a passing reason. Waits double, and vary between half of their length and all of it so that many
 * clients do not come back at once; a server that names a time is given that, and a little more.
 *
 * @throws InputError what the last failure means; the reason of the signal
 */
export async function withPatience<T>(
  { policy, random, sleep, retrying }: Patience,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  const { firstWait, longestWait } = policy;
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (failure) {
      if (!(failure instanceof TransientFailure)) throw failure;
      const { error, retryAfter } = failure;
      const attempts = Math.min(policy.attempts, failure.attempts ?? policy.attempts);
      if (failures >= attempts) {
        const times = failures === 1 ? 'one attempt' : `${failures} attempts`;
        throw new InputError(error.code, `${error.message} Given up after ${times}.`);
      }
      if (retryAfter !== undefined && retryAfter > longestWait) {
        throw new InputError(
          error.code,
          `${error.message} It asks to wait ${Math.ceil(retryAfter / 1000)} s: try again then.`,
        );
      }
      const wait =
        retryAfter === undefined
          ? Math.min(firstWait * 2 ** (failures - 1), longestWait) * (0.5 + random() / 2)
          : retryAfter + firstWait * random();
      retrying(
        `${error.message} Trying again in ${Math.ceil(wait / 1000)} s (attempt ${failures + 1} of ${attempts}).`,
      );
      await sleep(wait, signal);
      signal.throwIfAborted();
    }
  }
}

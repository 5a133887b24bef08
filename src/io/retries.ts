import type { InputError } from '../errors.ts';

/** How often, and how patiently, something is tried again. */
export interface RetryPolicy {
  /** Attempts in a row without progress. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; doubled for each one after it. */
  readonly firstWait: number;
  /** A server that asks for more milliseconds than this ends the attempts. */
  readonly longestWait: number;
}

export const defaultRetryPolicy: RetryPolicy = { attempts: 6, firstWait: 1000, longestWait: 300_000 };

/** A failure that another attempt may mend. What it becomes when all attempts are used up is `error`. */
export class TransientFailure extends Error {
  readonly error: InputError;
  /** As the server asked, in milliseconds. */
  readonly retryAfter: number | undefined;
  /** Attempts in a row after which it is what it is; as many as the policy has where absent. */
  readonly attempts: number | undefined;

  constructor(error: InputError, retryAfter?: number, attempts?: number) {
    super(error.message, { cause: error });
    this.error = error;
    this.retryAfter = retryAfter;
    this.attempts = attempts;
  }
}

/** Codes of a certificate that is not accepted, in Node's TLS. */
const certificateRefused = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY_LEAF/;

/**
 * How often a connection that failed is worth an attempt: twice where its host has no address, once where the certificate
 * or the address itself is refused; undefined where waiting may well help.
 *
 * @param cause what `fetch` gives as the cause of its error
 */
export function attemptsWorth(cause: Error): number | undefined {
  const code = 'code' in cause ? String(cause.code) : '';
  if (code === 'ENOTFOUND') return 2;
  // The latter is what fetch says of ports that it never connects to.
  return certificateRefused.test(code) || cause.message === 'bad port' ? 1 : undefined;
}

/** `Retry-After` (seconds or a date) or the hub's `RateLimit: "api";r=0;t=55`, in milliseconds. */
export function retryAfter(headers: Headers, now = Date.now()): number | undefined {
  const value = headers.get('retry-after')?.trim();
  if (value !== undefined && /^\d+$/.test(value)) return Number(value) * 1000;
  const date = value === undefined ? Number.NaN : Date.parse(value);
  if (!Number.isNaN(date)) return Math.max(0, date - now);
  const seconds = /;\s*t\s*=\s*(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

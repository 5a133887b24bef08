import { z } from 'zod';

/**
 * A whole number. Not `z.int()`, which ends validation at once: the rules between keys would not be checked then.
 */
export const whole = () => z.number().multipleOf(1);

/** A whole number from 1. */
export const count = () => whole().min(1);

/** A text that is not empty. */
export const text = () => z.string().min(1);

/** What decides random draws: 32 bits. */
export const seed = () => whole().min(0).max(0xffffffff);

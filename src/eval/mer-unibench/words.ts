import { pythonStrip } from '../../data/python-strip.ts';

/** A word as the tables hold it: lower case, without white space around it (`word.lower().strip()` in Python). */
export function normalizeWord(word: string): string {
  return pythonStrip(word.toLowerCase());
}

/**
 * Orders strings by code points, as Python sorts them; JavaScript's own order is by UTF-16 units and differs beyond
 * U+FFFF.
 */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all others. */
const rank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);

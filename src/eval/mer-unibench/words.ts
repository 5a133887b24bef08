/** White space as Python's `str.strip` sees it: with the separators 0x1c to 0x1f and 0x85, without U+FEFF. */
const space = '[\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+';
const outerSpace = new RegExp(`^${space}|${space}$`, 'g');

/** A word as the tables hold it: lower case, without white space around it (`word.lower().strip()` in Python). */
export function normalizeWord(word: string): string {
  return word.toLowerCase().replace(outerSpace, '');
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

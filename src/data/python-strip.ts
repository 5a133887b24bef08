/** White space as Python sees it: with the separators 0x1c to 0x1f and 0x85, without U+FEFF. */
const space = '[\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+';
const outerSpace = new RegExp(`^${space}|${space}$`, 'g');

/** A text without white space around it, as Python's `str.strip`. */
export const pythonStrip = (text: string): string => text.replace(outerSpace, '');

const macRoman = new TextDecoder('macintosh');
/** What bytes 0x80 to 0x9F are in Windows-1252; five of them are nothing. Not by TextDecoder: some versions of Node.js read Latin-1. */
const windows1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

/** Bytes 0x80 to 0xBF by the sign that Mac Roman has for each: what may follow the first byte of two in UTF-8. */
const continuations = new Map(
  Array.from({ length: 64 }, (_, index) => [macRoman.decode(Uint8Array.of(0x80 + index)), 0x80 + index]),
);
/** In Mac Roman `¬` is 0xC2 and `√` is 0xC3, with which UTF-8 begins U+0080 to U+00FF. */
const misread = new RegExp(`[¬√][${[...continuations.keys()].join('')}]`, 'gu');

/**
 * Mends text that was UTF-8 and was read as Mac Roman, so that an apostrophe became `¬í` and `é` became `√©`. It undoes
 * that step for U+0080 to U+00FF, and then the one before it: codes U+0080 to U+009F, which no text has, were bytes of
 * Windows-1252 (`’` is its 0x92). All else stays as it is.
 */
export function mendMacRoman(text: string): string {
  return text
    .replace(misread, ([lead, sign]) =>
      String.fromCharCode(continuations.get(sign!)! + (lead === '√' ? 0x40 : 0)),
    )
    .replace(/[\u0080-\u009f]/g, (control) => windows1252[control.charCodeAt(0) - 0x80]!);
}

/** UTF-8 (a leading byte order mark goes) where all bytes are UTF-8, and Mac Roman otherwise; then mended. */
export function decodeMacRomanOrUtf8(bytes: Uint8Array): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    text = macRoman.decode(bytes);
  }
  return mendMacRoman(text);
}

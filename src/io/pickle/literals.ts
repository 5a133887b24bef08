/** The two kinds of text of protocol 0, which is written in escapes. */

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  n: '\n',
  r: '\r',
  t: '\t',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
};

/**
 * The bytes of a quoted Python 2 string as its `repr` writes it (opcode STRING), each a character of the result;
 * undefined where it is none.
 */
export function stringLiteral(text: string): string | undefined {
  const body = /^(['"])(.*)\1$/s.exec(text.trim())?.[2];
  if (body === undefined) return undefined;
  let valid = true;
  const decoded = body.replaceAll(/\\(x[0-9a-fA-F]{2}|[\s\S]|$)/g, (_, escaped: string) => {
    if (escaped.length === 3) return String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    const plain = escapes[escaped];
    valid &&= plain !== undefined;
    return plain ?? '';
  });
  return valid ? decoded : undefined;
}

/**
 * Text in Python's raw-unicode-escape (opcode UNICODE): Latin-1 with `\uXXXX` and `\UXXXXXXXX`; undefined where an
 * escape is beyond Unicode.
 */
export function unicodeLiteral(text: string): string | undefined {
  let valid = true;
  const decoded = text.replaceAll(/\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g, (_, short, long) => {
    const code = Number.parseInt(short ?? long, 16);
    valid &&= code <= 0x10ffff;
    return valid ? String.fromCodePoint(code) : '';
  });
  return valid ? decoded : undefined;
}

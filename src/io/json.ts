/** Anything that `JSON.parse` may return. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

/** A JSON object, not an array and not null. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Where a string ends that begins just before `from`: at the first quote after an even number of backslashes. */
function closingQuote(text: string, from: number): number {
  for (let quote = text.indexOf('"', from); ; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return quote;
  }
}

/**
 * The first key that occurs twice in one object of a JSON text, at any depth; `JSON.parse` keeps the last one
 * without a word.
 *
 * @param text a text that `JSON.parse` accepts
 */
export function findDuplicateKey(text: string): string | undefined {
  const scopes: (Set<string> | undefined)[] = [];
  const isKey = /[\t\n\r ]*:/y;
  let position = 0;
  while (position < text.length) {
    const character = text[position];
    if (character === '{') {
      scopes.push(new Set());
    } else if (character === '[') {
      scopes.push(undefined);
    } else if (character === '}' || character === ']') {
      scopes.pop();
    } else if (character === '"') {
      const start = position;
      position = closingQuote(text, start + 1);
      isKey.lastIndex = position + 1;
      const scope = scopes.at(-1);
      if (scope !== undefined && isKey.test(text)) {
        const key: string = JSON.parse(text.slice(start, position + 1));
        if (scope.has(key)) {
          return key;
        }
        scope.add(key);
      }
    }
    position++;
  }
  return undefined;
}

/** Anything that `JSON.parse` may return. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

/** A JSON object, not an array and not null. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
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
      position++;
      while (text[position] !== '"') {
        position += text[position] === '\\' ? 2 : 1;
      }
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

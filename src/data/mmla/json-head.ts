import { isJsonObject } from '../../io/json.ts';

/** Objects looked at. */
const objectsRead = 20;

function parsed(text: string): Record<string, unknown>[] {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? [value] : [];
  } catch {
    return [];
  }
}

/** The first objects of a JSONL file of which only the beginning may be there; broken lines are passed over. */
export function firstLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n', objectsRead)
    .filter((line) => line.startsWith('{'))
    .flatMap(parsed);
}

/** The first objects of a JSON array of which only the beginning may be there. */
export function firstEntries(text: string): Record<string, unknown>[] {
  if (!/^\s*\[/.test(text)) return [];
  const entries: Record<string, unknown>[] = [];
  let depth = 0;
  let begin = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}]/gs)) {
    if (token === '{' && depth++ === 0) begin = index;
    if (token === '}' && --depth === 0) entries.push(...parsed(text.slice(begin, index + 1)));
    if (entries.length === objectsRead) break;
  }
  return entries;
}

import { sha256 } from '../io/checksum.ts';

/** Longest name of a point; file systems take 255 bytes, and files beside it have endings. */
const longestId = 160;
/** Longest part that stands for one value. */
const longestValue = 48;

const shortHash = (text: string): string => sha256(text).slice(0, 6);

/** A value as people write it: text as it is, else JSON. */
export const valueText = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');

/**
 * A value as part of a file name. One that has other signs than letters, digits, `.`, `_` and `-`, or is long, gets a
 * short hash, so that different values never look the same.
 */
function valueSlug(value: unknown): string {
  const text = valueText(value);
  const slug = text.replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, longestValue);
  return slug === text ? slug : `${slug}~${shortHash(text)}`;
}

/**
 * The name of a point: `key=value` of every column in alphabetical order, joined by commas. It depends on the values
 * alone, not on what else is in the sweep.
 */
export function pointId(cells: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(cells)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([column, value]) => `${column.replaceAll(/[^A-Za-z0-9._-]+/g, '-')}=${valueSlug(value)}`);
  const id = parts.join(',');
  if (id === '') return 'base';
  return id.length <= longestId ? id : `${id.slice(0, longestId - 8)}~${shortHash(id)}`;
}

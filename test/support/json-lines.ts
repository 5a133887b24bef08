import { readFile } from 'node:fs/promises';

export { jsonLines } from '../../src/io/jsonl.ts';

/** What the lines of a JSON Lines text hold. */
export const parseLines = <Line = Record<string, unknown>>(text: string): Line[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

/** Lines of a JSON Lines file. */
export const readLines = async <Line = Record<string, unknown>>(file: string): Promise<Line[]> =>
  parseLines(await readFile(file, 'utf8'));

import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { jsonLines, parseLines } from '../support/json-lines.ts';
import { type GoldenResult, type GoldenRun, type GoldenStep, goldenName } from './runs.ts';

/** `<config>.<engine>.jsonl` beside this file: what was run, a line a step, and the weights at the end. */
const goldenFile = (run: GoldenRun): string =>
  fileURLToPath(new URL(`${goldenName(run)}.jsonl`, import.meta.url));

/** The stored numbers of a run; undefined where there are none yet. */
export async function readGolden(run: GoldenRun): Promise<GoldenResult | undefined> {
  const text = await readFile(goldenFile(run), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const [, ...lines] = parseLines<unknown>(text);
  const { weights } = lines.pop() as Pick<GoldenResult, 'weights'>;
  return { steps: lines as GoldenStep[], weights };
}

export async function writeGolden(run: GoldenRun, { steps, weights }: GoldenResult): Promise<void> {
  // For whoever wonders about a difference; nothing compares it.
  const head = { ...run, processor: cpus()[0]?.model ?? process.arch };
  await writeFile(goldenFile(run), jsonLines([head, ...steps, { weights }]));
}

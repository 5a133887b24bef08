import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { isUnfinishedName } from '../../src/io/atomic.ts';
import { sha256File } from '../../src/io/checksum.ts';
import { readEventFile } from '../../src/io/tensorboard.ts';
import { verifyChecksums } from '../../train/checkpoint-checksums.ts';
import { listCheckpoints } from '../../train/checkpoint-folders.ts';
import { readLines } from '../support/json-lines.ts';
import type { TraceLine } from './fault.ts';
import type { Place } from './lives.ts';

/** What clock and memory say differs between two runs that are otherwise the same. */
const isOfMachine = (key: string): boolean => /second|mfu|rss/i.test(key);

/** JSON without such values; that they are there is compared. */
const withoutMachine = (value: unknown): string =>
  JSON.stringify(value, (key, member: unknown) => (isOfMachine(key) ? 'of the machine' : member));

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

/** What a completed run is compared by: parts of text, equal in equal runs. */
export type Evidence = ReadonlyMap<string, string>;

/** Scalars of the one event file of a run. */
async function readEvents(runFolder: string): Promise<string> {
  const names = (await readdir(runFolder)).filter((name) => name.startsWith('events.out.'));
  if (names.length !== 1) return `${names.length} event files`;
  const events = await readEventFile(join(runFolder, names[0]!));
  return JSON.stringify(
    events
      .flatMap(({ step, scalars }) =>
        scalars.map(({ tag, value }) => `${step} ${tag} ${isOfMachine(tag) ? '' : value}`),
      )
      .sort(),
  );
}

/** Lines of the log that do not begin with a time. */
async function tornLogLines(runFolder: string): Promise<string> {
  const text = await readFile(join(runFolder, 'log.txt'), 'utf8');
  const torn = text
    .trimEnd()
    .split('\n')
    .filter((line) => !/^\d{4}-\d\d-\d\dT[\d:.]+Z (?!.*\d{4}-\d\d-\d\dT\d\d:)/.test(line));
  return torn.map((line) => `torn line: ${line}`).join('\n');
}

/** Looks at everything that a completed run left. */
export async function gatherEvidence({ home, runFolder, cache }: Place): Promise<Evidence> {
  const evidence = new Map<string, string>();
  const own = async (name: string) => (await readFile(join(runFolder, name), 'utf8')).replaceAll(home, '');
  for (const line of await readLines(join(runFolder, 'metrics.jsonl'))) {
    const key = `metrics of step ${line.step}`;
    evidence.set(key, (evidence.get(key) ?? '') + withoutMachine(line));
  }
  evidence.set('events', await readEvents(runFolder));
  evidence.set('log.txt', await tornLogLines(runFolder));
  for (const name of ['config.yaml', 'samples.json', 'checkpoints/latest'])
    evidence.set(name, await own(name));
  const checkpoints = await listCheckpoints(runFolder);
  evidence.set('checkpoints', checkpoints.map(({ step }) => step).join());
  for (const { folder, step } of checkpoints.slice(-1)) {
    const names = await filesIn(folder);
    const saved = names.filter((name) => name !== 'checksums.json');
    // The list itself holds the checksum of a file with a time in it.
    await verifyChecksums(folder, { required: saved, optional: [] });
    evidence.set(`files of checkpoint ${step}`, names.join());
    for (const name of saved.filter((name) => name !== 'state.json'))
      evidence.set(`checkpoint ${step}, ${name}`, await sha256File(join(folder, name)));
    const state = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8')) as unknown;
    evidence.set(`checkpoint ${step}, state.json`, withoutMachine(state));
  }
  for (const name of (await filesIn(cache)).filter((name) => !isUnfinishedName(name.split('/').at(-1)!)))
    evidence.set(`feature cache, ${name.slice(0, 11)}`, await sha256File(join(cache, name)));
  const names = await readdir(home, { recursive: true });
  const leftovers = names.filter((name) => isUnfinishedName(name.split('/').at(-1)!));
  evidence.set('unfinished files', leftovers.join());
  return evidence;
}

/** What differs, a line each. */
export function differences(reference: Evidence, found: Evidence): string[] {
  const shown = (text: string | undefined) =>
    text === undefined
      ? 'nothing'
      : text.length <= 120
        ? `"${text}"`
        : createHash('sha1').update(text).digest('hex').slice(0, 10);
  return [...new Set([...reference.keys(), ...found.keys()])]
    .filter((key) => reference.get(key) !== found.get(key))
    .map((key) => `${key}: ${shown(reference.get(key))} became ${shown(found.get(key))}`);
}

/** The micro-batches of each step as the uninterrupted run made them. */
export type Batches = ReadonlyMap<string, string>;

const batchKey = (line: TraceLine & { event: 'batch' }): string =>
  `step ${line.step}, epoch ${line.epoch}, samples ${line.names.join(' ')}`;

const batchLines = (trace: readonly TraceLine[]) => trace.filter((line) => line.event === 'batch');

/** What the lives of a run computed on, micro-batch by micro-batch. */
export function batchesOf(trace: readonly TraceLine[]): Batches {
  return new Map(batchLines(trace).map((line) => [batchKey(line), line.hash]));
}

/**
 * Whether all that was ever computed on is what the uninterrupted run computed on in that step: the same samples in
 * the same order, the same tokens, features and dropout keys; and whether no step was left out.
 */
export function batchDifferences(
  reference: Batches,
  lives: readonly (readonly TraceLine[])[],
  steps: number,
): string[] {
  const found: string[] = [];
  const done = new Set<number>();
  for (const [index, trace] of lives.entries()) {
    for (const line of batchLines(trace)) {
      const expected = reference.get(batchKey(line));
      if (expected === undefined) found.push(`life ${index + 1} made ${batchKey(line)}: no such batch`);
      else if (expected !== line.hash) found.push(`life ${index + 1}, ${batchKey(line)}: other tensors`);
    }
    let previous: number | undefined;
    for (const line of trace) {
      if (line.event === 'end') done.add(line.step);
      if (line.event !== 'begin') continue;
      const { step } = line;
      if (previous !== undefined && step !== previous + 1) {
        found.push(`step ${step} follows step ${previous}`);
      }
      previous = step;
    }
  }
  const missing = Array.from({ length: steps }, (_, i) => i + 1).filter((step) => !done.has(step));
  if (missing.length > 0) found.push(`steps that were never computed: ${missing.join(', ')}`);
  return found;
}

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../src/errors.ts';
import { writeFileAtomic } from '../src/io/atomic.ts';
import { dropTornLine, jsonLines, readJsonl } from '../src/io/jsonl.ts';
import { EventFileWriter, readEventFile } from '../src/io/tensorboard.ts';

/** A line of `metrics.jsonl`. */
export interface MetricsLine {
  readonly step: number;
  /** Mean over the supervised tokens of this step. */
  readonly loss: number;
  readonly lr: number;
  /** Of this step, before clipping. */
  readonly gradNorm: number;
  /** Since the run began, without padding. */
  readonly tokens: number;
  /** Since the line before, or since the run was started or resumed. */
  readonly tokensPerSecond: number;
  /** Since the run began. */
  readonly samples: number;
  /** Spent in steps since the run began. */
  readonly seconds: number;
}

const keys = ['step', 'loss', 'lr', 'gradNorm', 'tokens', 'tokensPerSecond', 'samples', 'seconds'] as const;

export const metricsName = 'metrics.jsonl';

/** A line of metrics from parsed JSON. @throws InputError `METRICS_INVALID` */
function parseLine(value: Readonly<Record<string, unknown>>, where: string): MetricsLine {
  const wrong = keys.filter((key) => typeof value[key] !== 'number');
  if (wrong.length > 0) {
    throw new InputError(
      'METRICS_INVALID',
      `${where} is not a line of metrics: it has no number for ${wrong.join(', ')}. Remove the line, or move the file away.`,
    );
  }
  return value as unknown as MetricsLine;
}

/**
 * Takes the lines after a step out of a `metrics.jsonl`, atomically, so that a run that goes on from there writes no
 * step twice. A last line that a killed process left torn goes too, and so does whatever a power cut left in the place of
 * lines after that step, as only those up to it were forced to the disk.
 *
 * @returns the lines that stay; none where there is no file
 * @throws InputError `METRICS_INVALID`, and those of `readJsonl`
 */
export async function cutMetrics(path: string, step: number): Promise<MetricsLine[]> {
  await dropTornLine(path);
  const kept: MetricsLine[] = [];
  let removed = 0;
  let fault: InputError | undefined;
  try {
    const onBadRow = (_: number, error: InputError) => {
      fault ??= error;
    };
    for await (const { row, value } of readJsonl(path, { onBadRow })) {
      const line = parseLine(value, `${path}, row ${row}`);
      if (line.step > step) removed++;
      else if (fault === undefined) kept.push(line);
      else throw fault;
    }
    if (fault !== undefined) {
      if ((kept.at(-1)?.step ?? 0) < step) throw fault;
      removed++;
    }
  } catch (error) {
    if (error instanceof InputError && error.code === 'FILE_NOT_FOUND') return [];
    throw error;
  }
  if (removed > 0) await writeFileAtomic(path, jsonLines(kept));
  return kept;
}

const tags = {
  loss: 'train/loss',
  lr: 'train/lr',
  gradNorm: 'train/grad_norm',
  tokensPerSecond: 'train/tokens_per_second',
} as const;

const ownTags: ReadonlySet<string> = new Set(Object.values(tags));

/** @param wallTime seconds since 1970 */
export async function writeEvents(
  events: EventFileWriter,
  line: MetricsLine,
  wallTime?: number,
): Promise<void> {
  for (const [key, tag] of Object.entries(tags)) {
    await events.scalar(tag, line[key as keyof typeof tags], line.step, wallTime);
  }
}

interface Scalar {
  readonly step: number;
  readonly tag: string;
  readonly value: number;
}

/** What former event files hold beyond the lines of metrics, in the order of the steps. */
async function otherScalars(paths: readonly string[]): Promise<Scalar[]> {
  const found = new Map<string, Scalar>();
  for (const path of paths) {
    // A killed process may have torn its last event.
    for (const event of await readEventFile(path, { damaged: 'end' })) {
      for (const { tag, value } of event.scalars) {
        // Two files hold the same where a process was killed that had not yet removed the first.
        if (!ownTags.has(tag)) found.set(`${event.step} ${tag}`, { step: event.step, tag, value });
      }
    }
  }
  return [...found.values()].sort((a, b) => a.step - b.step);
}

/**
 * Starts the event file of a run that begins or goes on. TensorBoard shows every file of the folder: the former files,
 * which may hold steps that will be done again, make way for one with the steps that stand.
 *
 * @param history lines of `metrics.jsonl`
 * @param step where the run stands; what other scalars (memory, validation) former files have is kept up to it
 */
export async function openEvents(
  folder: string,
  history: readonly MetricsLine[],
  step: number,
): Promise<EventFileWriter> {
  const names = (await readdir(folder)).filter((name) => name.startsWith('events.out.tfevents.'));
  const former = names.map((name) => join(folder, name));
  const others = await otherScalars(former);
  const events = await EventFileWriter.open(folder);
  const now = Date.now() / 1000;
  const spent = history.at(-1)?.seconds ?? 0;
  // As if the run had not been interrupted: the time axis shows time spent in steps.
  let time = now - spent;
  const writeOthers = async (until: number): Promise<void> => {
    while (others.length > 0 && others[0]!.step <= until) {
      const { tag, value, step: at } = others.shift()!;
      await events.scalar(tag, value, at, time);
    }
  };
  for (const line of history) {
    await writeOthers(line.step - 1);
    time = now - (spent - line.seconds);
    await writeEvents(events, line, time);
    await writeOthers(line.step);
  }
  await writeOthers(step);
  for (const path of former) await rm(path, { force: true });
  return events;
}

/** Lines of a `metrics.jsonl` that can be read, and what is wrong with the others. */
export interface ReadMetrics {
  readonly lines: readonly MetricsLine[];
  readonly faults: readonly string[];
}

/**
 * Reads a `metrics.jsonl` to show it, nothing being changed: a torn or damaged line is passed over and told.
 * A file that is not there has no lines.
 *
 * @throws InputError those of `fileError`
 */
export async function readMetrics(path: string): Promise<ReadMetrics> {
  const lines: MetricsLine[] = [];
  const faults: string[] = [];
  try {
    for await (const { row, value } of readJsonl(path, {
      onBadRow: (_, error) => faults.push(error.message),
    })) {
      try {
        lines.push(parseLine(value, `${path}, row ${row}`));
      } catch (error) {
        faults.push((error as Error).message);
      }
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    if (error.code !== 'FILE_NOT_FOUND') faults.push(error.message);
  }
  return { lines, faults };
}

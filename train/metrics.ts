import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../src/errors.ts';
import { writeFileAtomic } from '../src/io/atomic.ts';
import { dropTornLine, readJsonl } from '../src/io/jsonl.ts';
import { EventFileWriter } from '../src/io/tensorboard.ts';

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
 * step twice. A last line that a killed process left torn goes too.
 *
 * @returns the lines that stay; none where there is no file
 * @throws InputError `METRICS_INVALID`, and those of `readJsonl`
 */
export async function cutMetrics(path: string, step: number): Promise<MetricsLine[]> {
  await dropTornLine(path);
  const kept: MetricsLine[] = [];
  let removed = 0;
  try {
    for await (const { row, value } of readJsonl(path)) {
      const line = parseLine(value, `${path}, row ${row}`);
      if (line.step <= step) kept.push(line);
      else removed++;
    }
  } catch (error) {
    if (error instanceof InputError && error.code === 'FILE_NOT_FOUND') return [];
    throw error;
  }
  if (removed > 0) await writeFileAtomic(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return kept;
}

const tags = {
  loss: 'train/loss',
  lr: 'train/lr',
  gradNorm: 'train/grad_norm',
  tokensPerSecond: 'train/tokens_per_second',
} as const;

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

/**
 * Starts the event file of a run that begins or goes on. TensorBoard shows every file of the folder: the former files,
 * which may hold steps that will be done again, make way for one with the steps that stand in `history`.
 *
 * @param history lines of `metrics.jsonl`
 */
export async function openEvents(folder: string, history: readonly MetricsLine[]): Promise<EventFileWriter> {
  const former = (await readdir(folder)).filter((name) => name.startsWith('events.out.tfevents.'));
  const events = await EventFileWriter.open(folder);
  const now = Date.now() / 1000;
  const spent = history.at(-1)?.seconds ?? 0;
  // As if the run had not been interrupted: the time axis shows time spent in steps.
  for (const line of history) await writeEvents(events, line, now - (spent - line.seconds));
  for (const name of former) await rm(join(folder, name), { force: true });
  return events;
}

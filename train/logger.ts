import { join } from 'node:path';
import { AppendFile } from '../src/io/append-file.ts';
import { makeFolder } from '../src/io/atomic.ts';
import { fileError } from '../src/io/filesystem.ts';
import { dropTornLine, JsonlWriter } from '../src/io/jsonl.ts';
import type { EventFileWriter } from '../src/io/tensorboard.ts';
import { cutMetrics, type MetricsLine, metricsName, openEvents, writeEvents } from './metrics.ts';
import {
  formatProgress,
  type MemoryUse,
  type OutputStream,
  ProgressDisplay,
  type ProgressState,
} from './progress.ts';

/** What the loop tells of a step. */
export interface StepRecord {
  /** From 1. */
  readonly step: number;
  /** From 1. */
  readonly epoch: number;
  /** The samples of the step in their order, all micro-batches together. */
  readonly names: readonly string[];
  /** Mean over the supervised tokens of the step. */
  readonly loss: number;
  readonly lr: number;
  /** Before clipping. */
  readonly gradNorm: number;
  /** Of this step, without padding. */
  readonly tokens: number;
  readonly supervisedTokens: number;
  /** Of this step, loading included. */
  readonly seconds: number;
  /** Floating-point operations of this step; absent where nobody counts them. */
  readonly flops?: number;
  /** Since the run began, this step included. */
  readonly totals: RunTotals;
}

/** Sums since a run began, over all its resumptions. */
export interface RunTotals {
  readonly tokens: number;
  readonly samples: number;
  readonly seconds: number;
}

export interface RunLoggerOptions {
  /** The run folder; null writes no files. */
  readonly folder: string | null;
  /** For people; null is silent. */
  readonly stream: OutputStream | null;
  /** Steps between two lines. The first step and the last have one as well. */
  readonly every: number;
  /** Steps of the whole run. */
  readonly steps: number;
  readonly label?: string | undefined;
  /** Floating-point operations a second that the engine reaches at most; without it there is no MFU. */
  readonly peakFlops?: number | undefined;
  /** What is still to come beside steps after a step, as validations are, as far as it is known. */
  readonly secondsBesideSteps?: (step: number) => number;
  /** Memory of this process, unless told otherwise. */
  readonly memory?: () => MemoryUse;
  /** Where the run begins or goes on. */
  readonly from: { readonly step: number; readonly totals: RunTotals };
}

interface RunFiles {
  readonly metrics: JsonlWriter;
  readonly events: EventFileWriter;
  readonly log: AppendFile;
}

async function openFiles(folder: string, step: number): Promise<RunFiles> {
  try {
    await makeFolder(folder);
    const path = join(folder, metricsName);
    const history = await cutMetrics(path, step);
    // What a killed process left of a line would have the next one's text appended.
    await dropTornLine(join(folder, 'log.txt'));
    return {
      metrics: await JsonlWriter.open(path),
      events: await openEvents(folder, history, step),
      log: await AppendFile.open(join(folder, 'log.txt'), 'a'),
    };
  } catch (error) {
    throw fileError(error, folder, 'write');
  }
}

const processMemory = (): MemoryUse => ({
  now: process.memoryUsage.rss(),
  peak: process.resourceUsage().maxRSS * 1024,
});

/** The record of a run: `metrics.jsonl`, TensorBoard events and `log.txt` in its folder, and a line for people. */
export class RunLogger {
  readonly #options: RunLoggerOptions;
  readonly #files: RunFiles | undefined;
  readonly #display: ProgressDisplay | undefined;
  /** Totals at the last line of metrics. */
  #lineTotals: RunTotals;
  /** Since the last line of metrics. */
  #lineFlops = 0;
  #peakFlops: number | undefined;
  /** Of the steps after the first of this process, which compiles the graph. */
  #paceSeconds = 0;
  #paceSteps = 0;

  private constructor(options: RunLoggerOptions, files: RunFiles | undefined) {
    this.#options = options;
    this.#files = files;
    this.#display = options.stream === null ? undefined : new ProgressDisplay(options.stream, options.label);
    this.#lineTotals = options.from.totals;
    this.#peakFlops = options.peakFlops;
  }

  /**
   * Cuts the metrics of the folder back to the step that the run goes on from.
   *
   * @throws InputError those of `cutMetrics` and `fileError`
   */
  static async open(options: RunLoggerOptions): Promise<RunLogger> {
    const { folder, from } = options;
    return new RunLogger(options, folder === null ? undefined : await openFiles(folder, from.step));
  }

  /** Of the engine's peak. What training reaches is reachable: a peak that was measured on a busy machine gives way. */
  #utilisation(seconds: number): number | undefined {
    if (this.#peakFlops === undefined) return undefined;
    const reached = this.#lineFlops / seconds;
    this.#peakFlops = Math.max(this.#peakFlops, reached);
    return reached / this.#peakFlops;
  }

  async step(record: StepRecord): Promise<void> {
    const { every, steps, from, memory = processMemory, secondsBesideSteps = () => 0 } = this.#options;
    const { step, loss, lr, gradNorm, totals } = record;
    const due = step === 1 || step === steps || step % every === 0;
    if (step > from.step + 1) {
      this.#paceSeconds += record.seconds;
      this.#paceSteps++;
    }
    const pace = this.#paceSteps === 0 ? record.seconds : this.#paceSeconds / this.#paceSteps;
    const seconds = totals.seconds - this.#lineTotals.seconds;
    const tokensPerSecond = seconds > 0 ? (totals.tokens - this.#lineTotals.tokens) / seconds : 0;
    this.#lineFlops += record.flops ?? 0;
    const mfu = record.flops === undefined || !(seconds > 0) ? undefined : this.#utilisation(seconds);
    const used = memory();
    const progress: ProgressState = {
      ...{ step, steps, loss, lr, tokensPerSecond, mfu, memory: used },
      secondsLeft: pace * (steps - step) + secondsBesideSteps(step),
    };
    this.#display?.update(progress, due);
    if (!due) return;
    const line: MetricsLine = {
      step,
      loss,
      lr,
      gradNorm,
      tokens: totals.tokens,
      tokensPerSecond,
      samples: totals.samples,
      seconds: totals.seconds,
    };
    this.#lineTotals = totals;
    this.#lineFlops = 0;
    if (this.#files === undefined) return;
    await this.#files.metrics.append({ ...line });
    await writeEvents(this.#files.events, line);
    await this.scalars(step, {
      ...(mfu !== undefined && { 'train/mfu': mfu }),
      'system/rss_gb': used.now / 1e9,
      'system/peak_rss_gb': used.peak / 1e9,
    });
    await this.#log(formatProgress(progress));
  }

  /** Numbers for TensorBoard alone, by tag. A run that goes on keeps those of the steps that stand. */
  async scalars(step: number, values: Readonly<Record<string, number>>): Promise<void> {
    for (const [tag, value] of Object.entries(values)) {
      await this.#files?.events.scalar(tag, value, step);
    }
  }

  /** A message for people, also in `log.txt`. */
  async note(text: string): Promise<void> {
    this.#display?.message(text);
    await this.#log(text);
  }

  /** A line for `log.txt` alone. */
  async #log(text: string): Promise<void> {
    const { label } = this.#options;
    const prefix = `${new Date().toISOString()} ${label === undefined ? '' : `${label}: `}`;
    await this.#files?.log.append(Buffer.from(`${prefix}${text}\n`));
  }

  /** Forces the metrics to the disk: a checkpoint is never ahead of them. */
  async sync(): Promise<void> {
    await this.#files?.metrics.sync();
  }

  async close(): Promise<void> {
    this.#display?.close();
    if (this.#files === undefined) return;
    const { metrics, events, log } = this.#files;
    for (const result of await Promise.allSettled([metrics.close(), events.close(), log.close()])) {
      if (result.status === 'rejected') throw result.reason;
    }
  }
}

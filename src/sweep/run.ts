import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  type Interrupt,
  type InterruptSignal,
  interruptExitCodes,
  watchInterrupts,
} from '../../train/interrupts.ts';
import { formatDuration } from '../../train/progress.ts';
import { AffectGptError, CheckError } from '../errors.ts';
import type { Claim } from './attempts.ts';
import { type Sweep, type SweepPoint, selectPoints } from './load.ts';
import { type PointState, pointState } from './point-state.ts';
import { outputTail, type PointProcess, type Program, startPoint } from './processes.ts';
import { PointQueue } from './queue.ts';
import { prepareSweep } from './snapshot.ts';

export interface RunSweepOptions {
  readonly sweep: Sweep;
  /** `--only`: names of points, with `*` and `?`; none for all. */
  readonly only: readonly string[];
  /** `--rerun failed` */
  readonly rerunFailed: boolean;
  /** Points at a time. */
  readonly parallel: number;
  /** Of the machine. */
  readonly cores: number;
  /** How to start this program. */
  readonly program: Program;
  readonly notify: (message: string) => void;
  /** Called when a point is over. */
  readonly onResults: () => Promise<void>;
  /** Called when there is nothing left to do, or the sweep was told to stop. */
  readonly onEnd: () => Promise<void>;
}

/** Threads of each point; null leaves the number to the engine, which takes all cores. */
export const threadsOf = (cores: number, parallel: number): number | null =>
  parallel === 1 ? null : Math.max(1, Math.floor(cores / parallel));

/** Between two looks at what is going on. */
const lookMilliseconds = 200;
/** Between two lines about points that run. */
const progressMilliseconds = 60_000;

/** Whether a point has to be worked on. */
const isDue = ({ state }: PointState, rerunFailed: boolean): boolean =>
  state === 'failed' ? rerunFailed : state !== 'done' && state !== 'running';

/** A local run of a sweep: starts processes, waits for them, and keeps nothing that is not on disk. */
class SweepRun {
  readonly #options: RunSweepOptions;
  readonly #interrupt: Interrupt;
  readonly #selected: readonly SweepPoint[];
  readonly #running = new Map<SweepPoint, PointProcess>();
  /** Points that processes of others work on, such as those that outlived a killed sweep. */
  readonly #elsewhere = new Map<SweepPoint, { readonly isHere: boolean }>();
  #queue: PointQueue;
  #saidAt = Date.now();
  #forwarded: InterruptSignal | undefined;

  constructor(options: RunSweepOptions, selected: readonly SweepPoint[], interrupt: Interrupt) {
    this.#options = options;
    this.#selected = selected;
    this.#interrupt = interrupt;
    this.#queue = new PointQueue([], options.sweep.points);
  }

  async run(): Promise<void> {
    const { notify, sweep, onEnd } = this.#options;
    await this.#survey();
    while (this.#queue.length + this.#running.size + this.#elsewhere.size > 0) {
      const signal = this.#interrupt.requested;
      if (signal !== undefined && this.#forwarded === undefined) this.#stop(signal);
      if (signal !== undefined && this.#running.size === 0) break;
      await this.#lookElsewhere();
      this.#startSome();
      await this.#sayProgress();
      await setTimeout(lookMilliseconds);
    }
    await onEnd();
    await this.#conclude();
    notify(
      `All ${this.#selected.length} points are done. Results: ${join(sweep.output, 'results.md')}, .html and .csv.`,
    );
  }

  /** What is done, what is left, and what somebody else is working on. */
  async #survey(): Promise<void> {
    const { sweep, rerunFailed, notify } = this.#options;
    const due: SweepPoint[] = [];
    const counts = new Map<string, number>();
    for (const point of this.#selected) {
      const state = await pointState(point);
      counts.set(state.state, (counts.get(state.state) ?? 0) + 1);
      if (state.state === 'running') {
        const claim = this.#noteElsewhere(point, state);
        notify(`${point.id}: process ${claim.pid} on ${claim.host} works on it; waiting for it.`);
      } else if (isDue(state, rerunFailed)) {
        due.push(point);
      } else if (state.state === 'failed') {
        notify(
          `${point.id}: failed before (${state.error?.code ?? 'unknown'}); --rerun failed tries it again.`,
        );
      }
    }
    this.#queue = new PointQueue(due, sweep.points);
    const found = [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
    notify(`Sweep ${sweep.label}: ${this.#selected.length} points (${found}) in ${sweep.output}.`);
  }

  #noteElsewhere(point: SweepPoint, state: PointState): Claim {
    const claim = state.attempts.at(-1)!.claim!;
    this.#elsewhere.set(point, { isHere: claim.host === hostname() });
    return claim;
  }

  async #lookElsewhere(): Promise<void> {
    for (const point of this.#elsewhere.keys()) {
      const state = await pointState(point);
      if (state.state === 'running') continue;
      this.#elsewhere.delete(point);
      if (isDue(state, this.#options.rerunFailed)) {
        if (this.#forwarded === undefined) this.#queue.add(point);
      } else {
        await this.#tell(point, state);
      }
    }
  }

  #startSome(): void {
    const { parallel, cores, program, notify } = this.#options;
    // Processes of this machine take their part of its cores, whoever started them.
    const others = [...this.#elsewhere.values()].filter(({ isHere }) => isHere).length;
    while (this.#running.size + others < parallel && this.#forwarded === undefined) {
      const point = this.#queue.take([...this.#running.keys(), ...this.#elsewhere.keys()]);
      if (point === undefined) return;
      const child = startPoint(program, point.folder, threadsOf(cores, parallel));
      this.#running.set(point, child);
      notify(`${point.id}: started${child.pid === undefined ? '' : ` (process ${child.pid})`}.`);
      this.#wait(point, child);
    }
  }

  /** Takes up what came of a point when its process is gone. */
  #wait(point: SweepPoint, child: PointProcess): void {
    void child.ended.then(async (ending) => {
      try {
        const state = await pointState(point);
        if (state.state === 'running') this.#noteElsewhere(point, state);
        else await this.#tell(point, state, ending);
      } finally {
        this.#running.delete(point);
      }
    });
  }

  /** Says how a point is over, and brings the results up to date. */
  async #tell(point: SweepPoint, state: PointState, ending?: string): Promise<void> {
    const { notify, onResults } = this.#options;
    const end = state.attempts.at(-1)?.end;
    if (state.state === 'done') {
      notify(`${point.id}: done${end === undefined ? '' : ` in ${formatDuration(end.seconds)}`}.`);
    } else if (state.state === 'stopped') {
      notify(`${point.id}: stopped after saving; the same command goes on from there.`);
    } else {
      notify(`${point.id}: ${await reasonOf(point, state, ending)}`);
    }
    // What is on disk is what counts; a table that cannot be written now is written at the end, or says why.
    await onResults().catch((error: unknown) =>
      notify(`The results could not be written: ${error instanceof Error ? error.message : error}`),
    );
  }

  #stop(signal: InterruptSignal): void {
    this.#forwarded = signal;
    this.#queue.clear();
    for (const child of this.#running.values()) child.kill(signal);
  }

  /** A second signal: nothing waits for saving any more. */
  kill(): void {
    for (const child of this.#running.values()) child.kill('SIGTERM');
  }

  async #sayProgress(): Promise<void> {
    if (Date.now() - this.#saidAt < progressMilliseconds) return;
    this.#saidAt = Date.now();
    for (const point of this.#running.keys()) {
      const [last] = await outputTail(point.folder, 1);
      if (last !== undefined) this.#options.notify(`${point.id}: ${last}`);
    }
  }

  /** @throws AffectGptError `STOPPED`; CheckError `SWEEP_POINTS_FAILED` with the reason of each */
  async #conclude(): Promise<void> {
    const { sweep } = this.#options;
    const states = await Promise.all(
      this.#selected.map(async (point) => ({ point, state: await pointState(point) })),
    );
    const done = states.filter(({ state }) => state.state === 'done').length;
    const { requested } = this.#interrupt;
    if (requested !== undefined && done < states.length) {
      throw new AffectGptError(
        'STOPPED',
        `Stopped by ${requested}: ${done} of ${states.length} points are done, the others were saved as far as they had begun. The same command goes on from there.`,
        interruptExitCodes[requested],
      );
    }
    const failed = states.filter(({ state }) => state.state !== 'done');
    if (failed.length === 0) return;
    const reasons = await Promise.all(
      failed.map(async ({ point, state }) => `  ${point.id}: ${await reasonOf(point, state)}`),
    );
    throw new CheckError(
      'SWEEP_POINTS_FAILED',
      `${failed.length} of ${states.length} points failed; the others are done.\n${reasons.join('\n')}\nThe results in ${sweep.output} leave them out. --rerun failed tries them again.`,
    );
  }
}

/**
 * Why a point is not done.
 * @param ending what its process did, where that is known
 */
export async function reasonOf(
  point: SweepPoint,
  state: PointState,
  ending = 'ended without a word',
): Promise<string> {
  if (state.state === 'failed' && state.error !== undefined) {
    return `failed, error[${state.error.code}]: ${state.error.message}`;
  }
  if (state.state !== 'killed' && state.state !== 'pending') return state.state;
  const tail = await outputTail(point.folder, 3);
  const said = tail.length === 0 ? 'It said nothing.' : `It last said: ${tail.join(' / ')}`;
  const where = state.step === null ? '' : ` after ${state.step} steps or more`;
  return `its process ${ending}${where}; the same command goes on from its last checkpoint. ${said}`;
}

/**
 * Runs the points of a sweep on this machine, each as a process of its own, and goes on where it was stopped or killed. A
 * first signal is passed on to the points, which save and stop; a second one ends them at once.
 *
 * @throws InputError those of `selectPoints` and `prepareSweep`; CheckError `SWEEP_POINTS_FAILED`; AffectGptError
 *   `STOPPED` with the exit code of the signal
 */
export async function runSweep(options: RunSweepOptions): Promise<void> {
  const selected = selectPoints(options.sweep, options.only);
  await prepareSweep(options.sweep);
  const interrupt = watchInterrupts({
    notify: options.notify,
    exit: (code) => {
      run.kill();
      process.exit(code);
    },
  });
  const run = new SweepRun(options, selected, interrupt);
  try {
    await run.run();
  } finally {
    interrupt.dispose();
  }
}

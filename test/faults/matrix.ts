import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { limiter } from '../../src/io/limiter.ts';
import { checkpointName, listCheckpoints } from '../../train/checkpoint-folders.ts';
import { checkCheckpointFiles } from './checkpoint-whole.ts';
import {
  type Batches,
  batchDifferences,
  batchesOf,
  differences,
  type Evidence,
  gatherEvidence,
} from './comparison.ts';
import type { Fault } from './fault.ts';
import { type Life, live, type Place, type Program, placeIn } from './lives.ts';
import type { Point, ResumedRecording } from './points.ts';

/** Ten steps over five samples: an epoch ends after every second step, a checkpoint is saved after every third. */
export const matrixSteps = 10;
const settings = {
  'train.steps': matrixSteps,
  'train.batchSize': 2,
  'train.accumulation': 2,
  'train.checkpoint.every': 3,
  'train.checkpoint.keep': 2,
};

/** Two processes at a time, each with one thread of the engine. */
const processesAtOnce = 2;

/** What became of a point. */
export interface PointResult {
  readonly point: Point;
  /** How each planned life ended. */
  readonly killed: string;
  /** Where the last life began. */
  readonly resumed: string;
  /** Nothing where the run equals the uninterrupted one. */
  readonly differences: readonly string[];
  readonly seconds: number;
}

/** The runs that every point is compared with and planned from. */
export interface Reference {
  readonly life: Life;
  readonly place: Place;
  readonly evidence: Evidence;
  readonly batches: Batches;
  readonly resumed: readonly ResumedRecording[];
}

const where = ({ trace }: Life): string => {
  const last = trace.findLast(({ event }) => event !== 'killed' && event !== 'batch' && event !== 'features');
  if (last?.event === 'begin') return `in step ${last.step}`;
  if (last?.event === 'end') return `after step ${last.step}`;
  if (last?.event === 'micro-batch') return `in micro-batch ${last.index + 1} of a step`;
  return 'before the first step';
};

const resumedFrom = ({ stderr, exitCode }: Life): string => {
  if (exitCode === 2 && stderr.includes('error[RUN_COMPLETE]')) return 'nothing remained';
  const step = /: (\d+) of \d+ steps done/.exec(stderr)?.[1];
  return step === undefined ? 'from the beginning' : `from step ${step}`;
};

/** Runs points of one workspace. */
export class Matrix {
  readonly #program: Program;
  readonly #config: string;
  readonly #folder: string;
  readonly #limit = limiter(processesAtOnce);

  constructor(options: { readonly program: Program; readonly config: string; readonly folder: string }) {
    this.#program = options.program;
    this.#config = options.config;
    this.#folder = options.folder;
  }

  async #place(name: string): Promise<Place> {
    const place = placeIn(join(this.#folder, name));
    await rm(place.folder, { recursive: true, force: true });
    await mkdir(place.home, { recursive: true });
    return place;
  }

  #live(
    place: Place,
    number: number,
    more: { fault?: Fault; settings?: object; recordOperations?: boolean } = {},
  ): Promise<Life> {
    const { fault, recordOperations = false } = more;
    const own = { ...settings, ...more.settings };
    return live({
      program: this.#program,
      config: this.#config,
      place,
      number,
      settings: own,
      fault,
      recordOperations,
    });
  }

  /** @throws Error where the runs without faults, or the two kills that others build on, do not go as they should */
  async reference(): Promise<Reference> {
    const recordings = (
      [
        // Leaves half a checkpoint, and metrics beyond the last whole one.
        {
          name: 'write run/checkpoints/step-000006.partial/optimizer.safetensors.partial',
          occurrence: 50,
          phase: 'half',
        },
        // Leaves a torn line.
        { name: 'write run/metrics.jsonl', occurrence: 5, phase: 'half' },
      ] as const
    ).map((one, i) =>
      this.#limit(() => this.#recordResumed({ at: 'operation', ...one }, `resumed-${i + 1}`)),
    );
    const uninterrupted = this.#limit(async () => {
      const place = await this.#place('reference');
      const life = await this.#live(place, 1, { recordOperations: true });
      if (life.exitCode !== 0) throw new Error(`The uninterrupted run failed:\n${life.stderr}`);
      return { life, place, evidence: await gatherEvidence(place), batches: batchesOf(life.trace) };
    });
    const [reference, ...resumed] = await Promise.all([uninterrupted, ...recordings]);
    const faults = batchDifferences(reference.batches, [reference.life.trace], matrixSteps);
    if (faults.length > 0) throw new Error(`The uninterrupted run is not whole: ${faults.join('; ')}`);
    return { ...reference, resumed };
  }

  async #recordResumed(fault: Fault, name: string): Promise<ResumedRecording> {
    const place = await this.#place(name);
    const killed = await this.#live(place, 1, { fault });
    if (killed.signal !== 'SIGKILL') throw new Error(`${name} was not killed:\n${killed.stderr}`);
    const { operations, exitCode, stderr } = await this.#live(place, 2, { recordOperations: true });
    if (exitCode !== 0) throw new Error(`${name} was not resumed:\n${stderr}`);
    return { fault, operations, folder: place.home };
  }

  /** Kills, resumes and compares. The folder of a point that holds is removed. */
  run(point: Point, reference: Reference): Promise<PointResult> {
    return this.#limit(async () => {
      const started = performance.now();
      const place = await this.#place(`point-${point.number}`);
      const found: string[] = [];
      const lives: Life[] = [];
      const ends: string[] = [];
      for (const planned of point.lives) {
        const life = await this.#live(place, lives.length + 1, planned);
        lives.push(life);
        ends.push(life.signal === undefined ? `exit ${life.exitCode}` : `${life.signal} ${where(life)}`);
        const isAsPlanned =
          planned.fault === undefined ? life.exitCode === 0 : life.signal === 'SIGKILL' && wasKilled(life);
        if (!isAsPlanned) found.push(`process ${lives.length} ended otherwise: ${lastLine(life)}`);
        found.push(...(await this.#damaged(place)));
      }
      const last = await this.#live(place, lives.length + 1);
      lives.push(last);
      const resumed = resumedFrom(last);
      if (last.exitCode !== 0 && resumed !== 'nothing remained') {
        found.push(`not resumed: ${lastLine(last)}`);
      } else {
        const evidence = new Map(await gatherEvidence(place));
        found.push(
          ...differences(reference.evidence, evidence),
          ...batchDifferences(
            reference.batches,
            lives.map(({ trace }) => trace),
            matrixSteps,
          ),
        );
      }
      if (found.length === 0) await rm(place.folder, { recursive: true });
      const seconds = (performance.now() - started) / 1000;
      return { point, killed: ends.join(', '), resumed, differences: found, seconds };
    });
  }

  /** What looks like a checkpoint after a kill and is none. */
  async #damaged({ runFolder }: Place): Promise<string[]> {
    const found: string[] = [];
    for (const { folder, step } of await listCheckpoints(runFolder)) {
      const fault = await checkCheckpointFiles(folder);
      if (fault !== undefined) found.push(`${checkpointName(step)} is visible and not whole: ${fault}`);
    }
    return found;
  }
}

const wasKilled = ({ trace }: Life): boolean => trace.some(({ event }) => event === 'killed');

const lastLine = ({ signal, exitCode, stderr }: Life): string =>
  `${signal ?? `exit code ${exitCode}`}, ${stderr.trimEnd().split('\n').at(-1)}`;

import { join } from 'node:path';
import type { State } from '../../src/engine/types.ts';
import { JsonlWriter } from '../../src/io/jsonl.ts';
import {
  checkpointName,
  checkpointsFolder,
  type Keeping,
  listCheckpoints,
  pruneCheckpoints,
  readBest,
  removeBest,
  writeBest,
} from '../checkpoint-folders.ts';
import { formatDuration } from '../progress.ts';
import { type Judgement, judge } from './judge.ts';
import { cutValidations, readValidations, type ValidationLine, validationName } from './validation-file.ts';
import type { BestValidation, ValidationPolicy, Validator } from './validator.ts';

/** Whether a run that stands at a step owes the validation of that step. */
const owes = (lines: readonly ValidationLine[], step: number, every: number): boolean =>
  step > 0 && step % every === 0 && !lines.some((line) => line.step === step);

const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;

/** A value of the metric, for people. */
export const formatMetric = (metric: string, value: number): string =>
  metric === 'loss' ? value.toFixed(4) : percent(value);

/** Why a training is to end; undefined where it may go on. */
function earlyStopReason(
  { best, withoutImprovement, isExhausted }: Judgement,
  { metric, minDelta }: ValidationPolicy,
): string | undefined {
  if (!isExhausted) return undefined;
  const delta = minDelta === 0 ? '' : ` by more than ${minDelta}`;
  return `${metric} has not improved${delta} in ${withoutImprovement} validations (train.validation.patience); the best was ${formatMetric(metric, best!.value)} after step ${best!.step}`;
}

/** Only validations of the same set are compared. */
const judgeSet = (lines: readonly ValidationLine[], set: string, policy: ValidationPolicy): Judgement =>
  judge(
    lines.filter((line) => line.set === set),
    policy,
  );

/** What the validations of a run folder say about going on from a step. */
export interface ValidationStanding {
  /** Whether the checkpoint of the step was saved, and the run ended, before the step was validated and the best marked. */
  readonly isUnfinished: boolean;
  /** Why the run was stopped early there, and would be again. */
  readonly earlyStop: string | undefined;
}

/** @throws InputError `VALIDATION_METRIC_UNDEFINED`, and those of `readValidations` */
export async function validationStanding(
  runFolder: string,
  step: number,
  policy: ValidationPolicy & { readonly set: string },
): Promise<ValidationStanding> {
  const lines = (await readValidations(runFolder)).filter((line) => line.step <= step);
  const judgement = judgeSet(lines, policy.set, policy);
  return {
    isUnfinished: owes(lines, step, policy.every) || (await isBestUnsettled(runFolder, step, judgement)),
    earlyStop: earlyStopReason(judgement, policy),
  };
}

/** What `checkpoints/best` should name: the best by the lines where it is on disk. */
async function settledBest(
  runFolder: string,
  step: number,
  { best }: Judgement,
): Promise<number | undefined> {
  if (best === undefined) {
    // That of another set stays until there is a validation of this one; that of later steps does not.
    const named = await readBest(runFolder);
    return named !== undefined && named <= step ? named : undefined;
  }
  const present = await listCheckpoints(runFolder);
  return present.find((checkpoint) => checkpoint.step === best.step)?.step;
}

const isBestUnsettled = async (runFolder: string, step: number, judgement: Judgement): Promise<boolean> =>
  (await readBest(runFolder)) !== (await settledBest(runFolder, step, judgement));

/**
 * The validations of a run under way. What survives a kill is `validation.jsonl` alone: which checkpoint is the best and
 * whether the training is to stop follow from its lines. A validation comes after the checkpoint of its step, where one is
 * due; a run that is killed in between goes on from that checkpoint with the validation that it owes. `checkpoints/best` is
 * written last and set right when a run goes on.
 */
export class RunValidation {
  readonly #policy: ValidationPolicy;
  readonly #validator: Validator;
  readonly #folder: string | null;
  /** All lines up to now, those of other sets included. */
  readonly #lines: ValidationLine[];
  #judgement: Judgement;
  #writer: JsonlWriter | undefined;

  private constructor(
    policy: ValidationPolicy & { readonly validator: Validator },
    folder: string | null,
    lines: readonly ValidationLine[],
  ) {
    this.#policy = policy;
    this.#validator = policy.validator;
    this.#folder = folder;
    this.#lines = [...lines];
    this.#judgement = this.#judge();
  }

  /**
   * Goes on with the validations of a run folder up to the step that it stands at; later ones are cut off.
   *
   * @param run null keeps them in memory
   * @throws InputError `VALIDATION_METRIC_UNDEFINED`, and those of `readValidations`
   */
  static async open(
    policy: ValidationPolicy & { readonly validator: Validator },
    run: { readonly folder: string; readonly checkpoint: Keeping } | null,
    step: number,
  ): Promise<RunValidation> {
    if (run === null) return new RunValidation(policy, null, []);
    const { folder, checkpoint } = run;
    const opened = new RunValidation(policy, folder, await cutValidations(folder, step));
    await opened.#settleBest(folder, step, checkpoint);
    return opened;
  }

  /** Whether the validation of this step is due and not done. */
  isDue(step: number): boolean {
    return owes(this.#lines, step, this.#policy.every);
  }

  /** What the validations that are to come take by those that were; 0 before the first. */
  secondsLeft(step: number, steps: number): number {
    const { every } = this.#policy;
    const known = this.#lines.filter(({ set }) => set === this.#validator.set);
    if (known.length === 0) return 0;
    const mean = known.reduce((sum, { seconds }) => sum + seconds, 0) / known.length;
    const coming = Math.floor(steps / every) - Math.floor(step / every);
    return mean * (coming + (this.isDue(step) ? 1 : 0));
  }

  /** Why the training is to end; undefined where it may go on. */
  get earlyStop(): string | undefined {
    return earlyStopReason(this.#judgement, this.#policy);
  }

  /** The best validation so far, and its checkpoint where `best` names it; null where there is none. */
  async best(): Promise<BestValidation | null> {
    const { best } = this.#judgement;
    if (best === undefined) return null;
    const folder = this.#folder;
    const isKept = folder !== null && (await readBest(folder)) === best.step;
    return {
      ...best,
      metric: this.#policy.metric,
      checkpoint: isKept ? join(checkpointsFolder(folder), checkpointName(best.step)) : null,
    };
  }

  /**
   * Validates, and writes the line of it to the disk.
   * @returns undefined where it was given up: nothing is written then
   */
  async run(
    step: number,
    state: State,
    isStopped: () => boolean,
  ): Promise<{ readonly line: ValidationLine; readonly isBest: boolean } | undefined> {
    const started = performance.now();
    const result = await this.#validator.validate(state, isStopped);
    if (result === undefined) return undefined;
    const seconds = (performance.now() - started) / 1000;
    const line: ValidationLine = { step, ...result, seconds, set: this.#validator.set };
    this.#lines.push(line);
    // Before it is written: one without the metric is no line.
    this.#judgement = this.#judge();
    if (this.#folder !== null) {
      this.#writer ??= await JsonlWriter.open(join(this.#folder, validationName));
      await this.#writer.append({ ...line });
      await this.#writer.sync();
    }
    return { line, isBest: this.#judgement.best?.step === step };
  }

  /** Makes `checkpoints/best` name the checkpoint of a step, the latest one, and lets go of the one before. */
  async markBest(step: number, keeping: Keeping): Promise<void> {
    if (this.#folder === null) return;
    await writeBest(this.#folder, step);
    await pruneCheckpoints(this.#folder, step, keeping);
  }

  /** For people, and scalars for TensorBoard. */
  describe({ step, loss, samples, metrics, answers, seconds }: ValidationLine, isBest: boolean) {
    // All of every task would be a page; its accuracy says how it does.
    const shown = Object.entries(metrics).filter(
      ([name]) => !name.includes('/') || name.startsWith('taskAccuracy/'),
    );
    const values = shown.map(([name, value]) => `${name} ${percent(value)}`);
    const about = `${samples} samples${answers.length > 0 ? `, ${answers.length} of them answered` : ''}`;
    const text = `Validation after step ${step}: loss ${loss.toFixed(4)}${values.map((value) => `, ${value}`).join('')} (${about}, ${formatDuration(seconds)})${isBest ? `; the best so far by ${this.#policy.metric}` : ''}.`;
    const tags = Object.entries({ loss, ...metrics }).map(([name, value]) => [`validation/${name}`, value]);
    return { text, scalars: Object.fromEntries(tags) as Record<string, number> };
  }

  async close(): Promise<void> {
    await this.#writer?.close();
  }

  #judge(): Judgement {
    return judgeSet(this.#lines, this.#validator.set, this.#policy);
  }

  /** Sets `checkpoints/best` right where a run was killed before it was written, or was set back by hand. */
  async #settleBest(folder: string, step: number, keeping: Keeping): Promise<void> {
    if (!(await isBestUnsettled(folder, step, this.#judgement))) return;
    const settled = await settledBest(folder, step, this.#judgement);
    if (settled === undefined) await removeBest(folder);
    else await writeBest(folder, settled);
    await pruneCheckpoints(folder, step, keeping);
  }
}

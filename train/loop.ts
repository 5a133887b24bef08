import { setImmediate } from 'node:timers/promises';
import { type Collective, everyRanks, single } from '../src/collective/collective.ts';
import type { HostTensorMap, State } from '../src/engine/types.ts';
import { InputError, NumericError } from '../src/errors.ts';
import { defaultBadNumbersPolicy, listNames, skipOrStop } from './bad-step.ts';
import { type CheckpointState, checkpointFormatVersion, saveCheckpoint } from './checkpoint.ts';
import { dataDigest } from './data-record.ts';
import { type DumpedStep, tryDump } from './dump.ts';
import { identityHash } from './identity.ts';
import { type InterruptSignal, interruptExitCodes } from './interrupts.ts';
import type { RunLogger, RunTotals, StepRecord } from './logger.ts';
import { agreeOnNext, checkSameParameters, countTogether, shareOf } from './ranks.ts';
import { besideEach } from './replicas.ts';
import { type RunStart, startRun } from './run-start.ts';
import type { EpochSampler, SamplerPosition } from './sampler.ts';
import { learningRateAt } from './schedule.ts';
import { formatSpikes, SpikeWatch } from './spikes.ts';
import { expAvgName, expAvgSqName, TrainStep } from './step.ts';
import {
  checkOptions,
  type TaskBatch,
  type TrainingTask,
  type TrainOptions,
  type TrainOutcome,
} from './task.ts';
import type { RunValidation } from './validation/run-validation.ts';

/** The batches of one step. */
interface LoadedStep {
  readonly epoch: number;
  readonly names: readonly string[];
  readonly microBatches: readonly (readonly string[])[];
  /** Of those micro-batches that are of this rank. */
  readonly batches: readonly TaskBatch[];
  readonly next: SamplerPosition;
}

/** Inputs of the batches that count: without supervised tokens one adds nothing. */
const learntFrom = (batches: readonly TaskBatch[]): HostTensorMap[] =>
  batches.filter((batch) => batch.supervisedTokens > 0).map((batch) => batch.inputs);

/** A training under way: its state, its place in the data, its record. Of several ranks, the first one keeps the record. */
class Training {
  readonly #task: TrainingTask;
  readonly #options: TrainOptions;
  readonly #collective: Collective;
  readonly #sampler: EpochSampler;
  readonly #trainStep: TrainStep;
  readonly #state: State;
  readonly #logger: RunLogger;
  readonly #validation: RunValidation | undefined;
  #step: number;
  #position: SamplerPosition;
  #totals: RunTotals;
  /** Steps that updated nothing, for NaN or infinity. */
  #skippedSteps: number;
  readonly #spikes = new SpikeWatch();
  #savedStep: number;
  #checkpoint: string | null;
  /** The next step's batches, loaded while a step runs. */
  #pending: Promise<LoadedStep> | undefined;

  constructor(task: TrainingTask, options: TrainOptions, start: RunStart) {
    this.#task = task;
    this.#options = options;
    this.#collective = options.collective ?? single;
    this.#sampler = start.sampler;
    this.#trainStep = new TrainStep(options.engine, task.stepOptions, this.#collective);
    this.#state = start.state;
    this.#logger = start.logger;
    this.#validation = start.validation;
    this.#step = start.step;
    this.#savedStep = start.step;
    this.#position = start.position;
    this.#totals = start.totals;
    this.#skippedSteps = start.skippedSteps;
    this.#checkpoint = start.checkpoint;
  }

  async run(): Promise<TrainOutcome> {
    try {
      await this.#options.onStart?.();
      const signal = await this.#steps();
      if (signal !== undefined) await this.#logger.note(`Stopped by ${signal} after step ${this.#step}.`);
      return {
        status: signal === undefined ? 'done' : 'interrupted',
        signal: signal ?? null,
        exitCode: signal === undefined ? 0 : interruptExitCodes[signal],
        step: this.#step,
        totals: this.#totals,
        skippedSteps: this.#skippedSteps,
        spikes: this.#spikes.steps,
        parameters: await this.#parameters(),
        checkpoint: this.#checkpoint,
        best: (await this.#validation?.best()) ?? null,
        isStoppedEarly: this.#step < this.#options.steps && signal === undefined,
      };
    } catch (error) {
      // The error itself is what counts, also where the disk is too full to note it.
      const reason = error instanceof Error ? error.message : String(error);
      await this.#logger.note(`Failed after step ${this.#step}: ${reason}`).catch(() => undefined);
      throw error;
    } finally {
      // Nothing may go on reading files for a step that will not come.
      await this.#pending?.catch(() => undefined);
      this.#state.dispose();
      await this.#trainStep.dispose();
      await this.#validation?.close();
      await this.#logger.close();
    }
  }

  /** @returns the signal that ended it before there was nothing left to do */
  async #steps(): Promise<InterruptSignal | undefined> {
    const { steps, run, interrupt } = this.#options;
    const validation = this.#validation;
    for (let isFirst = true; ; isFirst = false) {
      // Signals and other waiting events get their turn between steps on every engine.
      await setImmediate();
      if (validation?.isDue(this.#step)) await this.#validate(validation);
      const { isDone, isStoppedEarly, signal } = await agreeOnNext(this.#collective, {
        isDone: this.#step >= steps && !validation?.isDue(this.#step),
        isStoppedEarly: validation?.earlyStop !== undefined,
        signal: interrupt?.requested,
      });
      if (isDone) return undefined;
      if (isStoppedEarly) {
        await this.#save();
        await this.#logger.note(`Stopped early after step ${this.#step}: ${validation?.earlyStop}.`);
        return undefined;
      }
      if (signal !== undefined) {
        await this.#save();
        return signal;
      }
      await this.#oneStep();
      // Ranks that round differently are found before hours have passed.
      if (isFirst) await this.#checkRanks();
      if (this.#step === steps || (run !== null && this.#step % run.checkpoint.every === 0)) {
        await this.#save();
      }
    }
  }

  /** Validates the step that was done last, unless a signal comes: a run that goes on from here makes up for it. */
  async #validate(validation: RunValidation): Promise<void> {
    const { run, interrupt } = this.#options;
    const isStopped = (): boolean => interrupt?.requested !== undefined;
    const done = await validation.run(this.#step, this.#state, isStopped);
    if (done === undefined) return;
    const { text, scalars } = validation.describe(done.line, done.isBest);
    await this.#logger.scalars(this.#step, scalars);
    await this.#logger.note(text);
    if (!done.isBest || run === null) return;
    await this.#write();
    await validation.markBest(this.#step, run.checkpoint);
  }

  async #oneStep(): Promise<void> {
    const started = performance.now();
    const step = this.#step + 1;
    const loaded = await (this.#pending ?? this.#load(this.#position, step));
    const { epoch, names, batches, next } = loaded;
    this.#pending = undefined;
    if (step < this.#options.steps) {
      this.#pending = this.#load(next, step + 1);
      // Reported when its turn comes.
      this.#pending.catch(() => undefined);
    }
    const { supervisedTokens, tokens, flops } = await countTogether(this.#collective, batches);
    if (supervisedTokens === 0) {
      const about = `no token of its samples is supervised (${listNames(names)})`;
      throw everyRanks(
        new InputError('SUPERVISED_TOKENS_NONE', `Step ${step} has nothing to learn from: ${about}.`),
      );
    }
    const learningRate = learningRateAt(step, this.#options.schedule);
    const inputs = learntFrom(batches);
    const settings = {
      supervisedTokens,
      learningRate,
      step: step - this.#skippedSteps,
      accumulate: this.#options.accumulation * this.#collective.size > 1,
    };
    const { loss, gradNorm, fault } = await this.#trainStep.run(this.#state, inputs, settings);
    if (fault !== undefined) {
      const { supervisedTokens: _, step: update, ...rest } = settings;
      const bad = { ...rest, step, epoch, supervisedTokens, update, loss, gradNorm, fault };
      await this.#badStep(bad, loaded);
    }
    const seconds = (performance.now() - started) / 1000;
    this.#step = step;
    this.#position = next;
    this.#totals = {
      tokens: this.#totals.tokens + tokens,
      samples: this.#totals.samples + names.length,
      seconds: this.#totals.seconds + seconds,
    };
    // There is nothing to learn from its numbers.
    if (fault !== undefined) return;
    const record: StepRecord = {
      ...{ step, epoch, names, loss, lr: learningRate, gradNorm, tokens, supervisedTokens, seconds },
      totals: this.#totals,
      ...(flops !== undefined && { flops }),
    };
    await this.#logger.step(record);
    const spikes = this.#spikes.observe(record);
    if (spikes.length > 0) await this.#logger.note(formatSpikes(spikes, step));
    await this.#options.onStep?.(record);
  }

  /** Dumps the step, then counts it as skipped, or stops. @throws NumericError those of `skipOrStop` */
  async #badStep(
    step: Omit<
      DumpedStep,
      'formatVersion' | 'microBatches' | 'seed' | 'engine' | 'samples' | 'lastCheckpoint'
    >,
    { names, microBatches, batches }: LoadedStep,
  ): Promise<void> {
    const { run, seed, engine, onBadNumbers = defaultBadNumbersPolicy } = this.#options;
    const parameters = await this.#parameters();
    const badParameter = Object.keys(parameters).find(
      (name) => !(parameters[name]!.data as Float32Array).every(Number.isFinite),
    );
    const place = { seed, engine: engine.name, samples: microBatches, lastCheckpoint: this.#checkpoint };
    let dump: string | undefined;
    if (run !== null && this.#collective.rank === 0) {
      const all = this.#collective.size === 1 ? batches : await this.#batches(microBatches, step);
      const dumped = { step: { ...step, ...place }, microBatches: learntFrom(all), parameters };
      dump = await tryDump(run.folder, dumped, run.configText);
    }
    const bad = { ...step, names, badParameter, dump, skipped: this.#skippedSteps };
    try {
      await this.#logger.note(skipOrStop(bad, onBadNumbers));
    } catch (error) {
      throw error instanceof NumericError ? everyRanks(error) : error;
    }
    this.#skippedSteps++;
  }

  /** The trained tensors as they are now. */
  #parameters(): Promise<HostTensorMap> {
    return this.#state.read(Object.keys(this.#task.stepOptions.trainable));
  }

  async #load(position: SamplerPosition, step: number): Promise<LoadedStep> {
    const { epoch, microBatches, next } = this.#sampler.draw(position);
    const batches = await this.#batches(shareOf(this.#collective, microBatches), { epoch, step });
    return { epoch, names: microBatches.flat(), microBatches, batches, next };
  }

  #batches(
    microBatches: readonly (readonly string[])[],
    at: { readonly epoch: number; readonly step: number },
  ) {
    const beside = besideEach(microBatches, this.#options.engine.devices);
    return Promise.all(microBatches.map((names, i) => this.#task.loadBatch(names, { ...at, ...beside[i] })));
  }

  /** Saves the state after the last finished step, all ranks having come to the same one. */
  async #save(): Promise<void> {
    await this.#checkRanks();
    await this.#write();
  }

  /** @throws CheckError `RANKS_DRIFTED` */
  #checkRanks(): Promise<void> {
    return checkSameParameters(this.#collective, this.#step, () => this.#parameters());
  }

  /** Writes the checkpoint of the last finished step, unless it is there already or there is no run folder. */
  async #write(): Promise<void> {
    const { run, seed } = this.#options;
    if (run === null || this.#savedStep === this.#step || this.#collective.rank > 0) return;
    const identity = run.identity ?? {};
    const state: CheckpointState = {
      formatVersion: checkpointFormatVersion,
      step: this.#step,
      epoch: this.#position.epoch,
      sampler: {
        index: this.#position.index,
        samples: this.#task.names.length,
        namesHash: this.#sampler.namesHash,
      },
      rng: { seed },
      tokensSeen: this.#totals.tokens,
      samplesSeen: this.#totals.samples,
      ...(this.#skippedSteps > 0 && { skippedSteps: this.#skippedSteps }),
      ...(this.#collective.size > 1 && { ranks: this.#collective.size }),
      seconds: this.#totals.seconds,
      ...(run.data && { dataDigest: dataDigest(run.data) }),
      configHash: identityHash(identity),
      config: { ...identity },
    };
    await this.#logger.sync();
    const trained = Object.keys(this.#task.stepOptions.trainable);
    await this.#state.checkReplicas?.(
      trained.flatMap((name) => [name, expAvgName(name), expAvgSqName(name)]),
    );
    this.#checkpoint = await saveCheckpoint({
      runFolder: run.folder,
      state,
      shapes: this.#task.stepOptions.trainable,
      tensors: this.#state,
      adapter: run.adapter,
      ...run.checkpoint,
    });
    this.#savedStep = this.#step;
    await this.#logger.note(`Saved ${this.#checkpoint}.`);
    await this.#options.onSave?.({ step: this.#step, checkpoint: this.#checkpoint });
  }
}

/**
 * Trains: the one loop behind every training of this project. Under the same engine and thread count a run that was
 * interrupted, or killed, and resumed gives the same losses and parameters as one that was not, bit for bit.
 *
 * The first interrupt is answered between two steps: the state is saved (where there is a run folder) and the outcome
 * says so. The batches of the next step are loaded while a step runs; results do not depend on it. Validations come
 * between steps and only read the state: they change no number of the training, but may end it.
 *
 * @throws InputError `TRAIN_OPTIONS_INVALID`, `SUPERVISED_TOKENS_NONE`, `CHECKPOINT_ADAPTER_UNDESCRIBED`, those of
 *   `EpochSampler`, `resumeRun`, `saveCheckpoint` and of the task
 * @throws NumericError `LOSS_NOT_FINITE`, `GRADIENT_NOT_FINITE`; no weight and no moment is touched by that step
 */
export async function train(task: TrainingTask, options: TrainOptions): Promise<TrainOutcome> {
  checkOptions(options);
  return new Training(task, options, await startRun(task, options)).run();
}

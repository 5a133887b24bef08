import { ignoredLabel } from '../../model/loss.ts';
import type { InputModeName } from '../../model/modes.ts';
import { inputModes } from '../../model/modes.ts';
import { InputError } from '../errors.ts';
import { limiter } from '../io/limiter.ts';
import type { BatchFeatures, PromptBatch, TrainingBatch } from './collate.ts';
import { collatePrompts, collateTraining } from './collate.ts';
import type { FeatureExtractor } from './features.ts';
import type { AnswerSpace, AnswerType } from './prompts.ts';
import { answerSpaceOf } from './read-records.ts';
import type { SampleRecord } from './records.ts';
import { featureSources, findFileFaults, listFaults } from './records.ts';
import type { SampleTask, SampleTextOptions } from './sample-texts.ts';
import { SampleTexts } from './sample-texts.ts';
import type { TrainingSequence } from './sequence.ts';

/** The mode of the `model` is that of `inputs`. */
export interface SampleSourceOptions extends SampleTextOptions {
  readonly records: readonly SampleRecord[];
  readonly inputs: InputModeName;
  readonly features: FeatureExtractor;
  readonly attendFinalEos: boolean;
  /** Of the engine that training batches are for. */
  readonly fixedSizes?: boolean;
  /** Of the training records; taken from `records` when absent. */
  readonly answerSpace?: AnswerSpace;
  /** `skip` leaves bad samples out and names each of them. */
  readonly onBadSample: 'fail' | 'skip';
  /** Largest share of the records that may be skipped, rounded up to whole ones; no limit when absent. */
  readonly badSampleLimit?: number;
  readonly notify: (message: string) => void;
}

/** A sample that was left out. */
export interface SkippedSample {
  readonly name: string;
  readonly reasons: readonly string[];
}

/** What samples are asked: all the same, or each what its name gives. */
export type Question = string | ((name: string) => string);

/** Where a training batch belongs; see `SampleSource.loadBatch`. */
export interface BatchPlace {
  readonly epoch: number;
  readonly step?: number;
  readonly beside?: readonly (readonly string[])[];
}

/** Samples prepared at a time. */
const preparedAtOnce = 4;

/** Samples by name, ready for the model: records, prompts, features and batches together. */
export class SampleSource {
  readonly #options: SampleSourceOptions;
  readonly #texts: SampleTexts;
  readonly #records: Map<string, SampleRecord>;
  readonly #skipped: SkippedSample[] = [];

  private constructor(options: SampleSourceOptions) {
    this.#options = options;
    this.#texts = new SampleTexts(options, options.answerSpace ?? answerSpaceOf(options.records));
    this.#records = new Map(options.records.map((record) => [record.name, record]));
  }

  /**
   * Checks that every sample has what the inputs and the label type need: files, answers, a prompt that fits.
   *
   * @throws InputError `SAMPLES_UNUSABLE` with every bad sample (or each is skipped with a notice),
   *   `SAMPLES_SKIPPED_TOO_MANY`, `SAMPLES_NONE`, `TOKENIZER_NO_START`
   */
  static async open(options: SampleSourceOptions): Promise<SampleSource> {
    const source = new SampleSource(options);
    const faults = await findFileFaults(options.records, inputModes[options.inputs]);
    for (const record of options.records) {
      const found = source.#texts.faults(record);
      if (found.length > 0) faults.set(record.name, [...(faults.get(record.name) ?? []), ...found]);
    }
    source.#drop(faults);
    return source;
  }

  /** Usable samples in the order of the records. */
  get names(): string[] {
    return [...this.#records.keys()];
  }

  /** What `onBadSample: skip` has left out so far. */
  get skipped(): readonly SkippedSample[] {
    return this.#skipped;
  }

  /** @throws InputError `SAMPLE_UNKNOWN` */
  record(name: string): SampleRecord {
    const record = this.#records.get(name);
    if (record === undefined) {
      throw new InputError('SAMPLE_UNKNOWN', `There is no usable sample named "${name}".`);
    }
    return record;
  }

  /**
   * Decodes and encodes what the feature cache does not hold yet, so that training never waits for it.
   *
   * @param isStopped asked before each file: where it says so, no other is begun, and nothing is said of bad samples
   * @throws InputError of the one bad sample, or `SAMPLES_UNUSABLE` with all of them, after the good ones are done
   *   (or each is skipped with a notice), `SAMPLES_SKIPPED_TOO_MANY`, `SAMPLES_NONE`
   */
  async prepare(
    onProgress: (done: number, total: number) => void = () => {},
    isStopped: () => boolean = () => false,
  ): Promise<void> {
    const failures = await this.#extract([...this.#records.values()], onProgress, isStopped);
    if (isStopped()) return;
    const [first, ...more] = failures.values();
    if (first !== undefined && more.length === 0 && this.#options.onBadSample === 'fail') throw first;
    this.#drop(new Map([...failures].map(([name, { message }]) => [name, [message]])));
  }

  /**
   * Computes features for the cache, as `prepare`, of every `size`-th sample from the `rank`-th on: for processes that fill
   * it together. Samples that cannot be read are left for `prepare` to tell.
   */
  async prepareShare(
    { rank, size }: { readonly rank: number; readonly size: number },
    onProgress: (done: number, total: number) => void,
    isStopped: () => boolean,
  ): Promise<void> {
    const records = [...this.#records.values()].filter((_, i) => i % size === rank);
    await this.#extract(records, onProgress, isStopped);
  }

  /** @returns why samples cannot be read, by name */
  async #extract(
    records: readonly SampleRecord[],
    onProgress: (done: number, total: number) => void,
    isStopped: () => boolean,
  ): Promise<Map<string, InputError>> {
    const limit = limiter(preparedAtOnce);
    const failures = new Map<string, InputError>();
    let done = 0;
    const tasks = records.map((record) =>
      limit(async () => {
        try {
          for (const source of featureSources(record, inputModes[this.#options.inputs]).sources) {
            if (isStopped()) return;
            await this.#options.features.one(record, source);
          }
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
          failures.set(record.name, error);
        }
        onProgress(++done, records.length);
      }),
    );
    await Promise.all(tasks);
    return failures;
  }

  /** Question and answer of a sample in an epoch: a function of (seed, epoch, name). */
  task(name: string, epoch: number): SampleTask {
    return this.#texts.task(this.record(name), epoch);
  }

  /** Tokens of a sample's training sequence in an epoch, and how many of them are supervised. Needs no features. */
  sequenceLength(
    name: string,
    epoch: number,
  ): { readonly tokens: number; readonly supervisedTokens: number } {
    const { ids, labels } = this.#sequence(name, epoch);
    return { tokens: ids.length, supervisedTokens: labels.filter((label) => label !== ignoredLabel).length };
  }

  /**
   * The question of a kind about a sample: its own, or the published one, which is the same for all.
   * @throws InputError `QUESTION_MISSING` of a sample that brings none, and those of `questionText`
   */
  questionOf(name: string, type: AnswerType): string {
    return this.#texts.question(this.record(name), type);
  }

  /** Tokens of the answer that says `content`, and of what ends it: those that training would supervise. */
  answerTokens(type: AnswerType, content: string): number[] {
    return this.#texts.answerTokens(type, content);
  }

  /**
   * A training batch.
   *
   * @param options.epoch decides which kind of answer is drawn
   * @param options.step optimizer step, for dropout; no dropout keys when absent
   * @param options.beside samples of the batches that other devices compute at the same time, this one's may be among
   *   them: where sizes are fixed, all of them get the same
   * @throws InputError naming the sample and what is wrong with it
   */
  async loadBatch(
    names: readonly string[],
    { epoch, step, beside = [] }: BatchPlace,
  ): Promise<TrainingBatch> {
    const { seed } = this.#options;
    const samples = names.map((name) => ({ name, sequence: this.#sequence(name, epoch) }));
    const features = await this.#features(names);
    const dropout = step !== undefined && { dropout: { seed, step } };
    const atLeast = this.#largest(beside, epoch);
    return collateTraining(samples, features, { ...this.#options, ...dropout, atLeast });
  }

  /** The most tokens of a sample, and the most supervised tokens of a batch. */
  #largest(batches: readonly (readonly string[])[], epoch: number) {
    const largest = { tokens: 0, supervisedTokens: 0 };
    if (this.#options.fixedSizes !== true) return largest;
    for (const names of batches) {
      const lengths = names.map((name) => this.sequenceLength(name, epoch));
      largest.tokens = Math.max(largest.tokens, ...lengths.map(({ tokens }) => tokens));
      const supervised = lengths.reduce((sum, { supervisedTokens }) => sum + supervisedTokens, 0);
      largest.supervisedTokens = Math.max(largest.supervisedTokens, supervised);
    }
    return largest;
  }

  /**
   * Prompts for the model to go on with.
   *
   * @param question the same for all, or that of each by its name
   */
  async loadPrompts(names: readonly string[], question: Question): Promise<PromptBatch> {
    const asked = typeof question === 'string' ? () => question : question;
    const prompts = names.map((name) => this.#texts.promptToAnswer(this.record(name), asked(name)));
    return collatePrompts(prompts, await this.#features(names), this.#options);
  }

  async #features(names: readonly string[]): Promise<BatchFeatures> {
    const features: BatchFeatures = {};
    const mode = inputModes[this.#options.inputs];
    const samples = names.map((name) => {
      const record = this.record(name);
      return { record, sources: featureSources(record, mode).sources };
    });
    for (const [i, { kind }] of (samples[0]?.sources ?? []).entries()) {
      features[kind] = await this.#options.features.batch(
        samples.map(({ record, sources }) => ({ record, source: sources[i]! })),
      );
    }
    return features;
  }

  #sequence(name: string, epoch: number): TrainingSequence {
    const record = this.record(name);
    return this.#texts.sequence(record, this.#texts.task(record, epoch));
  }

  /** Fails with all faults, or takes the bad samples out and says so, as far as the limit allows. */
  #drop(faults: ReadonlyMap<string, readonly string[]>): void {
    const { onBadSample, badSampleLimit = 1, notify, records } = this.#options;
    const texts = records.flatMap(({ name }) => faults.get(name) ?? []);
    if (texts.length > 0 && onBadSample === 'fail') {
      throw new InputError(
        'SAMPLES_UNUSABLE',
        `${faults.size} of ${records.length} samples cannot be used: ${listFaults(texts)}. Mend them, or leave them out with data.onBadSample: skip.`,
      );
    }
    for (const [name, found] of faults) {
      this.#records.delete(name);
      this.#skipped.push({ name, reasons: found });
      notify(`Skipped: ${found.join('; ')}`);
    }
    if (this.#records.size === 0) {
      throw new InputError('SAMPLES_NONE', 'No usable sample is left.');
    }
    const allowed = Math.ceil(badSampleLimit * records.length);
    if (this.#skipped.length > allowed) {
      throw new InputError(
        'SAMPLES_SKIPPED_TOO_MANY',
        `${this.#skipped.length} of ${records.length} samples cannot be used, and data.badSampleLimit ${badSampleLimit} allows ${allowed} to be skipped: ${listFaults(this.#skipped.flatMap(({ reasons }) => reasons))}. Mend them, or raise data.badSampleLimit.`,
      );
    }
  }
}

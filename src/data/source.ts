import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { placeholderRuns } from '../../model/affectgpt.ts';
import { ignoredLabel } from '../../model/loss.ts';
import type { InputModeName } from '../../model/modes.ts';
import { inputModes } from '../../model/modes.ts';
import { InputError } from '../errors.ts';
import { limiter } from '../io/limiter.ts';
import type { BatchFeatures, PromptBatch, TrainingBatch } from './collate.ts';
import { collatePrompts, collateTraining } from './collate.ts';
import type { FeatureExtractor } from './features.ts';
import type { PromptFormat } from './prompt-format.ts';
import type { AnswerSpace, AnswerType, LabelType } from './prompts.ts';
import { answerContent, answerTypesOf, drawAnswerType, questionText } from './prompts.ts';
import { answerSpaceOf } from './read-records.ts';
import type { SampleRecord } from './records.ts';
import { featureSources, findFileFaults, listFaults } from './records.ts';
import type { TrainingSequence } from './sequence.ts';
import { buildTrainingSequence, encodeAnswer, encodePrompt } from './sequence.ts';
import type { PromptTokenizer } from './tokenizer.ts';

export interface SampleSourceOptions {
  readonly records: readonly SampleRecord[];
  readonly inputs: InputModeName;
  /** How samples are worded; for the same inputs. */
  readonly format: PromptFormat;
  /** Its mode is that of `inputs`. */
  readonly model: AffectGptConfig;
  readonly tokenizer: PromptTokenizer;
  readonly features: FeatureExtractor;
  /** Longest prompt and answer together, in tokens. */
  readonly maxLength: number;
  /** Decides label draws and dropout. */
  readonly seed: number;
  readonly attendFinalEos: boolean;
  /** Of the engine that training batches are for. */
  readonly fixedSizes?: boolean;
  /** What the model learns to answer; null where samples are only asked (prediction). */
  readonly labelType: LabelType | null;
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

/** What a sample is asked and should answer. */
export interface SampleTask {
  readonly type: AnswerType;
  readonly question: string;
  readonly answer: string;
}

/** What samples are asked: all the same, or each what its name gives. */
export type Question = string | ((name: string) => string);

/** Where a training batch belongs; see `SampleSource.loadBatch`. */
export interface BatchPlace {
  readonly epoch: number;
  readonly step?: number;
  readonly beside?: readonly (readonly string[])[];
}

/** What a sample has to have where the name of the label type does not say so. */
const answersOf: Partial<Record<LabelType, string>> = {
  hybird: 'description, labels, sentiment or valence',
  own: 'question and answer',
};

/** Samples prepared at a time. */
const preparedAtOnce = 4;

/** Samples by name, ready for the model: records, prompts, features and batches together. */
export class SampleSource {
  readonly #options: SampleSourceOptions;
  readonly #space: AnswerSpace;
  readonly #records: Map<string, SampleRecord>;
  readonly #skipped: SkippedSample[] = [];

  private constructor(options: SampleSourceOptions, usable: readonly SampleRecord[]) {
    this.#options = options;
    this.#space = options.answerSpace ?? answerSpaceOf(options.records);
    this.#records = new Map(usable.map((record) => [record.name, record]));
  }

  /**
   * Checks that every sample has what the inputs and the label type need: files, answers, a prompt that fits.
   *
   * @throws InputError `SAMPLES_UNUSABLE` with every bad sample (or each is skipped with a notice),
   *   `SAMPLES_SKIPPED_TOO_MANY`, `SAMPLES_NONE`, `TOKENIZER_NO_START`
   */
  static async open(options: SampleSourceOptions): Promise<SampleSource> {
    if (options.format.needsStartToken && options.tokenizer.bosId === undefined) {
      throw new InputError(
        'TOKENIZER_NO_START',
        'data.template.begin asks for a start token, and the tokenizer of the language model has none (bos_token in tokenizer_config.json). Set data.template.begin to false.',
      );
    }
    const all = new SampleSource(options, options.records);
    const faults = await findFileFaults(options.records, inputModes[options.inputs]);
    for (const record of options.records) {
      const found = all.#textFaults(record);
      if (found.length > 0) faults.set(record.name, [...(faults.get(record.name) ?? []), ...found]);
    }
    all.#drop(faults);
    return all;
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
    const record = this.record(name);
    const { labelType, seed } = this.#options;
    const types = labelType === null ? [] : answerTypesOf(labelType, record);
    const type = drawAnswerType(types, { seed, epoch, name });
    if (type === undefined) {
      throw new InputError(
        'ANSWER_MISSING',
        `${record.origin}: sample "${name}" has no answer to learn from.`,
      );
    }
    return this.#asked(record, type);
  }

  /** Tokens of a sample's training sequence in an epoch, and how many of them are supervised. Needs no features. */
  sequenceLength(
    name: string,
    epoch: number,
  ): { readonly tokens: number; readonly supervisedTokens: number } {
    const { ids, labels } = this.#sequence(name, this.task(name, epoch));
    return { tokens: ids.length, supervisedTokens: labels.filter((label) => label !== ignoredLabel).length };
  }

  /**
   * The question of a kind about a sample: its own, or the published one, which is the same for all.
   * @throws InputError `QUESTION_MISSING` of a sample that brings none, and those of `questionText`
   */
  questionOf(name: string, type: AnswerType): string {
    return this.#questionOf(this.record(name), type);
  }

  /** Tokens of the answer that says `content`, and of what ends it: those that training would supervise. */
  answerTokens(type: AnswerType, content: string): number[] {
    const { tokenizer, format } = this.#options;
    return encodeAnswer(tokenizer, format.answer(type, content), format.end);
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
    const samples = names.map((name) => ({ name, sequence: this.#sequence(name, this.task(name, epoch)) }));
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
    const { format, tokenizer } = this.#options;
    const before = format.begin.asking && tokenizer.bosId !== undefined ? [tokenizer.bosId] : [];
    const asked = typeof question === 'string' ? () => question : question;
    const prompts = names.map((name) => [...before, ...this.#prompt(this.record(name), asked(name))]);
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

  #asked(record: SampleRecord, type: AnswerType): SampleTask {
    const answer = this.#options.format.answer(type, answerContent(type, record)!);
    return { type, question: this.#questionOf(record, type), answer };
  }

  #questionOf({ name, question }: SampleRecord, type: AnswerType): string {
    if (type !== 'own') return questionText(type, this.#space);
    if (question !== undefined) return question;
    throw new InputError(
      'QUESTION_MISSING',
      `Sample "${name}" has no question of its own; give it a "question", or ask all samples the same.`,
    );
  }

  #prompt(record: SampleRecord, question: string): number[] {
    const { model, tokenizer, format } = this.#options;
    const text = format.prompt(record.subtitle ?? '', question);
    const ids = encodePrompt(tokenizer, text, placeholderRuns(model, tokenizer.placeholderIds), record.name);
    // Without a token before it, the first one of the answer could not be predicted.
    if (ids.length === 0) {
      throw new InputError(
        'PROMPT_EMPTY',
        `Sample "${record.name}" has an empty prompt: its subtitle is empty and the template adds nothing.`,
      );
    }
    return ids;
  }

  #sequence(name: string, { question, answer }: SampleTask): TrainingSequence {
    const { tokenizer, maxLength, format } = this.#options;
    const prompt = this.#prompt(this.record(name), question);
    const { begin, end } = format;
    return buildTrainingSequence(tokenizer, prompt, answer, { maxLength, name, begin: begin.training, end });
  }

  /** Faults of a record's texts, for every answer that may be drawn. */
  #textFaults(record: SampleRecord): string[] {
    const { labelType } = this.#options;
    const types = labelType === null ? [] : answerTypesOf(labelType, record);
    if (labelType !== null && types.length === 0) {
      const wanted = answersOf[labelType] ?? labelType;
      return [
        `${record.origin}: sample "${record.name}" has no answer for data.labelType "${labelType}" (${wanted})`,
      ];
    }
    const faults = types.map((type) => {
      try {
        this.#sequence(record.name, this.#asked(record, type));
        return [];
      } catch (error) {
        if (error instanceof InputError) return [`${record.origin}: ${error.message}`];
        throw error;
      }
    });
    return [...new Set(faults.flat())];
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

import { RandomGenerator } from '../src/engine/random.ts';
import { InputError } from '../src/errors.ts';
import { sha256 } from '../src/io/checksum.ts';

/** Where a run stands in its data. JSON. */
export interface SamplerPosition {
  /** Counts from 1. */
  readonly epoch: number;
  /** Samples of this epoch that have been used. */
  readonly index: number;
}

/** The samples of one optimizer step. */
export interface SamplerDraw {
  readonly epoch: number;
  /** Up to `accumulation` lists of up to `batchSize` names. */
  readonly microBatches: readonly (readonly string[])[];
  /** Where the next step begins. */
  readonly next: SamplerPosition;
}

/** Lets samples of like length meet, so that less is computed on padding. */
export interface LengthGrouping {
  /** Optimizer steps whose samples are sorted by length together. */
  readonly steps: number;
  /** Tokens of a sample's sequence in an epoch: a function of the data alone. */
  readonly tokens: (name: string, epoch: number) => number;
}

export interface SamplerOptions {
  readonly names: readonly string[];
  readonly seed: number;
  readonly batchSize: number;
  readonly accumulation: number;
  /** Absent or null, samples meet by chance. */
  readonly lengthGrouping?: LengthGrouping | null;
  /** Times that a sample occurs in an epoch on average; 1 where its name is not there, and for all where absent or null. */
  readonly weights?: SampleWeights | null;
}

/** Times that samples occur in an epoch on average, by name. */
export type SampleWeights = ReadonlyMap<string, number>;

/**
 * Which samples make which optimizer step. Every epoch visits every sample once (without `weights`), in an order that depends on seed and
 * epoch alone; a step takes the next `batchSize` x `accumulation` samples, however they are divided.
 *
 * A step never mixes two epochs: the last one of an epoch takes what is left, so that no sample is lost. (The published
 * training drops the rest of each epoch instead.) Its loss and gradient are means over its own tokens. Where there are
 * fewer samples than a step takes, every step is a whole epoch.
 *
 * With `lengthGrouping` the order of an epoch is cut into windows of so many steps; the samples of each are sorted by
 * length and divided into steps, and all whole steps of the epoch are put into an order of chance. (transformers'
 * `group_by_length` sorts windows of 50 batches, too, and keeps the sorted order.) Then the order also depends on lengths
 * and on `batchSize` x `accumulation`.
 *
 * With `weights` a sample occurs several times in an epoch, or not in every one: as often as the whole part of its weight
 * says, and for the fraction f, of n samples of the same weight, n x f once more, drawn anew in each epoch. Over the first
 * e epochs these are e x n x f, rounded, so that epochs differ in length by one at most for each weight. Which ones are
 * drawn depends on seed, epoch and their names alone. The order of an epoch is one of chance as ever.
 *
 * Draws are functions of the position: nothing but it has to be kept to go on.
 */
export class EpochSampler {
  readonly #options: SamplerOptions;
  readonly #random: RandomGenerator;
  #order: { readonly epoch: number; readonly names: readonly string[] } | undefined;

  /** Samples by the fraction of their weight, where there is one. */
  readonly #fractions = new Map<number, string[]>();
  /** Sum of the whole parts of the weights. */
  readonly #wholeSize: number;

  /** @throws InputError `SAMPLES_NONE`, `SAMPLE_NAMES_REPEATED`, `SAMPLE_WEIGHTS_INVALID` */
  constructor(options: SamplerOptions) {
    const { names, seed, weights } = options;
    if (names.length === 0) {
      throw new InputError('SAMPLES_NONE', 'There is no sample to train on.');
    }
    const seen = new Set<string>();
    const repeated = names.filter((name) => seen.size === seen.add(name).size);
    if (repeated.length > 0) {
      throw new InputError(
        'SAMPLE_NAMES_REPEATED',
        `A sample is known by its name, and these names occur more than once: ${repeated.slice(0, 20).join(', ')}.`,
      );
    }
    const wrong = names.filter((name) => weights?.has(name) && !(weights.get(name)! > 0));
    if (wrong.length > 0) {
      throw new InputError(
        'SAMPLE_WEIGHTS_INVALID',
        `The weight of a sample is a number above 0; it is not of ${wrong.slice(0, 20).join(', ')}.`,
      );
    }
    this.#options = options;
    this.#random = new RandomGenerator(seed).split('sample order');
    this.#wholeSize = names.reduce((sum, name) => sum + Math.floor(this.#weight(name)), 0);
    for (const name of weights ? names : []) {
      const fraction = this.#weight(name) % 1;
      if (fraction === 0) continue;
      const alike = this.#fractions.get(fraction);
      if (alike === undefined) this.#fractions.set(fraction, [name]);
      else alike.push(name);
    }
  }

  /** Stands for the names and their order; another data set has another one. */
  get namesHash(): string {
    return sha256(JSON.stringify(this.#options.names));
  }

  #weight(name: string): number {
    return this.#options.weights?.get(name) ?? 1;
  }

  /** How many samples of the same fraction occur once more in an epoch. */
  #drawnOf(fraction: number, epoch: number): number {
    const perEpoch = this.#fractions.get(fraction)!.length * fraction;
    return Math.round(epoch * perEpoch) - Math.round((epoch - 1) * perEpoch);
  }

  /** The names of an epoch in the order of the data, each as often as it occurs. */
  #occurring(epoch: number): readonly string[] {
    const { names, weights } = this.#options;
    if (!weights) return names;
    const random = this.#random.split(`weight draw of epoch ${epoch}`);
    const drawn = new Set<string>();
    for (const [fraction, alike] of this.#fractions) {
      const ranked = alike.map((name) => ({ name, rank: random.split(name).uniform() }));
      ranked.sort((a, b) => a.rank - b.rank || (a.name < b.name ? -1 : 1));
      for (const { name } of ranked.slice(0, this.#drawnOf(fraction, epoch))) drawn.add(name);
    }
    return names.flatMap((name) =>
      Array<string>(Math.floor(this.#weight(name)) + (drawn.has(name) ? 1 : 0)).fill(name),
    );
  }

  /** Samples that an epoch visits. */
  size(epoch: number): number {
    const fractions = [...this.#fractions.keys()];
    return fractions.reduce((sum, fraction) => sum + this.#drawnOf(fraction, epoch), this.#wholeSize);
  }

  /** Optimizer steps of the first so many epochs; of a part of an epoch that part of its steps, rounded up. */
  stepsOf(epochs: number): number {
    const { batchSize, accumulation } = this.#options;
    const whole = Math.floor(epochs);
    const stepsIn = (epoch: number): number => Math.ceil(this.size(epoch) / (batchSize * accumulation));
    let steps = 0;
    for (let epoch = 1; epoch <= whole; epoch++) steps += stepsIn(epoch);
    return steps + Math.ceil((epochs - whole) * stepsIn(whole + 1));
  }

  /** All names in the order of an epoch. */
  order(epoch: number): readonly string[] {
    if (this.#order?.epoch !== epoch) {
      const names = this.#occurring(epoch);
      const permutation = this.#random.split(`epoch ${epoch}`).permutation(names.length);
      const drawn = Array.from(permutation, (index) => names[index]!);
      const { lengthGrouping } = this.#options;
      this.#order = { epoch, names: lengthGrouping ? this.#grouped(drawn, epoch, lengthGrouping) : drawn };
    }
    return this.#order.names;
  }

  /** The names of an epoch, drawn by chance, so that those of like length make a step. */
  #grouped(drawn: readonly string[], epoch: number, { steps: window, tokens }: LengthGrouping): string[] {
    const { batchSize, accumulation } = this.#options;
    const stepSize = batchSize * accumulation;
    const lengths = new Map(drawn.map((name) => [name, tokens(name, epoch)]));
    // Samples of equal length stay in the order in which they were drawn.
    const sorted = (names: readonly string[]) => [...names].sort((a, b) => lengths.get(b)! - lengths.get(a)!);
    // The short step at the end of an epoch has samples of chance, not the longest or shortest ones of every epoch.
    const whole = drawn.length - (drawn.length % stepSize);
    const steps: string[][] = [];
    for (let begin = 0; begin < whole; begin += window * stepSize) {
      const names = sorted(drawn.slice(begin, Math.min(begin + window * stepSize, whole)));
      for (let i = 0; i < names.length; i += stepSize) steps.push(names.slice(i, i + stepSize));
    }
    const order = this.#random.split(`step order of epoch ${epoch}`).permutation(steps.length);
    return [...Array.from(order, (index) => steps[index]!).flat(), ...sorted(drawn.slice(whole))];
  }

  /** The step that begins at `position`. */
  draw({ epoch, index }: SamplerPosition): SamplerDraw {
    const { batchSize, accumulation } = this.#options;
    const order = this.order(epoch);
    // Weights below 1 of few samples can leave an epoch without any.
    if (order.length === 0) return this.draw({ epoch: epoch + 1, index: 0 });
    const end = Math.min(index + batchSize * accumulation, order.length);
    const microBatches: string[][] = [];
    for (let begin = index; begin < end; begin += batchSize) {
      microBatches.push(order.slice(begin, Math.min(begin + batchSize, end)));
    }
    const next = end === order.length ? { epoch: epoch + 1, index: 0 } : { epoch, index: end };
    return { epoch, microBatches, next };
  }
}

/** Where a run begins. */
export const firstPosition: SamplerPosition = { epoch: 1, index: 0 };

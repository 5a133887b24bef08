import { RandomGenerator } from '../engine/random.ts';

/**
 * The draws that the quickstart's inventions need, on one of the engine's seeded streams. Streams are named, so
 * that a clip's face, voice and subtitle do not change when something else draws one number more.
 */
export class Random {
  readonly #generator: RandomGenerator;

  /** `stream` is a path of names, for instance `('clips', 'train', 12, 'face')`. */
  constructor(seed: number, ...stream: (string | number)[]) {
    this.#generator = new RandomGenerator(seed).split(stream.join('/'));
  }

  /** Uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * this.#generator.uniform();
  }

  /** Integer in [0, count). */
  integer(count: number): number {
    return this.#generator.integer(count);
  }

  /** Box-Muller; one value a call, so that the stream does not depend on what was drawn before. */
  normal(mean = 0, deviation = 1): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * this.uniform());
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.integer(items.length)]!;
  }

  /** A shuffled copy. */
  shuffle<T>(items: readonly T[]): T[] {
    return Array.from(this.#generator.permutation(items.length), (index) => items[index]!);
  }
}

/** White noise in [-1, 1): xorshift, cheap enough for every sample and every pixel. */
export class Noise {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) | 1;
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x / 2147483648;
  }
}

/** Which half of every range of identities, voices, positions and lighting a draw may use. */
export type Split = 'train' | 'test';

const STRIPES = 8;

/**
 * A number in [low, high) of which training and test never see the same values: the range is cut into eight
 * stripes, the even ones are for training (pretext training included), the odd ones for test.
 */
export function striped(random: Random, split: Split, low: number, high: number): number {
  return (
    low +
    ((high - low) * (2 * random.integer(STRIPES / 2) + (split === 'train' ? 0 : 1) + random.uniform())) /
      STRIPES
  );
}

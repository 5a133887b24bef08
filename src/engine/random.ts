/** What `RandomGenerator.restore` needs to go on where a generator stood. JSON. */
export interface RandomState {
  readonly key: readonly [number, number];
  readonly counter: number;
}

/**
 * Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): encrypts
 * 64-bit counters under a 64-bit key, all as two 32-bit words. The rounds stand one by one, without a loop, as the
 * bootstrap draws tens of millions of blocks.
 *
 * @param output its unsigned words `at` and `at + 1`, for every even `at`, become the block of counter `counter0 + at`,
 *   `counter1`; its length is even
 */
export function threefry2x32(
  key: readonly [number, number],
  counter0: number,
  counter1: number,
  output: Uint32Array,
): void {
  const k0 = key[0] | 0;
  const k1 = key[1] | 0;
  const k2 = k0 ^ k1 ^ 0x1bd11bda;
  for (let at = 0; at < output.length; at += 2) {
    let x0 = (counter0 + at + k0) | 0;
    let x1 = (counter1 + k1) | 0;
    // Rounds 1 to 4, and the key.
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
    x0 = (x0 + k1) | 0;
    x1 = (x1 + k2 + 1) | 0;
    // Rounds 5 to 8, and the key.
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
    x0 = (x0 + k2) | 0;
    x1 = (x1 + k0 + 2) | 0;
    // Rounds 9 to 12, and the key.
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
    x0 = (x0 + k0) | 0;
    x1 = (x1 + k1 + 3) | 0;
    // Rounds 13 to 16, and the key.
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
    x0 = (x0 + k1) | 0;
    x1 = (x1 + k2 + 4) | 0;
    // Rounds 17 to 20, and the key.
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
    x0 = (x0 + k2) | 0;
    x1 = (x1 + k0 + 5) | 0;
    output[at] = x0;
    output[at + 1] = x1;
  }
}

/**
 * Seeded random numbers, the same on every machine: block n of a stream is a cipher of n, so nothing is stored but
 * a key and a counter. `split` names independent streams, which do not depend on the order in which others are
 * used: `new RandomGenerator(seed).split('model.layers.0.mlp.up_proj.weight')` always draws the same weight.
 */
export class RandomGenerator {
  #key: readonly [number, number];
  readonly #block = new Uint32Array(2);
  #counter = 0;

  /** @param seed any integer that a double holds exactly */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`A seed has to be an integer, not ${seed}.`);
    this.#key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  }

  static restore(state: RandomState): RandomGenerator {
    const [low, high] = state.key;
    const generator = new RandomGenerator(0);
    generator.#key = [low >>> 0, high >>> 0];
    generator.#counter = state.counter;
    return generator;
  }

  get state(): RandomState {
    return { key: [this.#key[0], this.#key[1]], counter: this.#counter };
  }

  /** An independent stream for this name. Neither reads nor changes how far this one has been used. */
  split(name: string): RandomGenerator {
    const bytes = new TextEncoder().encode(name);
    // The last counter is never drawn, so that a stream and the keys split from it do not meet.
    let key = this.#encrypt(this.#key, 0xffffffff, 0xffffffff);
    for (let i = 0; i < bytes.length; i += 8) key = this.#encrypt(key, word(bytes, i), word(bytes, i + 4));
    key = this.#encrypt(key, bytes.length, 0xffffffff);
    return RandomGenerator.restore({ key, counter: 0 });
  }

  /** A double in [0, 1), 53 bits. */
  uniform(): number {
    this.#next();
    return ((this.#block[0]! >>> 5) * 2 ** 26 + (this.#block[1]! >>> 6)) * 2 ** -53;
  }

  /** An integer in [0, bound). */
  integer(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** The integers 0 to length - 1 in random order (Fisher and Yates). */
  permutation(length: number): Uint32Array {
    const order = Uint32Array.from({ length }, (_, i) => i);
    for (let i = length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swapped = order[i]!;
      order[i] = order[j]!;
      order[j] = swapped;
    }
    return order;
  }

  /** `count` float32 values spread evenly over [low, high], from 24 bits each. */
  uniformFloat32(count: number, low = 0, high = 1): Float32Array {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      if (i % 2 === 0) this.#next();
      values[i] = low + (high - low) * (this.#block[i % 2]! >>> 8) * 2 ** -24;
    }
    return values;
  }

  /** `count` float32 values of a normal distribution (Box and Muller), at most 5.9 deviations from its mean. */
  normalFloat32(count: number, mean = 0, deviation = 1): Float32Array {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i += 2) {
      this.#next();
      const radius = deviation * Math.sqrt(-2 * Math.log(((this.#block[0]! >>> 8) + 0.5) * 2 ** -24));
      const angle = 2 * Math.PI * (this.#block[1]! >>> 8) * 2 ** -24;
      values[i] = mean + radius * Math.cos(angle);
      if (i + 1 < count) values[i + 1] = mean + radius * Math.sin(angle);
    }
    return values;
  }

  #next(): void {
    threefry2x32(this.#key, this.#counter >>> 0, Math.floor(this.#counter / 2 ** 32), this.#block);
    this.#counter++;
  }

  #encrypt(key: readonly [number, number], counter0: number, counter1: number): [number, number] {
    const output = new Uint32Array(2);
    threefry2x32(key, counter0, counter1, output);
    return [output[0]!, output[1]!];
  }
}

/** Four bytes as a little-endian word; bytes past the end are 0. */
function word(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0
  );
}

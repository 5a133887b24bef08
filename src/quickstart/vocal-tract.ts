/** Samples per second of everything that is spoken. */
export const SAMPLE_RATE = 16_000;

/** Derivative of a Rosenberg pulse: rises over two thirds of the open phase, falls over the last, then silence. */
export function glottalPulse(phase: number, openQuotient: number): number {
  const rise = openQuotient * 0.67;
  if (phase < rise) return 0.5 * Math.sin((Math.PI * phase) / rise);
  if (phase < openQuotient) return -Math.sin((0.5 * Math.PI * (phase - rise)) / (openQuotient - rise));
  return 0;
}

/** Two-pole resonator with unit gain at zero frequency, as in Klatt's synthesiser. */
export class Resonator {
  #a = 1;
  #b = 0;
  #c = 0;
  #y1 = 0;
  #y2 = 0;

  tune(frequency: number, bandwidth: number): void {
    const radius = Math.exp((-Math.PI * bandwidth) / SAMPLE_RATE);
    this.#c = -radius * radius;
    this.#b = 2 * radius * Math.cos((2 * Math.PI * Math.min(frequency, 7000)) / SAMPLE_RATE);
    this.#a = 1 - this.#b - this.#c;
  }

  step(x: number): number {
    const y = this.#a * x + this.#b * this.#y1 + this.#c * this.#y2;
    this.#y2 = this.#y1;
    this.#y1 = y;
    return y;
  }
}

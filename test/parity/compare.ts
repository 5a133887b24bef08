import { AffectGptError } from '../../src/errors.ts';
import type { Comparison, GoldenTensor, ParityFixture } from './handler.ts';

/** What this program makes of an expected tensor. */
export interface Actual {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
  /** Whether an element means something; all do when absent. */
  readonly compared?: (index: number) => boolean;
  /**
   * What a relative tolerance refers to where the file names none and the tensor's own largest value is no measure,
   * because it is zero but for rounding.
   */
  readonly scale?: number;
  readonly note?: string;
}

/** Some of the expected tensors of a fixture and how they are computed. */
export interface Part {
  readonly gives: (name: string) => boolean;
  /**
   * Computes what is asked for and no more. A text in place of a tensor, or an absent entry, is the reason why it
   * cannot be; an error is the reason for all of them.
   */
  readonly compute: (names: readonly string[]) => Promise<Readonly<Record<string, Actual | string>>>;
}

/** Tolerances relative to the largest expected value, for tensors whose fixture names none (fp32). */
const relativeTolerance = { output: 1e-5, gradient: 2e-4 } as const;

/** Largest absolute value; NaN where there is one. */
export function largestOf(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]!);
    if (Number.isNaN(size)) return size;
    if (size > largest) largest = size;
  }
  return largest;
}

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const show = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** Equal shapes; a single number may have any number of axes. */
const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.join() === b.join() || (count(a) === 1 && count(b) === 1);

function toleranceOf(
  name: string,
  { dtype, max_abs_diff: given }: GoldenTensor,
  scale: number,
): { tolerance: number; note?: string } {
  if (given !== undefined && given !== null) return { tolerance: given };
  if (/int|bool/.test(dtype)) return { tolerance: 0, note: 'no tolerance given: has to be equal' };
  const kind = /(^|\.)grad(\.|$)/.test(name) ? 'gradient' : 'output';
  const relative = relativeTolerance[kind];
  const rule = `no tolerance given: ${relative} of the largest value, as for every ${kind}`;
  return { tolerance: relative * scale, note: rule };
}

const joined = (...notes: (string | undefined)[]): { note?: string } => {
  const given = notes.filter((note) => note !== undefined);
  return given.length === 0 ? {} : { note: given.join('; ') };
};

/** A tensor that could not be compared: a miss. */
export const missed = (tensor: string, tolerance: number | undefined, note: string): Comparison => ({
  tensor,
  maxAbsError: Number.NaN,
  maxRelError: Number.NaN,
  tolerance: tolerance ?? Number.NaN,
  ok: false,
  note,
});

/** Compares one expected tensor that the fixture holds. */
function compareTensor(fixture: ParityFixture, name: string, actual: Actual): Comparison {
  const golden = fixture.golden.tensors![name]!;
  const expected = fixture.tensors[name]!;
  const miss = (note: string): Comparison => missed(name, golden.max_abs_diff, note);
  if (expected.shape.join() !== golden.shape.join()) {
    return miss(`is ${show(expected.shape)} in golden.safetensors, ${show(golden.shape)} in golden.json`);
  }
  if (!sameShape(actual.shape, expected.shape)) {
    return miss(`has shape ${show(actual.shape)}, expected ${show(expected.shape)}`);
  }
  let maxAbsError = 0;
  let largest = 0;
  let compared = 0;
  for (let i = 0; i < expected.data.length; i++) {
    if (actual.compared !== undefined && !actual.compared(i)) continue;
    compared++;
    const value = expected.data[i]!;
    const difference = Math.abs(actual.data[i]! - value);
    if (!(difference <= maxAbsError)) maxAbsError = difference;
    if (Number.isNaN(difference)) break;
    largest = Math.max(largest, Math.abs(value));
  }
  if (compared === 0) return miss('none of its elements can be compared');
  if (Number.isNaN(maxAbsError)) {
    const side = Array.from(expected.data).some((value) => !Number.isFinite(value)) ? 'expected' : 'computed';
    return miss(`holds ${side} values that are not finite`);
  }
  const { tolerance, note } = toleranceOf(name, golden, actual.scale ?? largest);
  return {
    tensor: name,
    maxAbsError,
    maxRelError: maxAbsError === 0 ? 0 : maxAbsError / largest,
    tolerance,
    ok: maxAbsError <= tolerance,
    ...joined(actual.note, note),
  };
}

/** Names of the expected tensors of a fixture, in its order. */
const expectedNames = ({ golden }: ParityFixture): string[] =>
  Object.keys(golden.tensors ?? {}).filter((name) => golden.tensors![name]!.role === 'expected');

export const reasonOf = (thrown: unknown): string =>
  thrown instanceof AffectGptError ? `${thrown.code}: ${thrown.message}` : String(thrown);

/**
 * Compares every expected tensor of a fixture. What no part gives is a miss, and so is everything asked of a part
 * that fails.
 */
export async function compareParts(fixture: ParityFixture, parts: readonly Part[]): Promise<Comparison[]> {
  const names = expectedNames(fixture);
  const asked = new Map<Part, string[]>();
  const actuals = new Map<string, Actual | string>();
  for (const name of names) {
    if (fixture.tensors[name] === undefined) {
      actuals.set(name, 'golden.safetensors does not hold it');
      continue;
    }
    const part = parts.find(({ gives }) => gives(name));
    if (part !== undefined) asked.set(part, [...(asked.get(part) ?? []), name]);
  }
  for (const [part, partNames] of asked) {
    try {
      const results = await part.compute(partNames);
      for (const name of partNames) actuals.set(name, results[name] ?? 'is not computed by this model');
    } catch (error) {
      const [first, ...others] = partNames;
      actuals.set(first!, reasonOf(error));
      for (const name of others) actuals.set(name, `fails as ${first} does`);
    }
  }
  return names.map((name) => {
    const actual =
      actuals.get(name) ??
      `is not known: no rule says what a fixture "${fixture.golden.fixture}" means by it`;
    return typeof actual === 'string'
      ? missed(name, fixture.golden.tensors![name]!.max_abs_diff, actual)
      : compareTensor(fixture, name, actual);
  });
}

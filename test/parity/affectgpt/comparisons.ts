import { largestOf, missed } from '../compare.ts';
import type { Comparison } from '../handler.ts';

/** The rules of a folder of results of the published code, stated in words in the `compare` of its `golden.json`. */
export interface Rules {
  /** Floats: share of the tensor's largest value, and what is added. */
  readonly relative: number;
  readonly absolute: number;
  /** Losses, relative to the expected one. */
  readonly loss: number;
  /** After optimizer steps: at least this share of the elements is `near`, and every one within `far`. */
  readonly share: number;
  readonly near: number;
  readonly far: number;
}

const number = '([\\d.]+(?:e[-+]?\\d+)?)';
const sentences = [
  new RegExp(`<= ${number} \\* max \\|golden\\| \\+ ${number} per tensor`),
  new RegExp(`losses within ${number} relative`),
  new RegExp(`at least ${number}% of the elements within ${number}, every element within ${number}`),
];

/** Reads the rules out of the text; undefined where it says something else. */
export function parseRules(text: string): Rules | undefined {
  const [floats, losses, after] = sentences.map((sentence) => sentence.exec(text)?.slice(1).map(Number));
  if (floats === undefined || losses === undefined || after === undefined) return undefined;
  return {
    relative: floats[0]!,
    absolute: floats[1]!,
    loss: losses[0]!,
    share: after[0]! / 100,
    near: after[1]!,
    far: after[2]!,
  };
}

/** A stored result that no rule of this program explains: a miss. */
export const unknown = (name: string): Comparison =>
  missed(name, undefined, 'is not known: no rule says what a fixture "affectgpt" means by it');

/** Keys of an object that nobody reads. */
export const unknownKeys = (where: string, object: object, known: ReadonlySet<string>): Comparison[] =>
  Object.keys(object)
    .filter((key) => !known.has(key))
    .map((key) => unknown(`${where}${key}`));

const noted = (note: string | undefined): { note?: string } => (note === undefined ? {} : { note });

interface Numbers {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Largest difference of two lists; NaN where either has one. */
function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (Number.isNaN(difference)) return difference;
    if (difference > largest) largest = difference;
  }
  return largest;
}

/**
 * A tensor under the rule for floats.
 * @param least smallest tolerance, where the expected values are zero but for the rounding of larger ones
 */
export function close(name: string, actual: Numbers, expected: Numbers, rules: Rules, least = 0): Comparison {
  if (actual.shape.join() !== expected.shape.join()) {
    return missed(name, undefined, `has shape [${actual.shape}], expected [${expected.shape}]`);
  }
  const largest = largestOf(expected.data);
  const maxAbsError = largestDifference(actual.data, expected.data);
  const stated = rules.relative * largest + rules.absolute;
  const tolerance = Math.max(stated, least);
  return {
    tensor: name,
    maxAbsError,
    maxRelError: maxAbsError === 0 ? 0 : maxAbsError / largest,
    tolerance,
    ok: maxAbsError <= tolerance,
    ...noted(least > stated ? 'zero but for the rounding of what was added up' : undefined),
  };
}

/** Numbers of a JSON file under the rule for floats. */
export const closeList = (
  name: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  rules: Rules,
  least?: number,
): Comparison =>
  close(
    name,
    { shape: [actual.length], data: actual },
    { shape: [expected.length], data: expected },
    rules,
    least,
  );

/** A number within a tolerance of its own. */
export function within(
  name: string,
  actual: number,
  expected: number,
  tolerance: number,
  note?: string,
): Comparison {
  const maxAbsError = Math.abs(actual - expected);
  return {
    tensor: name,
    maxAbsError,
    maxRelError: maxAbsError === 0 ? 0 : maxAbsError / Math.abs(expected),
    tolerance,
    ok: maxAbsError <= tolerance,
    ...noted(note),
  };
}

export const loss = (name: string, actual: number, expected: number, rules: Rules): Comparison =>
  within(name, actual, expected, rules.loss * Math.abs(expected));

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
};

/**
 * Ids, indices or strings that have to be equal one by one. The error counts those that are not; a list that is too
 * long or too short counts what it has too many or too few.
 */
export function equal(
  name: string,
  actual: ArrayLike<unknown>,
  expected: ArrayLike<unknown>,
  note?: string,
): Comparison {
  const length = Math.max(actual.length, expected.length);
  const wrong: number[] = [];
  for (let i = 0; i < length; i++) if (!Object.is(actual[i], expected[i])) wrong.push(i);
  const first = wrong[0];
  const what =
    first === undefined
      ? note
      : `${wrong.length} of ${length} differ, the first at ${first}: ${shown(actual[first])}, expected ${shown(expected[first])}`;
  return {
    tensor: name,
    maxAbsError: wrong.length,
    maxRelError: wrong.length === 0 ? 0 : wrong.length / length,
    tolerance: 0,
    ok: wrong.length === 0,
    ...noted(what),
  };
}

/** The same names, whatever their order. */
export function sameNames(
  name: string,
  actual: Iterable<string>,
  expected: Iterable<string>,
  note?: string,
): Comparison {
  const [ours, theirs] = [new Set(actual), new Set(expected)];
  const missing = [...theirs].filter((one) => !ours.has(one));
  const added = [...ours].filter((one) => !theirs.has(one));
  const count = missing.length + added.length;
  const list = (what: string, names: string[]): string[] =>
    names.length === 0 ? [] : [`${what} ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', ...' : ''}`];
  return {
    tensor: name,
    maxAbsError: count,
    maxRelError: count === 0 ? 0 : count / Math.max(theirs.size, 1),
    tolerance: 0,
    ok: count === 0,
    ...noted(count === 0 ? note : [...list('missing', missing), ...list('not expected', added)].join('; ')),
  };
}

/** The rule for parameters after optimizer steps, which turn rounding noise into steps: two comparisons. */
export function afterSteps(name: string, actual: Numbers, expected: Numbers, rules: Rules): Comparison[] {
  if (actual.shape.join() !== expected.shape.join()) {
    return [missed(name, undefined, `has shape [${actual.shape}], expected [${expected.shape}]`)];
  }
  const { data } = expected;
  let beyond = 0;
  for (let i = 0; i < data.length; i++) {
    if (!(Math.abs(actual.data[i]! - data[i]!) <= rules.near)) beyond++;
  }
  const maxAbsError = largestDifference(actual.data, data);
  const share = beyond / data.length;
  const allowed = 1 - rules.share;
  return [
    {
      tensor: name,
      maxAbsError,
      maxRelError: maxAbsError === 0 ? 0 : maxAbsError / largestOf(data),
      tolerance: rules.far,
      ok: maxAbsError <= rules.far,
      note: 'every element',
    },
    {
      tensor: `${name} (share)`,
      maxAbsError: share,
      maxRelError: share,
      tolerance: allowed,
      // Shares are quotients of whole numbers: 0.5 % of them is allowed, rounding included.
      ok: share <= allowed + 1e-12,
      note: `share of the elements further than ${rules.near} away (${beyond} of ${data.length})`,
    },
  ];
}

/** Nothing is computed for this, and the reason. */
export const notCompared = (name: string, reason: string): Comparison => ({
  tensor: name,
  maxAbsError: 0,
  maxRelError: 0,
  tolerance: 0,
  ok: true,
  note: `not compared: ${reason}`,
});

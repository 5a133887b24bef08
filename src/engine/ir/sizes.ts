/** `coefficient` times powers of named dimensions; a plain number has no powers. */
export interface SizeExpression {
  readonly coefficient: number;
  /** Exponents by dimension, only those above zero. */
  readonly powers: Readonly<Record<string, number>>;
}

export type Dimensions = Readonly<Record<string, number>>;

export const constantSize = (coefficient: number): SizeExpression => ({ coefficient, powers: {} });

export const isConstant = (size: SizeExpression): boolean => Object.keys(size.powers).length === 0;

export function evaluateSize(size: SizeExpression, dimensions: Dimensions): number {
  return Object.entries(size.powers).reduce(
    (product, [name, power]) => product * dimensions[name]! ** power,
    size.coefficient,
  );
}

/** All products of up to `degree` of the named dimensions, the single dimensions first. */
export function monomials(names: readonly string[], degree = 3): Record<string, number>[] {
  let level: Record<string, number>[] = [{}];
  const all: Record<string, number>[] = [];
  const seen = new Set<string>();
  for (let d = 0; d < degree; d++) {
    level = level.flatMap((powers) =>
      names.flatMap((name) => {
        const next = { ...powers, [name]: (powers[name] ?? 0) + 1 };
        const key = names.map((n) => next[n] ?? 0).join();
        if (seen.has(key)) return [];
        seen.add(key);
        return [next];
      }),
    );
    all.push(...level);
  }
  return all;
}

/**
 * Finds the expression that is `first` at one assignment of the dimensions and `second` at the other.
 * Returns `undefined` where there is none.
 */
export function solveSize(
  first: number,
  second: number,
  at: readonly [Dimensions, Dimensions],
  candidates: readonly Record<string, number>[],
): SizeExpression | undefined {
  if (first === second) return constantSize(first);
  for (const powers of candidates) {
    const u = evaluateSize({ coefficient: 1, powers }, at[0]);
    const v = evaluateSize({ coefficient: 1, powers }, at[1]);
    const coefficient = first / u;
    if (Number.isInteger(coefficient) && coefficient !== 0 && coefficient * v === second) {
      return { coefficient, powers };
    }
  }
  return undefined;
}

const primes = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97];

/** Whether two different products have the same ratio between the two assignments, so that a size could be read as either. */
function coincide(
  candidates: readonly Record<string, number>[],
  at: readonly [Dimensions, Dimensions],
): boolean {
  const ratios = new Set<string>(['1']);
  for (const powers of candidates) {
    const size = { coefficient: 1, powers };
    const ratio = (evaluateSize(size, at[1]) / evaluateSize(size, at[0])).toPrecision(12);
    if (ratios.has(ratio)) return true;
    ratios.add(ratio);
  }
  return false;
}

/**
 * Three assignments of the dimensions: two to solve sizes with, one to verify. Chosen so that no two products of
 * dimensions look alike.
 */
export function traceAssignments(
  free: readonly string[],
  derived: Readonly<Record<string, (dimensions: Record<string, number>) => number>>,
): [Dimensions, Dimensions, Dimensions] {
  const names = [...free, ...Object.keys(derived)];
  const candidates = monomials(names);
  const complete = (base: Record<string, number>): Dimensions => {
    const all = { ...base };
    for (const [name, rule] of Object.entries(derived)) all[name] = rule(all);
    return all;
  };
  for (let attempt = 0; attempt < 100; attempt++) {
    const assignments = [0, 1, 2].map((k) =>
      complete(
        Object.fromEntries(
          free.map((name, i) => [
            name,
            primes[(i * (attempt + 2) + k * (free.length + 1) + attempt) % primes.length]!,
          ]),
        ),
      ),
    ) as [Dimensions, Dimensions, Dimensions];
    const distinct = new Set(names.map((name) => assignments[0][name]));
    if (distinct.size < names.length) continue;
    if (names.some((name) => assignments[0][name] === assignments[1][name])) continue;
    if (!coincide(candidates, [assignments[0], assignments[1]])) return assignments;
  }
  throw new Error(`no distinguishable sizes found for the dimensions ${names.join(', ')}`);
}

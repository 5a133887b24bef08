/** Arithmetic mean; NaN of nothing. */
export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard deviation of a sample (divided by n - 1); undefined with fewer than two values. */
export function sampleDeviation(values: readonly number[]): number | undefined {
  if (values.length < 2) return undefined;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

/** More pairs than that are not counted one by one: 2^20 sign patterns take a second. */
const mostPairs = 20;

/** Fewest pairs with which a two-sided sign-flip test can come below 0.05: 2 / 2^6 = 0.031. */
export const fewestPairs = 6;

/** What a test over pairs says. */
export interface SignFlipTest {
  readonly pairs: number;
  /** Two-sided; null where so few pairs cannot come below 0.05, whatever they are. */
  readonly pValue: number | null;
}

/**
 * Exact paired permutation test: how often the mean of the differences is at least as far from zero when each may have
 * either sign, as it would where nothing differs.
 *
 * @param differences one a pair; of more than 20 the first 20 are taken
 */
export function signFlipTest(differences: readonly number[]): SignFlipTest {
  const taken = differences.slice(0, mostPairs);
  if (taken.length < fewestPairs) return { pairs: taken.length, pValue: null };
  const observed = Math.abs(taken.reduce((sum, one) => sum + one, 0));
  // Sums of the same numbers in another order differ in the last bits.
  const least = observed - 1e-12 * taken.reduce((sum, one) => sum + Math.abs(one), 0);
  const patterns = 2 ** taken.length;
  let extreme = 0;
  for (let pattern = 0; pattern < patterns; pattern++) {
    let sum = 0;
    for (const [i, one] of taken.entries()) sum += pattern & (1 << i) ? -one : one;
    if (Math.abs(sum) >= least) extreme++;
  }
  return { pairs: taken.length, pValue: extreme / patterns };
}

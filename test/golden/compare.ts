import type { GoldenResult, GoldenStep } from './runs.ts';

/**
 * Relative differences that are no change of the program. What is drawn, read and counted is the same everywhere; sums in
 * float32 are not: another engine - other kernels, other orders of summation, as on another processor - differs after ten
 * steps by 4e-7 in the loss, 1.4e-6 in the norm of the gradient and 2e-8 in the length of the weights. Of these the
 * tolerances leave a multiple, and less than half of what doubling the weight decay does (5e-6 of the weights).
 */
export const tolerances = { loss: 1e-5, gradNorm: 1e-4, weights: 1e-6, lr: 1e-12 } as const;

/** The same bits are only promised on the same kind of processor. */
const isClose = (now: number, before: number, tolerance: number): boolean =>
  now === before || Math.abs(now - before) <= tolerance * Math.abs(before);

function difference(what: string, before: unknown, now: unknown): string {
  const size =
    typeof before === 'number' && typeof now === 'number' && before !== 0
      ? ` (${(now / before - 1).toExponential(1)})`
      : '';
  const show = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value));
  return `${what}: ${show(before)} → ${show(now)}${size}`;
}

function stepDifferences(before: GoldenStep, now: GoldenStep): string[] {
  const exact = (['step', 'epoch', 'names', 'tokens', 'supervisedTokens'] as const).filter(
    (key) => JSON.stringify(before[key]) !== JSON.stringify(now[key]),
  );
  const close = (['lr', 'loss', 'gradNorm'] as const).filter(
    (key) => !isClose(now[key], before[key], tolerances[key]),
  );
  return [...exact, ...close].map((key) => difference(`step ${before.step}, ${key}`, before[key], now[key]));
}

/** What is not as stored, one line each, old → new; empty where all is. */
export function goldenDifferences(stored: GoldenResult | undefined, now: GoldenResult): string[] {
  if (stored === undefined) return ['nothing is stored yet'];
  const found: string[] = [];
  if (stored.steps.length !== now.steps.length) {
    found.push(difference('steps', stored.steps.length, now.steps.length));
  }
  stored.steps.slice(0, now.steps.length).forEach((before, i) => {
    found.push(...stepDifferences(before, now.steps[i]!));
  });
  for (const module of new Set([...Object.keys(stored.weights), ...Object.keys(now.weights)])) {
    const [before, after] = [stored.weights[module], now.weights[module]];
    const same = before !== undefined && after !== undefined && isClose(after, before, tolerances.weights);
    if (!same) found.push(difference(`weights of ${module}`, before, after));
  }
  return found;
}

import { type CompareCase, caseName } from './cases.ts';
import { type Figures, isFigures, type Outcome } from './contest.ts';

/**
 * Contestants of a case by what a row calls them. `ours16` ran beside the two bf16 modes, at another time than `ours`; there
 * is no `ours` where it computes in bf16 itself.
 */
export type Outcomes = Readonly<Partial<Record<OutcomeName, Outcome>>>;
const outcomeNames = ['ours', 'eager', 'compiled', 'ours16', 'eager16', 'compiled16'] as const;
export type OutcomeName = (typeof outcomeNames)[number];

/** One thing that was timed: a step, a sample, a prompt, a new token. */
export interface Timed {
  readonly name: string;
  readonly of: (figures: Figures) => number | null;
}

/**
 * What is timed in a case: of answers the prompt and each new token.
 *
 * @param variant ends the names: an engine other than the default, or a precision
 */
export function timedParts(one: Pick<CompareCase, 'bench' | 'size'>, variant = ''): readonly Timed[] {
  const ms = (figures: Figures): number => figures.ms;
  if (one.bench !== 'generate') return [{ name: `${caseName(one)}${variant}`, of: ms }];
  return [
    { name: `${caseName(one)}, prompt${variant}`, of: (figures) => figures.promptMs },
    { name: `${caseName(one)}, a token${variant}`, of: ms },
  ];
}

/** Whom the goals of a case are about, and how many times as fast is due; null where nothing is. */
export function goalOf(one: CompareCase, outcomes: Outcomes) {
  const { ours, eager, compiled, ours16, eager16, compiled16 } = outcomes;
  const isBf16 = ours === undefined && ours16 !== undefined;
  if (isBf16) return { own: ours16, peers: [eager16, compiled16], due: one.bf16SpeedDue ?? null, isBf16 };
  return { own: ours, peers: [eager, compiled], due: one.speedDue, isBf16 };
}

/** The least of some value among those that have one; null where none has. */
export function least(
  outcomes: readonly (Outcome | undefined)[],
  of: (figures: Figures) => number | null,
): number | null {
  const values = outcomes.filter(isFigures).flatMap((figures) => of(figures) ?? []);
  return values.length === 0 ? null : Math.min(...values);
}

/** How many times as fast ours is as the better of both modes; null where one side has no figure. */
export function speedRatio(timed: Timed, ours: Outcome | undefined, peers: readonly (Outcome | undefined)[]) {
  const own = least([ours], timed.of);
  const best = least(peers, timed.of);
  return own === null || best === null ? null : best / own;
}

/** Our peak memory as a share of the smaller peak of both modes. */
export function memoryShare(
  ours: Outcome | undefined,
  peers: readonly (Outcome | undefined)[],
): number | null {
  const own = least([ours], ({ peakMb }) => peakMb);
  const best = least(peers, ({ peakMb }) => peakMb);
  return own === null || best === null ? null : own / best;
}

/** Which goals of a case do not hold, in words. A figure that is missing holds no goal. */
export function brokenGoals(one: CompareCase, outcomes: Outcomes, variant = ''): string[] {
  const { own, peers, due, isBf16 } = goalOf(one, outcomes);
  if (due === null) return [];
  const broken = timedParts(one, variant).flatMap((timed) => {
    const ratio = speedRatio(timed, own, peers);
    if (ratio === null) return [`${timed.name}: not compared, ${due} times as fast is due`];
    return ratio >= due ? [] : [`${timed.name}: ${ratio.toFixed(2)} times as fast, ${due} is due`];
  });
  if (one.memoryDue === undefined || isBf16) return broken;
  const share = memoryShare(own, peers);
  const name = `${caseName(one)}${variant}`;
  if (share === null) return [...broken, `${name}: memory not compared`];
  if (share <= one.memoryDue) return broken;
  return [
    ...broken,
    `${name}: ${share.toFixed(2)} of PyTorch's peak memory, at most ${one.memoryDue} is due`,
  ];
}

/** What takes a place. */
export interface Contestant {
  /** Undefined where it takes none. */
  readonly score: number | undefined;
  readonly interval: { readonly low: number; readonly high: number } | undefined;
}

/** A place, and the places that cannot be told from it. */
export interface Place {
  /** One more than there are higher scores. */
  readonly rank: number;
  /**
   * Ends of the places that its interval leaves open: those whose whole interval is higher are surely before it, those whose
   * whole interval is lower surely behind it. Undefined where it has no interval.
   */
  readonly range: readonly [best: number, worst: number] | undefined;
}

/** The place of each, among those that have a score; undefined for the others. */
export function places(contestants: readonly Contestant[]): (Place | undefined)[] {
  const scored = contestants.filter(({ score }) => score !== undefined);
  // Without an interval a score is as good as certain.
  const low = ({ score, interval }: Contestant): number => interval?.low ?? score!;
  const high = ({ score, interval }: Contestant): number => interval?.high ?? score!;
  const count = (isCounted: (other: Contestant) => boolean): number => scored.filter(isCounted).length;
  return contestants.map((one) => {
    if (one.score === undefined) return undefined;
    const rank = 1 + count(({ score }) => score! > one.score!);
    if (one.interval === undefined) return { rank, range: undefined };
    const surelyBefore = count((other) => low(other) > high(one));
    const surelyBehind = count((other) => high(other) < low(one));
    return { rank, range: [1 + surelyBefore, scored.length - surelyBehind] };
  });
}

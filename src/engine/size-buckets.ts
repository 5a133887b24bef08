/** A series of sizes: the least one, and from there on so many in each doubling, at equal distances. */
export interface SizeBuckets {
  /** A power of two, no smaller than `perDoubling`. */
  readonly least: number;
  readonly perDoubling: 1 | 2 | 4;
}

/**
 * The smallest size of a series that holds `size`, for engines with `fixedSizes`: with four in a doubling 64, 80, 96, 112,
 * 128, 160, ...
 *
 * What is added to a size above the least is below a quarter of it with four in a doubling, below a half with two and less
 * than the size itself with one; on average, where all sizes are equally likely, 9, 18 and 39 %. With k in a doubling
 * there are k n + 1 from the least size to 2^n times it.
 */
export function bucketOf(size: number, { least, perDoubling }: SizeBuckets): number {
  if (size <= least) return least;
  let below = least;
  while (below * 2 < size) below *= 2;
  const step = below / perDoubling;
  return below + Math.ceil((size - below) / step) * step;
}

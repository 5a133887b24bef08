import type { Collective, Numbers } from '../../src/collective/collective.ts';

/** What a rank has brought to a meeting. */
interface Brought {
  readonly kind: string;
  readonly arrays: readonly (Numbers | Uint8Array)[];
  readonly go: () => void;
}

/** Ranks within this process, connected by promises: what MPI does between processes, for loops that run at the same time. */
export function localRanks(size: number): Collective[] {
  const arrived: Brought[][] = Array.from({ length: size }, () => []);
  const exchange = (): void => {
    while (arrived.every((queue) => queue.length > 0)) {
      const all = arrived.map((queue) => queue.shift()!);
      const sizes = all.map(({ kind, arrays }) => `${kind} ${arrays.map(({ length }) => length)}`);
      if (new Set(sizes).size > 1) throw new Error(`Ranks are at different places: ${sizes.join('; ')}`);
      const [first, ...others] = all as [Brought, ...Brought[]];
      for (const [i, target] of first.arrays.entries()) {
        for (const { arrays } of others) {
          const theirs = arrays[i]!;
          if (first.kind === 'allReduce') for (let k = 0; k < target.length; k++) target[k]! += theirs[k]!;
        }
        for (const { arrays } of others) arrays[i]!.set(target);
      }
      for (const { go } of all) go();
    }
  };
  return Array.from({ length: size }, (_, rank): Collective => {
    const meet = (kind: string, arrays: Brought['arrays'] = []) =>
      new Promise<void>((go) => {
        arrived[rank]!.push({ kind, arrays, go });
        exchange();
      });
    return {
      rank,
      size,
      describe: (other) => `rank ${other} of a test`,
      allReduce: (...arrays) => meet('allReduce', arrays),
      broadcast: (...arrays) => meet('broadcast', arrays),
      barrier: () => meet('barrier'),
      close: () => meet('close'),
      abort: (exitCode) => {
        throw new Error(`abort ${exitCode}`);
      },
    };
  });
}

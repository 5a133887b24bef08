import { suggest } from '../../config/suggest.ts';
import { firstOf, InputError } from '../../errors.ts';
import type { BenchmarkKey } from './datasets.ts';
import type { Protocol } from './metrics/result.ts';

/** Names of the checkpoints that there are answers of, of one set. */
export interface Candidates {
  readonly key: BenchmarkKey;
  readonly names: readonly string[];
}

const namesShown = 30;

const list = (names: readonly string[]): string => firstOf(names, namesShown);

/**
 * Which checkpoints are scored: all of them under `paper`, which then takes the best of each set; one and the same for all
 * sets under `strict`.
 *
 * @param pick the name of that one
 * @returns undefined for all
 * @throws InputError `PICK_REQUIRED` where there are several and none is named, `PICK_UNKNOWN`, `PICK_UNDER_PAPER`
 */
export function selectCheckpoint(
  sets: readonly Candidates[],
  { protocol, pick }: { readonly protocol: Protocol; readonly pick: string | undefined },
): string | undefined {
  if (protocol === 'paper') {
    if (pick === undefined) return undefined;
    throw new InputError(
      'PICK_UNDER_PAPER',
      'The protocol "paper" takes the best checkpoint of each set, so none can be picked. Leave out --pick, or use --protocol strict.',
    );
  }
  const all = [...new Set(sets.flatMap(({ names }) => names))];
  if (pick === undefined) {
    if (all.length === 1) return all[0]!;
    const everywhere = all.filter((name) => sets.every(({ names }) => names.includes(name)));
    throw new InputError(
      'PICK_REQUIRED',
      `There are answers of ${all.length} checkpoints, and the protocol "strict" scores one that was chosen beforehand. Name it with --pick: ${list(everywhere.length > 0 ? everywhere : all)}.`,
    );
  }
  const without = sets.filter(({ names }) => !names.includes(pick));
  if (without.length === 0) return pick;
  const names = [...new Set(without.flatMap((set) => set.names))];
  const meant = suggest(pick, names);
  throw new InputError(
    'PICK_UNKNOWN',
    `There are no answers of a checkpoint "${pick}" on ${without.map(({ key }) => key).join(', ')}.${meant === undefined ? '' : ` Did you mean "${meant}"?`} There are: ${list(names)}.`,
  );
}

/** The checkpoint with the highest score, the first of equal ones; NaN is never best. */
export function bestOf<Checkpoint extends { readonly result: { readonly score: number } }>(
  checkpoints: readonly Checkpoint[],
): Checkpoint | undefined {
  let best: Checkpoint | undefined;
  for (const checkpoint of checkpoints) {
    const { score } = checkpoint.result;
    if (!Number.isNaN(score) && (best === undefined || score > best.result.score)) best = checkpoint;
  }
  return best;
}

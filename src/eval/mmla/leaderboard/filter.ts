import { type SizeClass, sizeClassOf } from './models.ts';
import type { BoardMethod, BoardModality, LeaderboardRow } from './row.ts';

/** Which published rows are shown; all where nothing is said. */
export interface RowFilter {
  readonly method?: Exclude<BoardMethod, 'floor'>;
  readonly modality?: BoardModality;
  readonly size?: SizeClass;
}

/** Whether a row stays whatever is filtered: reports that were named, and floors, which are there to compare with. */
export const alwaysStays = ({ vintage }: LeaderboardRow): boolean =>
  vintage === 'ours' || vintage === 'floor';

/** Whether a row is shown. */
export function isChosen(row: LeaderboardRow, { method, modality, size }: RowFilter): boolean {
  if (alwaysStays(row)) return true;
  return (
    (method === undefined || row.method === method) &&
    (modality === undefined || row.modality === modality) &&
    (size === undefined || sizeClassOf(row.parameters) === size)
  );
}

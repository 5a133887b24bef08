import type { Average } from './averages.ts';
import { isWhole } from './averages.ts';
import type { BoardEntry, Leaderboard } from './board.ts';
import { noteTexts } from './cells.ts';
import { cellInterval } from './intervals.ts';
import { referencesOn } from './published.ts';
import { type BoardInterval, vintageTitles } from './row.ts';

const interval = (one: BoardInterval | undefined) => one ?? null;

/** `value` is null where tasks are missing; `present` is over those that are there. */
const average = (one: Average | undefined) =>
  one === undefined
    ? null
    : {
        value: isWhole(one) ? one.value : null,
        ...{ present: one.value, tasks: one.tasks, of: one.of, interval: interval(one.interval) },
        isDoubtful: one.isDoubtful,
      };

function entryJson(entry: BoardEntry, { metric, tasks }: Leaderboard) {
  const { row, place, score, micro, mean, dimensions, disagreement } = entry;
  return {
    rank: place?.rank ?? null,
    rankRange: place?.range ?? null,
    rankedBy: place === undefined ? null : (score?.from ?? null),
    ...{ model: row.model, parameters: row.parameters, modality: row.modality, method: row.method },
    ...{ vintage: vintageTitles[row.vintage], isOurs: row.vintage === 'ours' },
    ...{ source: row.source, notes: noteTexts(entry, metric) },
    micro: average(micro),
    mean: average(mean),
    published: row.published ?? null,
    disagreement: disagreement ?? null,
    dimensions: Object.fromEntries(Object.entries(dimensions).map(([name, one]) => [name, average(one)])),
    tasks: Object.fromEntries(
      tasks.flatMap(({ key }) => {
        const cell = row.cells[key];
        if (cell === undefined) return [];
        const { metrics, samples, deviations, doubts } = cell;
        return [
          [
            key,
            {
              ...{ n: samples, metrics, interval: interval(cellInterval(cell, metric)) },
              ...(deviations && { deviations }),
              ...(doubts && { doubts }),
            },
          ],
        ];
      }),
    ),
  };
}

/** What `--json` prints and `leaderboard.json` holds; numbers in percent. */
export function leaderboardJson(board: Leaderboard) {
  const { metric, filter, tasks, entries } = board;
  return {
    ...{ benchmark: 'mmla', metric },
    filter: { mode: filter.method ?? null, modality: filter.modality ?? null, size: filter.size ?? null },
    tasks: tasks.map(({ key }) => key),
    rows: entries.map((entry) => entryJson(entry, board)),
    references: referencesOn(board),
  };
}

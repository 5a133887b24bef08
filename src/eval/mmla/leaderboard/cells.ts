import type { MmlaTask, MmlaTaskKey } from '../../../data/mmla/tasks.ts';
import { type Average, isWhole } from './averages.ts';
import { type BoardEntry, samplesOf } from './board.ts';
import { type BoardMetric, methodTitles, modalityTitles } from './row.ts';

/** What a number may carry, and what it means. */
export const marks = {
  /** Of a reading. */
  doubt: '†',
  disagreement: '≠',
  wilson: 'ʷ',
  published: 'ᵖ',
} as const;

/** Where there is nothing. */
export const none = '—';

const fixed = (value: number): string => value.toFixed(2);

/** What the marks and dashes mean; `metric` is what averages over `tasks` are of. */
export function legend(metric: BoardMetric, tasks: readonly MmlaTask[]): string[] {
  const isAccuracy = metric === 'ACC';
  const sizes = `the test sizes of the published leaderboards (${samplesOf(tasks).toLocaleString('en')} in all)`;
  return [
    isAccuracy
      ? `Micro: sum of n × ACC over sum of n with ${sizes}, as they compute their score. Mean: every task counts the same.`
      : `Micro: mean of ${metric} weighted by ${sizes}. Mean: every task counts the same. Published scores are of ACC only.`,
    `${none} (x over k of ${tasks.length}): undefined, because tasks are missing; x is the average over those that are there and not to be compared with others.`,
    'Rank (best–worst): places among the rows shown. Rows whose whole 95 % interval is higher are surely before, those whose whole interval is lower surely behind; the other places are open.',
    ...(isAccuracy
      ? [
          `${marks.wilson} interval by Wilson from the number of samples, since none is reported (of averages: for one of their tasks at least). It leaves out what other seeds would give. Intervals of averages: those of the tasks, weighted, added in squares.`,
          `${marks.published} ranked by the published score, because numbers of tasks are missing; the interval is of that score.`,
          `${marks.disagreement} the published score differs by more than 0.03 from what these numbers come to: the paper mixes two vintages of its results.`,
        ]
      : []),
    `${marks.doubt} a number of the published table that is known to be misread, shown as it was read, or an average with such a number.`,
    'Other numbers of a model that has a place already (another table of the same paper) take none. Reports that were given and floors stay whatever is filtered.',
  ];
}

/** `3 (2–5)ᵖ` */
export function placeText({ place, score }: BoardEntry): string {
  if (place === undefined) return none;
  const { rank, range } = place;
  const mark = score?.from === 'published' ? marks.published : '';
  return `${rank}${range === undefined ? '' : ` (${range[0]}–${range[1]})`}${mark}`;
}

/** `52.60`, or `— (63.19 over 10 of 12)`. */
export function averageText(average: Average | undefined): string {
  if (average === undefined) return none;
  const value = `${fixed(average.value)}${average.isDoubtful ? marks.doubt : ''}`;
  return average.tasks === average.of ? value : `${none} (${value} over ${average.tasks} of ${average.of})`;
}

/** Of the score that a row is ranked by; a dash where it takes no place for want of tasks. */
export function intervalText({ micro, place, score }: BoardEntry): string {
  const interval = isWhole(micro) ? micro.interval : place === undefined ? undefined : score?.interval;
  if (interval === undefined) return none;
  const mark = interval.from === 'wilson' ? marks.wilson : '';
  const published = isWhole(micro) ? '' : marks.published;
  return `${fixed(interval.low)}–${fixed(interval.high)}${mark}${published}`;
}

/** `64.16 ≠`; a dash where there is none, or where it is of another metric. */
export function publishedText({ row, disagreement }: BoardEntry, metric: BoardMetric): string {
  if (metric !== 'ACC' || row.published === undefined) return none;
  return `${fixed(row.published)}${disagreement === undefined ? '' : ` ${marks.disagreement}`}`;
}

/** `79.33 ± 0.34`, `88.13†` */
export function taskText({ row }: BoardEntry, key: MmlaTaskKey, metric: BoardMetric): string {
  const cell = row.cells[key];
  const value = cell?.metrics[metric];
  const mark = cell?.doubts?.[metric] === undefined ? '' : marks.doubt;
  if (value === undefined) return `${none}${mark}`;
  const deviation = cell?.deviations?.[metric];
  return `${fixed(value)}${deviation === undefined ? '' : ` ± ${fixed(deviation)}`}${mark}`;
}

export const methodText = ({ row }: BoardEntry): string =>
  row.method === null ? none : methodTitles[row.method];

export function modalityText({ row: { modality, method } }: BoardEntry): string {
  if (modality === null) return none;
  // What is a floor is no language model.
  return method === 'floor' ? modality : modalityTitles[modality];
}

/** Notes of a row, with those on single numbers that are to be doubted. */
export function noteTexts({ row, disagreement }: BoardEntry, metric: BoardMetric): string[] {
  const doubts = Object.entries(row.cells).flatMap(([key, cell]) => {
    const found = Object.entries(cell.doubts ?? {});
    return [...new Set(found.map(([, doubt]) => doubt))].map((doubt) => {
      const metrics = found.filter(([, other]) => other === doubt).map(([name]) => name);
      return `${key} ${metrics.join(', ')}: ${doubt}.`;
    });
  });
  const differs =
    disagreement === undefined || metric !== 'ACC'
      ? []
      : [
          `The published score is ${Math.abs(disagreement).toFixed(2)} ${disagreement > 0 ? 'above' : 'below'} what these numbers come to.`,
        ];
  return [...row.notes, ...doubts, ...differs];
}

import { type MmlaTask, type MmlaTaskKey, mmlaTask, paperTasks } from '../../../data/mmla/tasks.ts';
import { type ModelFacts, publishedModels } from './models.ts';
import { itBoard, itFigure5, itTable8 } from './published/it.ts';
import { seedsIt, seedsSft } from './published/seeds.ts';
import { sftBoard, sftFigure4 } from './published/sft.ts';
import { zeroShotBoard, zeroShotMisread, zeroShotTable6 } from './published/zero-shot.ts';
import type { AccuracyTable, Scores, SeedsTable } from './published-types.ts';
import {
  type BoardMethod,
  type BoardMetric,
  boardMetrics,
  type LeaderboardRow,
  type TaskCell,
  type TaskCells,
  type Vintage,
} from './row.ts';

const paper = 'MMLA, NeurIPS 2025 (arXiv 2504.16427)';

/** Known of every row. */
interface RowBase {
  readonly model: string;
  readonly method: Exclude<BoardMethod, 'floor'>;
  readonly vintage: Vintage;
  /** Table or figure. */
  readonly where: string;
  readonly notes?: readonly string[];
}

function row({ model, method, vintage, where, notes = [] }: RowBase, board: Scores, cells: TaskCells) {
  const facts: ModelFacts | undefined = publishedModels[model];
  if (facts === undefined) throw new Error(`no facts about the published model "${model}"`);
  const published = board[model];
  const source = published === undefined ? where : `${where}; published score of Figures 2 and 3`;
  return {
    ...{ model, ...facts, method, vintage, source: `${paper}, ${source}`, notes, cells },
    ...(published !== undefined && { published }),
  } satisfies LeaderboardRow;
}

const samplesOf = (key: MmlaTaskKey): number => mmlaTask(key).leaderboardCount;
const known = <Value>(entries: readonly (readonly [string, Value | null | undefined])[]) =>
  Object.fromEntries(entries.filter(([, value]) => value !== null && value !== undefined)) as Partial<
    Record<string, Value>
  >;

const zeroShot = (): LeaderboardRow[] =>
  Object.entries(zeroShotTable6).map(([model, tasks]) => {
    const cells = paperTasks.map(({ key }): [string, TaskCell] => {
      const values = tasks[key] ?? [];
      const misread = zeroShotMisread.filter((one) => one.model === model && one.task === key);
      const doubts = misread.flatMap(({ metrics, note }) => {
        const isLost = note.startsWith('lost');
        const said = isLost ? note : `misread${note === '' ? '' : `, ${note}`}`;
        return metrics.map((metric): [BoardMetric, string] => [metric, said]);
      });
      return [
        key,
        {
          metrics: known(boardMetrics.map((metric, i) => [metric, values[i]] as const)),
          samples: samplesOf(key),
          ...(doubts.length > 0 && { doubts: Object.fromEntries(doubts) }),
        },
      ];
    });
    return row(
      { model, method: 'zero-shot', vintage: 'revised', where: 'Table 6' },
      zeroShotBoard,
      Object.fromEntries(cells),
    );
  });

const accuracyCells = (values: readonly (number | null | undefined)[]): TaskCells =>
  known(
    paperTasks.map(({ key }, i) => {
      const value = values[i];
      const isThere = value !== null && value !== undefined;
      return [key, isThere ? { metrics: { ACC: value }, samples: samplesOf(key) } : null] as const;
    }),
  );

function accuracyRows(
  table: AccuracyTable,
  board: Scores,
  base: Omit<RowBase, 'model' | 'notes'>,
  notes: Readonly<Record<string, readonly string[]>> = {},
): LeaderboardRow[] {
  return Object.entries(table).map(([model, values]) =>
    row({ ...base, model, notes: notes[model] ?? [] }, board, accuracyCells(values)),
  );
}

/** Rows of Table 7 that can be read; the others of SFT are those of Figure 4. */
const table7: Readonly<Record<string, TaskCells>> = {
  'Qwen2-0.5B': accuracyCells([
    ...[70.11, 55.83, null, 46.61, 57.31, 68.21, 82.94, 68.96, 65.59, 60.87, 62.98, null],
  ]),
  'Qwen2-1.5B': accuracyCells([
    ...[74.61, 58.39, 64.71, 49.88, 57.21, 67.14, 85.42, 69.34, 68.81, null, 62.89, null],
  ]),
};

const sftNotes = {
  'InternLM2.5-7B': ['Table 7 prints 38.41 for IEMOCAP and 54.43 for UR-FUNNY, far from these bars.'],
};
const figures = 'to one decimal';

/** Not on the leaderboards: these are other trainings than the one that is. */
function seedsRow(method: 'sft' | 'it', table: SeedsTable): LeaderboardRow {
  const cells = Object.entries(table).map(([key, pairs]): [string, TaskCell] => [
    key,
    {
      metrics: known(boardMetrics.map((metric, i) => [metric, pairs[i]?.[0]] as const)),
      deviations: known(boardMetrics.map((metric, i) => [metric, pairs[i]?.[1]] as const)),
      samples: samplesOf(key as MmlaTaskKey),
    },
  ]);
  return row(
    {
      ...{ model: 'Qwen2-VL-7B', method, vintage: 'seeds', where: 'Table 5' },
      notes: ['Means and standard deviations over three seeds.'],
    },
    {},
    Object.fromEntries(cells),
  );
}

/** Everything that the paper says of models on the tasks of MMLA. Where it gives a model twice, the vintage of its leaderboard stands first. */
export const publishedRows: readonly LeaderboardRow[] = [
  ...zeroShot(),
  ...accuracyRows(
    sftFigure4,
    sftBoard,
    { method: 'sft', vintage: 'first', where: `bars of Figure 4 ${figures}` },
    sftNotes,
  ),
  ...Object.entries(table7).map(([model, cells]) =>
    row(
      {
        ...{ model, method: 'sft', vintage: 'revised', where: 'Table 7' },
        notes: [
          'Numbers that could not be read are left out. The block of MUStARD and Anno-MI is damaged in the whole table.',
        ],
      },
      sftBoard,
      cells,
    ),
  ),
  seedsRow('sft', seedsSft),
  ...accuracyRows(itFigure5, itBoard, {
    ...{ method: 'it', vintage: 'first', where: `bars of Figure 5 ${figures}` },
  }),
  ...accuracyRows(itTable8, itBoard, { method: 'it', vintage: 'revised', where: 'Table 8' }),
  seedsRow('it', seedsIt),
];

/** A line that the figures draw for a task. */
export interface ReferenceLine {
  readonly task: MmlaTaskKey;
  readonly name: string;
  readonly kind: 'prior state of the art' | 'human';
  /** ACC in percent. */
  readonly accuracy: number;
}

const prior = (task: MmlaTaskKey, name: string, accuracy: number): ReferenceLine => ({
  ...{ task, name, kind: 'prior state of the art', accuracy },
});
const human = (task: MmlaTaskKey, accuracy: number): ReferenceLine => ({
  ...{ task, name: 'human', kind: 'human', accuracy },
});

/** Lines of Figures 4 and 5. */
export const referenceLines: readonly ReferenceLine[] = [
  prior('MIntRec', 'MIntOOD', 74.3),
  human('MIntRec', 85.5),
  prior('MIntRec2.0', 'MulT', 60.7),
  human('MIntRec2.0', 71),
  prior('MELD', 'UniMSE', 65.1),
  prior('IEMOCAP', 'UniMSE', 70.6),
  prior('MELD-DA', 'TCL-MAP', 61.8),
  prior('IEMOCAP-DA', 'MIntOOD', 74.9),
  prior('MOSI', 'MMML', 87.5),
  prior('Ch-sims', 'ALMT', 68.9),
  prior('UR-FUNNY', 'SimMMDG', 65.6),
  prior('MUStARD', 'SimMMDG', 72.5),
];

/** The lines of some tasks. */
export const referencesOn = ({ tasks }: { readonly tasks: readonly MmlaTask[] }): ReferenceLine[] =>
  referenceLines.filter(({ task }) => tasks.some(({ key }) => key === task));

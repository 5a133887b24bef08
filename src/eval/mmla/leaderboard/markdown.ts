import { mmlaTask, paperTasks } from '../../../data/mmla/tasks.ts';
import { markdownTable, type Table } from '../../../report/table.ts';
import { type BoardEntry, dimensionsOn, type Leaderboard } from './board.ts';
import {
  averageText,
  intervalText,
  legend,
  methodText,
  modalityText,
  noteTexts,
  placeText,
  publishedText,
  taskText,
} from './cells.ts';
import { sizeClasses, sizeText } from './models.ts';
import { referencesOn } from './published.ts';
import { methodTitles, modalityTitles, vintageTitles } from './row.ts';

const named = (entry: BoardEntry): string[] => [
  ...[entry.row.model, methodText(entry), vintageTitles[entry.row.vintage]],
];
const names = ['model', 'method', 'numbers of'];
const isOurs = ({ row }: BoardEntry): boolean => row.vintage === 'ours';

/** Places, averages and published scores. */
function rankingTable({ entries, metric }: Leaderboard): Table {
  return {
    head: [
      ...['rank', 'model', 'size', 'input', 'method'],
      ...[`micro ${metric}`, '95 % interval', `mean ${metric}`, 'published', 'numbers of'],
    ],
    rows: entries.map((entry) => [
      ...[placeText(entry), entry.row.model, sizeText(entry.row.parameters), modalityText(entry)],
      ...[methodText(entry), averageText(entry.micro), intervalText(entry)],
      ...[averageText(entry.mean), publishedText(entry, metric), vintageTitles[entry.row.vintage]],
    ]),
    textColumns: [0, 1, 3, 4, 9],
    isStrong: (row, column) => column === 1 && isOurs(entries[row]!),
  };
}

function taskTable({ entries, metric, tasks }: Leaderboard): Table {
  return {
    head: [...names, ...tasks.map(({ key }) => key)],
    rows: entries.map((entry) => [...named(entry), ...tasks.map(({ key }) => taskText(entry, key, metric))]),
    textColumns: [0, 1, 2],
    isStrong: (row, column) => column === 0 && isOurs(entries[row]!),
  };
}

function dimensionTable(board: Leaderboard): Table {
  const { entries } = board;
  const dimensions = dimensionsOn(board);
  return {
    head: [...names, ...dimensions],
    rows: entries.map((entry) => [
      ...named(entry),
      ...dimensions.map((dimension) => averageText(entry.dimensions[dimension])),
    ]),
    textColumns: [0, 1, 2],
    isStrong: (row, column) => column === 0 && isOurs(entries[row]!),
  };
}

function provenanceTable({ entries, metric }: Leaderboard): Table {
  return {
    head: [...names, 'source', 'notes'],
    rows: entries.map((entry) => [...named(entry), entry.row.source, noteTexts(entry, metric).join(' ')]),
    textColumns: [0, 1, 2, 3, 4],
  };
}

/** Prior state of the art and people, which the figures draw as lines: ACC of single tasks. */
export const referenceTable = (board: Leaderboard): Table => ({
  head: ['task', 'who', 'kind', 'ACC'],
  rows: referencesOn(board).map(({ task, name, kind, accuracy }) => [
    ...[mmlaTask(task).title, name, kind, accuracy.toFixed(1)],
  ]),
  textColumns: [0, 1, 2],
});

/** Which published rows are shown, and tasks where these are not all. */
export function chosenText({ filter, tasks }: Leaderboard): string {
  const { method, modality, size } = filter;
  const chosen = [
    ...(method === undefined ? [] : [methodTitles[method]]),
    ...(modality === undefined ? [] : [modalityTitles[modality]]),
    ...(size === undefined ? [] : [`size ${sizeClasses[size]}`]),
  ];
  const named = tasks.map(({ title }) => title).join(', ');
  const only = tasks.length === paperTasks.length ? '' : ` Tasks: ${named}; all else is left out.`;
  return `Published rows: ${chosen.length === 0 ? 'all' : chosen.join(', ')}.${only}`;
}

/** `leaderboard.md`, and what is printed. */
export function leaderboardMarkdown(board: Leaderboard): string {
  const sections = [
    `# MMLA leaderboard\n\nMetric: ${board.metric}, in percent. ${chosenText(board)}\n`,
    markdownTable(rankingTable(board)),
    `${legend(board.metric, board.tasks)
      .map((line) => `- ${line}`)
      .join('\n')}\n`,
    `## Tasks (${board.metric})\n`,
    markdownTable(taskTable(board)),
    `## Dimensions (${board.metric}, weighted by samples)\n`,
    markdownTable(dimensionTable(board)),
    '## Prior state of the art and people (lines of Figures 4 and 5)\n',
    markdownTable(referenceTable(board)),
    '## Where the numbers are from\n',
    markdownTable(provenanceTable(board)),
  ];
  return sections.join('\n');
}

import type { CsvRow } from '../../../io/csv.ts';
import type { MmlaFormat, ReadRequest, ReadResult } from '../format.ts';
import { canonicalLabel } from '../record-collector.ts';
import type { UpstreamRow } from './rows.ts';
import { addRows, collectorFor, headerOf, readRows } from './rows.ts';

const columns = [
  'transcript_id',
  'utterance_id',
  'interlocutor',
  'utterance_text',
  'main_therapist_behaviour',
  'client_talk_type',
] as const;

/** Whose utterances a task is about, and where their labels stand. */
const parts = {
  'AnnoMi-client': { interlocutor: 'client', column: 'client_talk_type' },
  'AnnoMi-therapist': { interlocutor: 'therapist', column: 'main_therapist_behaviour' },
} as const;
const tasks = ['AnnoMi-client', 'AnnoMi-therapist'] as const;

/** What the annotators said of one utterance. */
interface Utterance {
  readonly row: number;
  readonly number: string;
  readonly text: string;
  /** Labels by annotator, in the order of the rows. */
  readonly votes: Map<string, string>;
}

/**
 * The label that most annotators gave; of several, the one that was given first. The order is that of the rows, in which
 * annotators stand by their number.
 *
 * @param votes at least one
 */
export function majorityLabel(votes: Iterable<string>): string {
  const counts = new Map<string, number>();
  for (const vote of votes) counts.set(vote, (counts.get(vote) ?? 0) + 1);
  // The sort keeps the order of equal counts.
  return [...counts].toSorted(([, one], [, other]) => other - one)[0]![0];
}

/** An older table, `dataset.csv`, has one annotator for all and no column of them. */
const annotatorOf = ({ annotator_id: id }: CsvRow['values']): string =>
  id === undefined ? 'the annotator' : `annotator ${id}`;

/** What is wrong with a row, given the earlier ones of its utterance. */
function faultsOf(
  { values }: CsvRow,
  earlier: Utterance,
  labels: readonly string[],
  column: string,
): string[] {
  const { number, text, votes, row } = earlier;
  const label = values[column]!;
  const annotator = annotatorOf(values);
  return [
    ...(/^\d+_\d+$/.test(number) ? [] : ['transcript_id and utterance_id are not whole numbers']),
    ...(canonicalLabel(labels, label) === undefined
      ? [`the ${column} "${label}" is none of ${labels.join(', ')}`]
      : []),
    ...(values.utterance_text === text ? [] : [`the text of ${number} is another one than in row ${row}`]),
    ...(votes.has(annotator) ? [`${annotator} has judged ${number} in an earlier row`] : []),
  ];
}

/** One row for each utterance of the part, where its first one is; and the faulty rows, whose utterances are left out. */
function toRows(
  rows: readonly CsvRow[],
  labels: readonly string[],
  { interlocutor, column }: (typeof parts)[keyof typeof parts],
): UpstreamRow[] {
  const utterances = new Map<string, Utterance>();
  const faulty: UpstreamRow[] = [];
  for (const csvRow of rows) {
    const { row, values } = csvRow;
    const speaker = values.interlocutor!;
    if (speaker !== interlocutor && ['client', 'therapist'].includes(speaker)) continue;
    const number = `${values.transcript_id}_${values.utterance_id}`;
    const text = values.utterance_text!;
    const utterance = utterances.get(number) ?? { row, number, text, votes: new Map() };
    const label = canonicalLabel(labels, values[column]!) ?? values[column]!;
    const faults =
      speaker === interlocutor
        ? faultsOf(csvRow, utterance, labels, column)
        : [`the interlocutor "${speaker}" is neither client nor therapist`];
    if (faults.length > 0) faulty.push({ row, number, text, label, faults });
    utterance.votes.set(annotatorOf(values), label);
    utterances.set(number, utterance);
  }
  for (const { number } of faulty) utterances.delete(number);
  const judged = [...utterances.values()].map(({ row, number, text, votes }) => ({
    row,
    number,
    text,
    label: majorityLabel(votes.values()),
    faults: [],
  }));
  return [...judged, ...faulty];
}

/**
 * `AnnoMI-full.csv` of https://github.com/uccollab/AnnoMI, which has a row for each annotator of an utterance. The label is
 * that of most of them (`majorityLabel`); an utterance of which one row is faulty is left out. The table knows no splits.
 */
export const annomiFormat: MmlaFormat = {
  name: 'AnnoMI CSV',
  recognises({ text }) {
    const header = headerOf(text);
    return columns.every((column) => header.includes(column));
  },
  async read(request: ReadRequest): Promise<ReadResult> {
    const { file, task } = request;
    const { collector, fits } = collectorFor(request, 'the table of AnnoMI', tasks);
    if (!fits) return collector.result();
    const rows = await readRows(file, columns, collector);
    addRows(collector, toRows(rows, task.labels, parts[task.key as keyof typeof parts]));
    return collector.result();
  },
};

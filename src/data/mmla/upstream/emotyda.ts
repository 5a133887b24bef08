import type { CsvRow } from '../../../io/csv.ts';
import type { MmlaFormat, ReadRequest, ReadResult } from '../format.ts';
import { decodeMacRomanOrUtf8 } from './mac-roman.ts';
import type { UpstreamRow } from './rows.ts';
import { addRows, collectorFor, headerOf, readRows } from './rows.ts';

/** Tags of EMOTyDA (Saha et al. 2020) and the labels of MMLA that they stand for. */
export const dialogueActOfTag: ReadonlyMap<string, string> = new Map([
  ['g', 'greeting'],
  ['q', 'question'],
  ['ans', 'answer'],
  ['o', 'statement-opinion'],
  ['s', 'statement-non-opinion'],
  ['ap', 'apology'],
  ['c', 'command'],
  ['ag', 'agreement'],
  ['dag', 'disagreement'],
  ['a', 'acknowledge'],
  ['b', 'backchannel'],
  ['oth', 'others'],
]);

/** A kind of table that EMOTyDA has. */
interface Table {
  readonly task: 'MELD-DA' | 'IEMOCAP-DA';
  readonly columns: readonly string[];
  readonly text: string;
  readonly tag: string;
  number(values: CsvRow['values']): string;
  readonly numberPattern: RegExp;
  readonly numberFault: string;
}

const tables: readonly Table[] = [
  {
    task: 'MELD-DA',
    columns: ['Utterance', 'Dialogue_ID', 'Utterance_ID', 'Dialogue Act'],
    text: 'Utterance',
    tag: 'Dialogue Act',
    number: (values) => `${values.Dialogue_ID!.trim()}_${values.Utterance_ID!.trim()}`,
    numberPattern: /^\d+_\d+$/,
    numberFault: 'Dialogue_ID and Utterance_ID are not whole numbers',
  },
  {
    task: 'IEMOCAP-DA',
    columns: ['TURN', 'UTTERANCE', 'DA'],
    text: 'UTTERANCE',
    tag: 'DA',
    number: (values) => values.TURN!.trim(),
    numberPattern: /^Ses\d\d[FM]_\w+$/,
    numberFault: 'the TURN is not like Ses01F_impro01_F000',
  },
];

const tableOf = (text: string): Table | undefined => {
  const header = headerOf(text);
  return tables.find(({ columns }) => columns.every((column) => header.includes(column)));
};

/** Rows of a table; a row that says what an earlier one said is left out, one that contradicts it is a fault. */
function toRows(table: Table, rows: readonly CsvRow[]): UpstreamRow[] {
  const first = new Map<string, UpstreamRow>();
  return rows.flatMap(({ row, values }) => {
    const number = table.number(values);
    const text = values[table.text]!;
    const tag = values[table.tag]!.trim();
    const label = dialogueActOfTag.get(tag) ?? '';
    const earlier = first.get(number);
    if (earlier !== undefined && earlier.text === text && earlier.label === label) return [];
    const faults = [
      ...(table.numberPattern.test(number) ? [] : [table.numberFault]),
      ...(label === ''
        ? [`the ${table.tag} "${tag}" is none of ${[...dialogueActOfTag.keys()].join(', ')}`]
        : []),
      ...(earlier === undefined
        ? []
        : [`${number} is row ${earlier.row} already, with another utterance or act; the first is kept`]),
    ];
    const upstream = { row, number, text, label, faults };
    if (earlier === undefined) first.set(number, upstream);
    return [upstream];
  });
}

/**
 * `MELD.csv` and `iemocap_session1.csv` to `iemocap_session5.csv` in the folder `Dataset` of
 * https://github.com/sahatulika15/EMOTyDA. Signs that an earlier conversion broke are mended (`mendMacRoman`). The
 * tables know no splits: those of MMLA are its own.
 */
export const emotydaFormat: MmlaFormat = {
  name: 'EMOTyDA CSV',
  recognises: ({ text }) => tableOf(text) !== undefined,
  async read(request: ReadRequest): Promise<ReadResult> {
    const { file, task } = request;
    const { collector, fits } = collectorFor(
      request,
      'a table of EMOTyDA',
      tables.map((table) => table.task),
    );
    if (!fits) return collector.result();
    const table = tables.find((candidate) => candidate.task === task.key)!;
    const rows = await readRows(file, table.columns, collector, decodeMacRomanOrUtf8);
    addRows(collector, toRows(table, rows));
    return collector.result();
  },
};

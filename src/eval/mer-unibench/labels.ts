import { extname } from 'node:path';
import { listFaults } from '../../data/records.ts';
import { InputError } from '../../errors.ts';
import { dictionaryIn, withNpz } from '../../io/npz.ts';
import type { BenchmarkDataset, LabelSource } from './datasets.ts';
import { FindingCollector, type InputFinding } from './findings.ts';
import { isMissing, labelList, readSampleRows, rowFileEndings, UniqueSamples } from './sample-rows.ts';
import type { CorpusEntry, Truths } from './truths.ts';
import { truthsOfCorpus } from './truths.ts';
import { normalizeWord } from './words.ts';

/** What the samples of a set are labelled with. */
export interface BenchmarkLabels {
  readonly file: string;
  readonly truths: Truths;
  /** Samples in the file that are not in the test split. */
  readonly outsideSplit: number;
  readonly findings: readonly InputFinding[];
}

/**
 * Reads the labels of a set's test split: the published npz (the corpus that the table of sets names), a CSV with `name` and
 * `openset`, or JSON Lines and CSV of one's own with `name` and one of
 *
 * - `label` (or `labels` with one entry) for sets with one emotion: a word, or an integer as the published file has it;
 * - `labels`, a list (in CSV separated by `;`), or `openset`, `['happy', 'sad']`, for open vocabularies;
 * - `valence`, a number, or `sentiment`, one of positive, negative and neutral, for sentiments.
 *
 * Labels have to be whole: a row that cannot be read is an error, as is a name with two different labels. The same name twice
 * with the same label, a missing valence, a sample without words, and another number of samples than the set has are
 * findings.
 *
 * @throws InputError `LABELS_KIND`, `LABELS_INVALID` (all faults), `LABELS_CONTRADICTORY` (all names), `LABELS_EMPTY`, and those
 *   of `withNpz`, `readCsv` and `readJsonl`
 */
export async function readLabels(dataset: BenchmarkDataset, path: string): Promise<BenchmarkLabels> {
  const collector = new FindingCollector(path);
  const ending = extname(path).toLowerCase();
  if (ending !== '.npz' && !rowFileEndings.includes(ending)) {
    throw new InputError(
      'LABELS_KIND',
      `${path} is no label file of ${dataset.title}; expected is ${dataset.labelFile}, or one of .csv and .jsonl.`,
    );
  }
  const { truths, all } =
    ending === '.npz' ? await readCorpus(dataset, path) : await readRows(dataset, path, collector);
  const found = truths.of.size;
  if (found === 0) {
    throw new InputError(
      'LABELS_EMPTY',
      `${path} holds no labels of ${dataset.title}: none of its ${all} samples is in the test split.`,
    );
  }
  if (truths.kind === 'sentiment') {
    for (const [name, value] of truths.of) {
      if (!Number.isFinite(value))
        collector.add('nan', 'samples whose valence is no number; they are left out', name);
    }
  }
  const findings = collector.findings;
  if (found !== dataset.count) {
    findings.push({
      ...{ kind: 'count', file: path, count: found, of: [] },
      message: `${path}: ${found} labelled samples, and the test split of ${dataset.title} has ${dataset.count}.`,
    });
  }
  return { file: path, truths, outsideSplit: all - found, findings };
}

interface Read {
  readonly truths: Truths;
  /** Samples in the file, those outside the test split too. */
  readonly all: number;
}

async function readCorpus(dataset: BenchmarkDataset, path: string): Promise<Read> {
  const source = dataset.labels;
  if (source.kind === 'openset') {
    throw new InputError(
      'LABELS_KIND',
      `${path}: labels of ${dataset.title} come as a CSV file with name and ${source.column}, or as JSON Lines.`,
    );
  }
  const where = `${path}, array "${source.corpus}"`;
  const dictionary = await withNpz(path, async (archive) =>
    dictionaryIn(await archive.read(source.corpus), where),
  );
  const faults: string[] = [];
  const entries: [string, CorpusEntry][] = [];
  for (const [name, entry] of dictionary) {
    if (typeof name !== 'string') faults.push(`entry ${entries.length + faults.length} has no name`);
    else if (!(entry instanceof Map)) faults.push(`"${name}" has no dictionary of emo and val`);
    else entries.push([name, { emo: entry.get('emo'), val: entry.get('val') }]);
  }
  if (faults.length > 0) throw invalid(dataset, where, faults);
  return { truths: truthsOfCorpus(dataset, entries, where), all: entries.length };
}

async function readRows(dataset: BenchmarkDataset, path: string, collector: FindingCollector): Promise<Read> {
  const columns = ownColumns[dataset.labels.kind];
  const faults: string[] = [];
  const unique = new UniqueSamples<CorpusEntry | readonly string[]>(collector);
  const reject = (what: string, where: string) => void faults.push(`${where}: ${what}`);
  for (const { where, name, values } of await readSampleRows(path, Object.keys(columns), reject)) {
    const given = Object.keys(columns).filter((column) => values[column] !== undefined);
    const [column = given[0]!, second] = given.filter((one) => values[one] !== '');
    const value = columns[column]!(values[column]);
    if (second !== undefined) faults.push(`${where} has ${column} and ${second}; give one`);
    else if (value === undefined) faults.push(`${where}: the ${column} of "${name}" cannot be read`);
    else {
      unique.add(name, value);
      if (Array.isArray(value) && value.length === 0) {
        const [kind, what] = isMissing(values[column])
          ? (['nan', 'missing'] as const)
          : (['empty', 'no words'] as const);
        collector.add(kind, `samples whose labels are ${what}; they count as neutral`, name);
      }
    }
  }
  if (faults.length > 0) throw invalid(dataset, path, faults);
  if (unique.contradictions.length > 0) {
    throw new InputError(
      'LABELS_CONTRADICTORY',
      `${path} labels the same sample in different ways; it is not clear which is meant: ${listFaults(unique.contradictions)}. Keep one of each.`,
    );
  }
  const all = unique.samples.size;
  if (dataset.labels.kind !== 'openset') {
    const entries = unique.samples as Map<string, CorpusEntry>;
    return { truths: truthsOfCorpus(dataset, entries, path), all };
  }
  const words = unique.samples as Map<string, readonly string[]>;
  const { isTest = () => true } = dataset;
  return { truths: { kind: 'labels', of: new Map([...words].filter(([name]) => isTest(name))) }, all };
}

const invalid = (dataset: BenchmarkDataset, where: string, faults: readonly string[]): InputError =>
  new InputError('LABELS_INVALID', `${where} holds no labels of ${dataset.title}: ${listFaults(faults)}.`);

/** What is made of a column's value; undefined where it is none of its kind. */
type ColumnReader = (value: unknown) => CorpusEntry | readonly string[] | undefined;

const sentimentValues = new Map([
  ['positive', 1],
  ['negative', -1],
  ['neutral', 0],
]);

const oneEmotion: ColumnReader = (value) => {
  const [label, second] = Array.isArray(value) ? value : [value];
  if (second !== undefined) return undefined;
  if (typeof label === 'number') return { emo: label };
  if (typeof label !== 'string' || label.trim() === '' || isMissing(label)) return undefined;
  return { emo: /^\s*\d+\s*$/.test(label) ? Number(label) : label.trim() };
};

/** Columns of label files of one's own, by what a set is labelled with. */
const ownColumns: Readonly<Record<LabelSource['kind'], Readonly<Record<string, ColumnReader>>>> = {
  emotion: { label: oneEmotion, labels: oneEmotion },
  sentiment: {
    valence: (value) => {
      if (isMissing(value) || value === '') return { val: Number.NaN };
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
      return typeof number === 'number' && Number.isFinite(number) ? { val: number } : undefined;
    },
    sentiment: (value) => {
      const val = typeof value === 'string' ? sentimentValues.get(normalizeWord(value)) : undefined;
      return val === undefined ? undefined : { val };
    },
  },
  openset: {
    openset: (value) => (isMissing(value) ? [] : labelList(value, 'published')),
    labels: (value) => (isMissing(value) ? [] : labelList(value, 'cell')),
  },
};

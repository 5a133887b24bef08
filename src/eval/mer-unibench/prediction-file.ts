import { extname } from 'node:path';
import { listFaults } from '../../data/records.ts';
import { InputError } from '../../errors.ts';
import { dictionaryIn, type NpzArchive, type ParsedArray, withNpz } from '../../io/npz.ts';
import { PickledArray } from '../../io/pickle.ts';
import { FindingCollector, type InputFinding } from './findings.ts';
import { isMissing, labelList, readSampleRows, rowFileEndings, UniqueSamples } from './sample-rows.ts';

/** What is known of a model's answer about one sample: at least one of these. */
export interface Prediction {
  /** As the model said it; empty where it said nothing. */
  readonly text?: string;
  /** Emotion words that somebody found in it. */
  readonly labels?: readonly string[];
  /** `labels` as a published file writes them, brackets included: what the published sentiment prompt is given. */
  readonly openset?: string;
  /** `positive`, `negative`, `neutral`, or whatever else was found in it. */
  readonly sentiment?: string;
}

export interface PredictionFile {
  readonly samples: ReadonlyMap<string, Prediction>;
  readonly findings: readonly InputFinding[];
}

/** Endings of the files that may hold predictions. */
export const predictionEndings = ['.npz', ...rowFileEndings];

/** What a file holds by its name: `X.npz`, `X-openset.npz`, `X-openset-sentiment.npz`. */
export type PredictionPart = 'answers' | 'openset' | 'sentiment';

const columns = ['text', 'labels', 'sentiment'] as const;

/**
 * Reads one file of predictions: JSON Lines or CSV (`name` or `id`, and `text`, `labels`, `sentiment`; labels in a cell are
 * separated by `;` or written `[happy, sad]`), or a published npz: `name2reason`, or `filenames` beside `fileitems`, which
 * are lists of words or sentiments as the file's name says.
 *
 * @throws InputError `PREDICTIONS_KIND` (another kind of file), `PREDICTIONS_CONTRADICTORY` (all names that stand there twice
 *   with different contents), `PREDICTIONS_EMPTY`, those of `withNpz`, `readCsv` and `readJsonl`
 */
export async function readPredictionFile(path: string, part: PredictionPart): Promise<PredictionFile> {
  const collector = new FindingCollector(path);
  const unique = new UniqueSamples<Prediction>(collector);
  const reader = new PredictionReader(collector, unique);
  if (extname(path).toLowerCase() === '.npz') {
    await withNpz(path, (archive) => readArchive(archive, part, reader));
  } else {
    const reject = (what: string, where: string) => collector.add('unreadable', what, where);
    for (const { where, name, values } of await readSampleRows(path, columns, reject)) {
      reader.row(where, name, values);
    }
  }
  if (unique.contradictions.length > 0) {
    throw new InputError(
      'PREDICTIONS_CONTRADICTORY',
      `${path} says different things about the same sample; it is not clear which is meant: ${listFaults(unique.contradictions)}. Keep one of each.`,
    );
  }
  if (unique.samples.size === 0) {
    const [first] = collector.findings;
    throw new InputError(
      'PREDICTIONS_EMPTY',
      `${path} holds no predictions.${first === undefined ? '' : ` ${first.message}`}`,
    );
  }
  return { samples: unique.samples, findings: collector.findings };
}

async function readArchive(
  archive: NpzArchive,
  part: PredictionPart,
  reader: PredictionReader,
): Promise<void> {
  const { path, names } = archive;
  const where = (array: string) => `${path}, array "${array}"`;
  if (names.includes('name2reason')) {
    const reasons = dictionaryIn(await archive.read('name2reason'), where('name2reason'));
    let entry = 0;
    for (const [name, text] of reasons) reader.item('text', `entry ${entry++}`, name, text);
    return;
  }
  if (!names.includes('filenames') || !names.includes('fileitems')) {
    const held = names.map((name) => `"${name}"`).join(', ') || 'none';
    throw kindFault(path, `its arrays are ${held.slice(0, 500)}`);
  }
  if (part === 'answers') {
    throw kindFault(
      path,
      'holds filenames and fileitems, and its name has to end in -openset.npz or -openset-sentiment.npz to say which they are',
    );
  }
  const filenames = listIn(await archive.read('filenames'), where('filenames'));
  const items = listIn(await archive.read('fileitems'), where('fileitems'));
  if (filenames.length !== items.length) {
    throw kindFault(path, `holds ${filenames.length} filenames and ${items.length} fileitems`);
  }
  const field = part === 'openset' ? 'labels' : 'sentiment';
  filenames.forEach((name, entry) => {
    reader.item(field, `entry ${entry}`, name, items[entry]);
  });
}

function kindFault(path: string, what: string): InputError {
  return new InputError(
    'PREDICTIONS_KIND',
    `${path} is no file of predictions: ${what}. Expected is an npz with name2reason, or with filenames and fileitems, or ${columns.join(', ')} by name as .jsonl or .csv.`,
  );
}

function listIn(array: ParsedArray, where: string): readonly unknown[] {
  if (array.kind !== 'numbers' && array.shape.length === 1) return array.data;
  throw new InputError(
    'PREDICTIONS_KIND',
    `${where} holds ${array.kind} of shape (${array.shape.join(', ')}); expected is a list of text.`,
  );
}

/** Makes predictions of what files hold, whatever kind of file. */
class PredictionReader {
  readonly #collector: FindingCollector;
  readonly #unique: UniqueSamples<Prediction>;

  constructor(collector: FindingCollector, unique: UniqueSamples<Prediction>) {
    this.#collector = collector;
    this.#unique = unique;
  }

  /** A row of JSON Lines or CSV. */
  row(where: string, name: string, values: Readonly<Record<string, unknown>>): void {
    const given = columns.filter((column) => values[column] !== undefined);
    // An empty cell, or null, says nothing where another one says something.
    const filled = given.filter((column) => values[column] !== '' && values[column] !== null);
    const prediction: { -readonly [Key in keyof Prediction]: Prediction[Key] } = {};
    for (const column of filled.length > 0 ? filled : given.slice(0, 1)) {
      const fields = this.#fields(column, name, values[column]);
      if (fields === undefined) {
        this.#collector.add('unreadable', `rows whose ${column} cannot be read`, where);
        return;
      }
      Object.assign(prediction, fields);
    }
    this.#unique.add(name, prediction);
  }

  /** An entry of a published file. */
  item(field: (typeof columns)[number], where: string, name: unknown, value: unknown): void {
    if (typeof name !== 'string' || name === '') {
      this.#collector.add('unreadable', 'entries without a name', where);
      return;
    }
    const isArray = value instanceof PickledArray && value.shape.length === 1;
    const fields = this.#fields(field, name, isArray ? value.values : value, 'published');
    if (fields === undefined) {
      this.#collector.add('unreadable', `entries whose ${field} cannot be read`, where);
    } else if (field === 'labels' && typeof value === 'string') {
      this.#unique.add(name, { ...fields, openset: value });
    } else this.#unique.add(name, fields);
  }

  /** Undefined where the value is none of its kind. */
  #fields(
    field: (typeof columns)[number],
    name: string,
    value: unknown,
    notation: 'published' | 'cell' = 'cell',
  ): Prediction | undefined {
    if (isMissing(value)) {
      this.#collector.add('nan', `samples whose ${field} is missing (NaN, null or None)`, name);
      return field === 'labels' ? { labels: [] } : { [field]: '' };
    }
    if (field === 'labels') {
      const labels = labelList(value, notation);
      return labels && { labels };
    }
    if (typeof value !== 'string') return undefined;
    if (value.trim() === '') this.#collector.add('empty', `samples whose ${field} is empty`, name);
    return { [field]: value };
  }
}

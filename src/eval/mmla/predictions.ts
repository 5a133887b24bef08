import { stemOf } from '../../data/mmla/clips.ts';
import type { MmlaFault } from '../../data/mmla/format.ts';
import { looksLike } from '../../data/mmla/read-file.ts';
import { canonicalLabel } from '../../data/mmla/record-collector.ts';
import type { MmlaTask } from '../../data/mmla/tasks.ts';
import { InputError } from '../../errors.ts';
import { type CsvTable, readCsv } from '../../io/csv.ts';
import { decodeUtf8, readInto, withFile } from '../../io/filesystem.ts';
import { isJsonObject } from '../../io/json.ts';
import { readJsonl } from '../../io/jsonl.ts';

/** An answer as a file has it. */
export interface MmlaPrediction {
  /** From 1, the header of a table included. */
  readonly row: number;
  /** What a model said; empty where it said nothing, which is `unknown`. */
  readonly text: string;
  /** Id of the sample, or its clip without folders and ending; absent where the file names none. */
  readonly name?: string;
  /** The label of the sample, where the file carries it. */
  readonly gold?: string;
}

export interface MmlaPredictionFile {
  readonly file: string;
  readonly predictions: readonly MmlaPrediction[];
  readonly faults: readonly MmlaFault[];
}

/** How much of a file its format is told by. */
const headBytes = 4096;
const formats =
  'JSON Lines with "text" and optionally "name"; the CSV or TSV of the published scripts (Video,Task,Pred,Label); or JSON Lines of ms-swift with "response", and optionally "labels" and "videos"';

/** Makes predictions of the rows of one file. */
class PredictionCollector {
  readonly #file: string;
  readonly #task: MmlaTask;
  readonly #predictions: MmlaPrediction[] = [];
  readonly #faults: MmlaFault[] = [];

  constructor(file: string, task: MmlaTask) {
    this.#file = file;
    this.#task = task;
  }

  fault(row: number | null, message: string): void {
    this.#faults.push({ file: this.#file, row, message });
  }

  /** @param given values as the file has them; null is absent, except for an answer */
  add(row: number, given: { text: unknown; name?: unknown; gold?: unknown }, column: string): void {
    const { text, gold = null } = given;
    // Numbers of clips that are one number, such as 408, are read as such.
    const name = Number.isSafeInteger(given.name) ? String(given.name) : (given.name ?? null);
    const faults: string[] = [];
    if (text === undefined) faults.push(`has no "${column}"`);
    else if (typeof text !== 'string') {
      faults.push(
        `its "${column}" is not text; where a model said nothing it is empty, which counts as unknown`,
      );
    }
    if (name !== null && (typeof name !== 'string' || name.trim() === '')) {
      faults.push('its name is not text, or empty');
    }
    const label = typeof gold === 'string' ? canonicalLabel(this.#task.labels, gold) : undefined;
    if (gold !== null && label === undefined) {
      faults.push(
        `the label ${JSON.stringify(gold)} is none of ${this.#task.key}: ${this.#task.labels.join(', ')}`,
      );
    }
    for (const message of faults) this.fault(row, message);
    if (faults.length > 0) return;
    this.#predictions.push({
      ...{ row, text: text as string },
      ...(name !== null && { name: name as string }),
      ...(label !== undefined && { gold: label }),
    });
  }

  /** What has been read; rows differ in nothing but what they say. */
  result(): MmlaPredictionFile {
    const of = this.#predictions;
    for (const [key, what] of [
      ['name', 'name'],
      ['gold', 'label'],
    ] as const) {
      const without = of.filter((one) => one[key] === undefined);
      if (without.length === 0 || without.length === of.length) continue;
      for (const { row } of without) {
        this.fault(row, `has no ${what}, and ${of.length - without.length} other rows have one`);
      }
    }
    if (of.length === 0 && this.#faults.length === 0) this.fault(null, 'there is no prediction in it');
    const faults = this.#faults.toSorted((one, other) => (one.row ?? 0) - (other.row ?? 0));
    return { file: this.#file, predictions: of, faults };
  }
}

/**
 * Reads predictions of a task. The format is recognised by content:
 * - JSON Lines of this program: `text` and, optionally, `name` (or `id`); other keys are not looked at.
 * - The results of the published scripts (`<dataset>_<task>_results.csv`, which they save again as TSV): `Pred` and,
 *   optionally, `Video`, the file of the clip, and `Label`, the gold answer such as `emotion: joy`.
 * - Those of ms-swift (`<dataset>_<task>_result.jsonl`): `response` and, optionally, `labels`, the gold answer, and
 *   `videos`, of which the first is the clip.
 *
 * An empty prediction is an answer that says nothing. The published evaluation stops at one with an `AttributeError`.
 *
 * @returns good rows, and what is wrong with the others
 * @throws InputError `MMLA_PREDICTIONS_FORMAT`, and those of reading files
 */
export async function readMmlaPredictions(file: string, task: MmlaTask): Promise<MmlaPredictionFile> {
  const bytes = await withFile(file, async (handle) => {
    const buffer = Buffer.alloc(headBytes);
    return buffer.subarray(0, await readInto(handle, buffer, 0));
  });
  const head = new TextDecoder().decode(bytes).trimStart();
  const collector = new PredictionCollector(file, task);
  const [firstLine = ''] = head.split(/\r?\n/, 1);
  const delimiter = ([',', '\t'] as const).find((sign) =>
    firstLine.split(sign).some((column) => /^"?Pred"?$/.test(column.trim())),
  );
  // The first line may be at fault; a zero is in no UTF-8 text.
  const isLines = head.startsWith('{') || (delimiter === undefined && /^\s*\{/m.test(head));
  if (isLines && !head.includes('\0')) {
    await readLines(file, collector);
  } else if (delimiter !== undefined) await readTable(file, delimiter, collector);
  else {
    throw new InputError(
      'MMLA_PREDICTIONS_FORMAT',
      `${file} holds no predictions. ${looksLike(head)}. Expected is ${formats}.`,
    );
  }
  return collector.result();
}

async function readLines(file: string, collector: PredictionCollector): Promise<void> {
  const onBadRow = (row: number, { message }: InputError) => {
    collector.fault(row, message.replace(`${file}, row ${row}`, '').replace(/^:? /, ''));
  };
  for await (const { row, value } of readJsonl(file, { onBadRow })) {
    if ('text' in value) {
      const { text, name, id } = value;
      if (name !== undefined && id !== undefined && name !== id) {
        collector.fault(row, 'its name and id differ');
      } else collector.add(row, { text, name: name ?? id }, 'text');
    } else if ('response' in value) {
      const { response, labels, videos } = value;
      const clip = Array.isArray(videos) ? (videos[0] as unknown) : videos;
      // Newer versions of ms-swift keep more of a video than its path.
      const path = isJsonObject(clip) ? (clip.path ?? clip.video) : clip;
      const name = typeof path === 'string' ? stemOf(path) : path;
      collector.add(row, { text: response, name, gold: labels }, 'response');
    } else collector.fault(row, 'has neither "text" nor "response"');
  }
}

async function readTable(file: string, delimiter: ',' | '\t', collector: PredictionCollector): Promise<void> {
  let isUtf8 = true;
  const table: CsvTable = await readCsv(file, {
    required: ['Pred'],
    delimiter,
    // Read nevertheless, so that all rows at fault can be told.
    decode: (bytes, path) => {
      try {
        return decodeUtf8(bytes, path);
      } catch {
        isUtf8 = false;
        return new TextDecoder().decode(bytes);
      }
    },
    onBadRow: (row, message) => collector.fault(row, message),
  });
  for (const { row, values } of table.rows) {
    if (!isUtf8 && Object.values(values).some((cell) => cell.includes('\ufffd'))) {
      collector.fault(row, 'is not UTF-8 text. Convert the file to UTF-8');
      continue;
    }
    const { Pred, Video, Label } = values;
    collector.add(row, { text: Pred, name: Video && stemOf(Video), gold: Label }, 'Pred');
  }
}

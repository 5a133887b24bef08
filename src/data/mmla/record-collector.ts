import { clipOf, clipsOwner, idOf, stemOf } from './clips.ts';
import type { MmlaFault, ReadRequest, ReadResult } from './format.ts';
import type { MmlaRecord } from './records.ts';
import type { StoredPrompt } from './stored-prompts.ts';
import { parseStoredPrompt, promptFault } from './stored-prompts.ts';

/** A row as its file tells it. */
export interface RawRow {
  readonly row: number;
  /** The utterance. */
  readonly text: string;
  /** The label in any case, or an answer such as `emotion: Joy`. */
  readonly gold: string;
  /** Path of the clip as the file spells it. */
  readonly media?: string;
  /** What names the sample where no clip does: the number of the released tables. */
  readonly number?: string;
}

/** A row whose utterance stands in a prompt. */
export interface PromptRow extends Omit<RawRow, 'text'> {
  readonly prompt: string;
  /** Whether the clip is there for its name alone. */
  readonly mediaIsName?: boolean;
}

/**
 * The label that a file's gold stands for: what follows the first `:`, in any case.
 *
 * @returns undefined where the task has no such label
 */
export function canonicalLabel(labels: readonly string[], gold: string): string | undefined {
  const wanted = gold
    .slice(gold.indexOf(':') + 1)
    .trim()
    .toLowerCase();
  return labels.find((label) => label.toLowerCase() === wanted);
}

/** Makes records of the rows of one file, and keeps what is wrong with the others. */
export class RecordCollector {
  readonly #request: ReadRequest;
  readonly #records: MmlaRecord[] = [];
  readonly #faults: MmlaFault[] = [];
  readonly #rowOfClip = new Map<string, number>();
  /** What is wrong with prompts, by message: most often the whole file is one of another task. */
  readonly #promptFaults = new Map<string, number[]>();
  /** The last question and what is wrong with it: all rows of a file ask the same. */
  #lastAsked: { readonly prompt?: StoredPrompt; readonly message?: string | undefined } = {};
  #rows = 0;

  constructor(request: ReadRequest) {
    this.#request = request;
  }

  /** @param row null for the file as a whole */
  fault(row: number | null, message: string): void {
    this.#faults.push({ file: this.#request.file, row, message });
  }

  /** A row that cannot be read at all. */
  badRow(row: number, message: string): void {
    this.#rows++;
    this.fault(row, message);
  }

  addPrompt({ prompt, mediaIsName = false, ...rest }: PromptRow): void {
    const parsed = parseStoredPrompt(prompt);
    if (parsed === undefined) {
      this.badRow(
        rest.row,
        `its prompt has no utterance between "says:" and "Based on the text": ${JSON.stringify(prompt.slice(0, 80))}`,
      );
      return;
    }
    if (this.#isAskedElsewhere(rest.row, parsed)) return;
    const { media, ...row } = rest;
    this.add({
      ...row,
      ...(media === undefined ? {} : mediaIsName ? { number: stemOf(media) } : { media }),
      text: parsed.text,
    });
  }

  #isAskedElsewhere(row: number, prompt: StoredPrompt): boolean {
    const last = this.#lastAsked.prompt;
    if (prompt.taskWord !== last?.taskWord || prompt.offered !== last?.offered) {
      this.#lastAsked = { prompt, message: promptFault(this.#request.task, prompt) };
    }
    const { message } = this.#lastAsked;
    if (message === undefined) return false;
    this.#rows++;
    const rows = this.#promptFaults.get(message);
    if (rows === undefined) this.#promptFaults.set(message, [row]);
    else rows.push(row);
    return true;
  }

  add({ row, text, gold, media, number }: RawRow): void {
    this.#rows++;
    const { file, task, split } = this.#request;
    const label = canonicalLabel(task.labels, gold);
    const named = media ?? number ?? '';
    const id = media === undefined ? idOf(task, named) : stemOf(named);
    const clip = clipOf(task, id);
    const faults = [
      ...(label === undefined
        ? [`the label ${JSON.stringify(gold)} is none of ${task.key}: ${task.labels.join(', ')}`]
        : []),
      ...(text.trim() === '' ? ['the utterance is empty'] : []),
      ...(named.trim() === '' || id === ''
        ? ['nothing names the sample: there is neither a clip nor a number']
        : this.#faultsOfId(id, clip, row)),
    ];
    for (const message of faults) this.fault(row, message);
    if (faults.length > 0 || label === undefined) return;
    this.#records.push({
      id,
      text,
      ...(media === undefined ? {} : { media }),
      task: task.key,
      label,
      ...(split === undefined ? {} : { split }),
      clip,
      origin: `${file}, row ${row}`,
    });
  }

  #faultsOfId(id: string, clip: string, row: number): string[] {
    const { task } = this.#request;
    const owner = clipsOwner(id) ?? task.clips;
    // By clip: one file may name it after either of two tasks.
    const earlier = this.#rowOfClip.get(clip);
    if (earlier === undefined) this.#rowOfClip.set(clip, row);
    return [
      ...(owner === task.clips
        ? []
        : [`${id} is a clip of ${owner}, and those of ${task.key} are clips of ${task.clips}`]),
      ...(earlier === undefined ? [] : [`the sample ${id} is already that of row ${earlier}`]),
    ];
  }

  /** What has been read, faults in the order of the rows; a file without any row is at fault. */
  result(): ReadResult {
    for (const [message, rows] of this.#promptFaults) {
      if (rows.length === this.#rows && rows.length > 1) {
        this.fault(null, `each of its ${rows.length} prompts ${message}`);
      } else {
        for (const row of rows) this.fault(row, `its prompt ${message}`);
      }
    }
    if (this.#rows === 0 && this.#faults.length === 0) this.fault(null, 'there is no sample in it');
    const faults = this.#faults.toSorted((one, other) => (one.row ?? 0) - (other.row ?? 0));
    return { records: this.#records, faults };
  }
}

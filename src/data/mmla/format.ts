import type { MmlaRecord } from './records.ts';
import type { MmlaSplit, MmlaTask } from './tasks.ts';

/** Something that is wrong with a row of a file, or with the file as a whole. */
export interface MmlaFault {
  readonly file: string;
  /** From 1, the header of a table included; null where it is the file as a whole. */
  readonly row: number | null;
  readonly message: string;
}

/** A file to read. */
export interface ReadRequest {
  readonly file: string;
  readonly task: MmlaTask;
  /** Of all rows, where the file does not tell itself. */
  readonly split?: MmlaSplit;
}

/** What a file holds: its good rows, and all that is wrong with the others. */
export interface ReadResult {
  readonly records: readonly MmlaRecord[];
  readonly faults: readonly MmlaFault[];
}

/** What a file looks like, to recognise its format by. */
export interface FileHead {
  readonly file: string;
  /** Its first bytes as UTF-8, 1 MiB at most; what is no UTF-8 has become U+FFFD. */
  readonly text: string;
}

/** A way in which samples of MMLA are stored. */
export interface MmlaFormat {
  /** For messages, such as `ms-swift JSONL`. */
  readonly name: string;
  /** Whether a file of this content is of this format; decided by content, not by the name of the file. */
  recognises(head: FileHead): boolean;
  /**
   * Reads all rows. Bad rows are told, not thrown, so that all of them can be shown at once.
   * @returns `media` of records as the file spells it; `mapMedia` makes it a path of this machine
   * @throws InputError those of reading files
   */
  read(request: ReadRequest): Promise<ReadResult>;
}

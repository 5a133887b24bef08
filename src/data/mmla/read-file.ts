import { InputError } from '../../errors.ts';
import { readInto, withFile } from '../../io/filesystem.ts';
import { listFaults } from '../records.ts';
import { formatFault } from './findings.ts';
import type { FileHead, MmlaFault, MmlaFormat, ReadRequest, ReadResult } from './format.ts';
import { mmlaFormats } from './formats.ts';
import type { MmlaRecord } from './records.ts';
import type { MmlaSplit, MmlaTask } from './tasks.ts';

/** Most faults of rows named in one message. */
const faultsShown = 200;
/** How much of a file its format is told by. */
const headBytes = 1024 * 1024;

async function readHead(file: string): Promise<FileHead> {
  const bytes = await withFile(file, async (handle) => {
    const buffer = Buffer.alloc(headBytes);
    return buffer.subarray(0, await readInto(handle, buffer, 0));
  });
  return { file, text: new TextDecoder().decode(bytes) };
}

/** What there is to say of a text that nobody recognises. */
export function looksLike(text: string): string {
  if (text.trim() === '') return 'It is empty';
  if (text.includes('\0')) return 'It is not UTF-8 text (UTF-16, or no text at all); convert it to UTF-8';
  return `It begins with ${JSON.stringify(text.slice(0, 80))}`;
}

/**
 * The format of a file, by its content.
 * @throws InputError `MMLA_FORMAT_UNKNOWN`, `MMLA_FORMAT_AMBIGUOUS`
 */
export function formatOf(head: FileHead, formats: readonly MmlaFormat[] = mmlaFormats): MmlaFormat {
  const found = formats.filter((format) => format.recognises(head));
  const names = (of: readonly MmlaFormat[]) => of.map(({ name }) => name).join('; ');
  if (found.length > 1) {
    throw new InputError(
      'MMLA_FORMAT_AMBIGUOUS',
      `${head.file} looks like more than one format: ${names(found)}. Remove from its first rows what belongs to only one of them.`,
    );
  }
  if (found.length === 1) return found[0]!;
  const seen = looksLike(head.text);
  throw new InputError(
    'MMLA_FORMAT_UNKNOWN',
    `${head.file} is in no format in which samples of MMLA are stored. ${seen}. Formats are told by the columns or keys that the file begins with, and these are known: ${names(formats)}.`,
  );
}

/**
 * Reads the samples of a file in whichever format it is.
 * @returns good rows, faults of the others, and the name of the format
 * @throws InputError `MMLA_FORMAT_UNKNOWN`, `MMLA_FORMAT_AMBIGUOUS`, and those of reading files
 */
export async function readMmlaFile(request: ReadRequest): Promise<ReadResult & { format: string }> {
  const format = formatOf(await readHead(request.file));
  return { ...(await format.read(request)), format: format.name };
}

/** One error for the faults of rows, all of them in `faults`. */
export function rowsInvalid(faults: readonly MmlaFault[]): InputError {
  const lines = faults.map((fault) => formatFault(fault).replace(/\.$/, ''));
  return new InputError(
    'MMLA_ROWS_INVALID',
    `${faults.length} ${faults.length === 1 ? 'fault was' : 'faults were'} found: ${listFaults(lines, faultsShown)}.`,
    { faults: lines.map((line) => new InputError('MMLA_ROWS_INVALID', line)) },
  );
}

/**
 * The samples of a file that has to be without fault.
 * @throws InputError `MMLA_ROWS_INVALID` with every fault, and those of `readMmlaFile`
 */
export async function readGold(file: string, task: MmlaTask, split?: MmlaSplit): Promise<MmlaRecord[]> {
  const { records, faults } = await readMmlaFile({ file, task, ...(split === undefined ? {} : { split }) });
  if (faults.length > 0) throw rowsInvalid(faults);
  return [...records];
}

import { InputError } from '../../../errors.ts';
import { readText } from '../../../io/filesystem.ts';
import { findDuplicateKey, isJsonObject } from '../../../io/json.ts';
import type { MmlaFormat, ReadRequest, ReadResult } from '../format.ts';
import type { UpstreamRow } from './rows.ts';
import { addRows, collectorFor, decodeTolerantly, readContent } from './rows.ts';

/** What an object of the file has: the line that was said, and what came before it. */
const members = 'utterance|speaker|context|context_speakers|show|sarcasm';
const beginning = new RegExp(`^\\s*\\{\\s*"[^"]+"\\s*:\\s*\\{\\s*"(${members})"\\s*:`);

async function readClips(file: string): Promise<Record<string, unknown>> {
  const text = await readText(file, decodeTolerantly);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InputError(
      'JSON_INVALID',
      `${file} is not JSON: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (!isJsonObject(value)) {
    throw new InputError(
      'JSON_INVALID',
      `${file} holds no JSON object, whose keys were the names of the clips`,
    );
  }
  const twice = findDuplicateKey(text);
  if (twice !== undefined) {
    throw new InputError('JSON_INVALID', `the key "${twice}" occurs twice in one object of ${file}`);
  }
  return value;
}

function toRow([clip, value]: [string, unknown], index: number): UpstreamRow {
  const { utterance, sarcasm } = isJsonObject(value) ? value : {};
  const faults = [
    ...(/^\w+$/.test(clip) ? [] : ['the name is not of letters, digits and underscores']),
    ...(typeof utterance === 'string' && utterance.trim() !== '' ? [] : ['its "utterance" is no text']),
    ...(typeof sarcasm === 'boolean' ? [] : ['its "sarcasm" is neither true nor false']),
  ];
  return {
    row: index + 1,
    number: clip,
    text: typeof utterance === 'string' ? utterance : '',
    label: sarcasm === true ? 'sarcastic' : 'sincere',
    faults: faults.map((fault) => `clip "${clip}": ${fault}`),
  };
}

/**
 * `sarcasm_data.json` of https://github.com/soujanyaporia/MUStARD: an object of clips by name. Rows are counted by clip,
 * from 1. The lines before an utterance are not part of the task.
 */
export const mustardFormat: MmlaFormat = {
  name: 'MUStARD JSON',
  recognises: ({ text }) => beginning.test(text) && text.includes('"sarcasm"'),
  async read(request: ReadRequest): Promise<ReadResult> {
    const { file } = request;
    const { collector, fits } = collectorFor(request, 'the file of MUStARD', ['MUStARD']);
    if (!fits) return collector.result();
    const clips = await readContent(file, collector, () => readClips(file));
    addRows(collector, Object.entries(clips ?? {}).map(toRow));
    return collector.result();
  },
};

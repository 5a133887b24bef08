import { basename } from 'node:path';
import { meldColumns, readMeldTable } from '../../meld-table.ts';
import type { MmlaFormat, ReadRequest, ReadResult } from '../format.ts';
import type { MmlaSplit } from '../tasks.ts';
import { mmlaSplits } from '../tasks.ts';
import { addRows, collectorFor, csvOptions, headerOf, readContent } from './rows.ts';

/** MMLA numbers the dialogues of all splits in one go: those of train, then of dev, then of test. */
const offsets: Readonly<Record<MmlaSplit, number>> = { train: 0, dev: 1039, test: 1153 };

const splitOf = (file: string): MmlaSplit | undefined =>
  mmlaSplits.find((split) => basename(file).startsWith(`${split}_sent_emo`));

/** `train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv` of https://github.com/declare-lab/MELD. */
export const meldFormat: MmlaFormat = {
  name: 'MELD CSV',
  recognises({ text }) {
    const header = headerOf(text);
    return meldColumns.every((column) => header.includes(column));
  },
  async read(request: ReadRequest): Promise<ReadResult> {
    const { file } = request;
    const named = splitOf(file);
    const split = named ?? request.split;
    const asked = split === undefined ? request : { ...request, split };
    const { collector, fits } = collectorFor(asked, 'a table of MELD', ['MELD']);
    if (!fits) return collector.result();
    if (split === undefined) {
      const names = mmlaSplits.map((one) => `${one}_sent_emo.csv`).join(', ');
      collector.fault(
        null,
        `the split is not known, which the numbers of dialogues depend on: name the file as it is published (${names}), or say the split`,
      );
      return collector.result();
    }
    if (request.split !== undefined && request.split !== split) {
      collector.fault(null, `this is the ${split} split by its name, and it is read as ${request.split}`);
      return collector.result();
    }
    const rows = await readContent(file, collector, () => readMeldTable(file, csvOptions(collector)));
    addRows(
      collector,
      (rows ?? []).map(({ row, dialogue, utterance, text, emotion, faults }) => ({
        row,
        number: `${Number(dialogue) + offsets[split]}_${Number(utterance)}`,
        text,
        label: emotion,
        faults,
      })),
    );
    return collector.result();
  },
};

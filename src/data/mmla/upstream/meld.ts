import { meldColumns, readMeldTable } from '../../meld-table.ts';
import type { MmlaFormat, ReadRequest, ReadResult } from '../format.ts';
import { mmlaSplits } from '../tasks.ts';
import { meldNumber, meldSplitOf } from './meld-names.ts';
import { addRows, collectorFor, csvOptions, headerOf, readContent } from './rows.ts';

/** `train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv` of https://github.com/declare-lab/MELD. */
export const meldFormat: MmlaFormat = {
  name: 'MELD CSV',
  recognises({ text }) {
    const header = headerOf(text);
    // EMOTyDA added a column to it.
    return meldColumns.every((column) => header.includes(column)) && !header.includes('Dialogue Act');
  },
  async read(request: ReadRequest): Promise<ReadResult> {
    const { file } = request;
    const named = meldSplitOf(file);
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
        number: meldNumber(split, dialogue, utterance),
        text,
        label: emotion,
        faults,
      })),
    );
    return collector.result();
  },
};

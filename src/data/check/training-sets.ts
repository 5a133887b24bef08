import path from 'node:path';
import { InputError } from '../../errors.ts';
import { annotatedRecords, clipTables } from '../datasets.ts';
import { meldCounts, meldSource, readMeldText } from '../meld.ts';
import type { CheckedSet, CheckOptions } from './clip-set.ts';
import { checkClipSet, countFindings, readTable, tableFault } from './clip-set.ts';

/** Data sets that are trained on, by their registry names. */
export const trainingSets = [...Object.keys(clipTables), 'meld-text'] as const;

/** The published sets have no splits: all of it is trained on. */
const whole = 'all';

async function checkClipTables(
  key: keyof typeof clipTables,
  root: string,
  options: CheckOptions,
): Promise<CheckedSet> {
  const definition = clipTables[key];
  const folder = path.resolve(root, definition.folder);
  const labels = await readTable('labels', folder, definition.labels);
  const descriptions = await readTable('descriptions', folder, definition.descriptions);
  const records = annotatedRecords(folder, definition, {
    labels: labels.cells,
    descriptions: descriptions.cells,
  });
  return checkClipSet(
    {
      ...{ dataset: key, title: definition.title, layout: definition, root },
      splits: [{ split: whole, expected: definition.count, records }],
      known: [],
      findings: [...labels.findings, ...descriptions.findings],
    },
    options,
  );
}

async function checkMeldText(root: string, { partial }: CheckOptions): Promise<CheckedSet> {
  const report = {
    dataset: 'meld-text',
    title: 'MELD, text alone',
    folder: path.resolve(root),
    source: meldSource,
  };
  try {
    const records = await readMeldText(root);
    const splits = Object.entries(meldCounts).map(([split, expected]) => ({
      ...{ split, expected },
      records: records.filter((record) => record.split === split),
    }));
    return {
      report: {
        ...report,
        splits: splits.map(({ split, expected, records: own }) => ({ split, samples: own.length, expected })),
        findings: countFindings(splits, partial),
      },
      records,
    };
  } catch (error) {
    return {
      report: { ...report, splits: [], findings: tableFault('labels', '', error) },
      records: [],
    };
  }
}

/**
 * Checks a data set that is trained on.
 * @throws InputError `DATASET_UNKNOWN`
 */
export async function checkTrainingSet(
  key: string,
  root: string,
  options: CheckOptions,
): Promise<CheckedSet> {
  if (key === 'meld-text') return checkMeldText(root, options);
  if (Object.hasOwn(clipTables, key)) return checkClipTables(key as keyof typeof clipTables, root, options);
  throw new InputError(
    'DATASET_UNKNOWN',
    `There is no data set "${key}". Known are ${trainingSets.join(', ')}.`,
  );
}

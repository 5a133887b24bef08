import { inputMode } from '../model/modes.ts';
import type { Config } from '../src/config/schema.ts';
import {
  type RecordsLocation,
  readRecords,
  recordsLocation,
  splitRecords,
} from '../src/data/read-records.ts';
import { findFileFaults, listFaults, type SampleRecord } from '../src/data/records.ts';
import { asOneError, InputError } from '../src/errors.ts';
import { openAffectGpt } from '../src/runtime/affectgpt.ts';
import { planValidation } from './validation/plan.ts';

/**
 * Records of a configuration, divided by `data.trainSplit`, and those that it is validated on.
 * @throws InputError `SAMPLES_NONE`, and those of `readRecords` and `planValidation`
 */
async function readDividedRecords(
  config: Config,
  location: RecordsLocation,
  notify: (message: string) => void,
) {
  const { data } = config;
  const records = await readRecords(location, notify);
  const divided = splitRecords(records, data.trainSplit);
  if (divided.train.length > 0) {
    return { ...divided, validation: planValidation(config, divided, location) };
  }
  const counts = new Map<string, number>();
  for (const { split } of records) counts.set(split!, (counts.get(split!) ?? 0) + 1);
  const found = [...counts].map(([split, count]) => `${split} (${count})`).join(', ');
  const where = 'manifest' in location ? location.manifest : `the data set "${location.dataset}"`;
  throw new InputError(
    'SAMPLES_NONE',
    `No sample of ${where} has the split "${data.trainSplit}" that data.trainSplit asks for; there are: ${found}. Name one of them, or set data.trainSplit to null to train on all.`,
  );
}

/** What is not there of the files that samples name, where models are missing too. */
async function missingFiles(
  { model, data }: Config,
  records: readonly SampleRecord[],
): Promise<InputError | undefined> {
  if (data.onBadSample === 'skip') return undefined;
  const faults = await findFileFaults(records, inputMode(model.inputs));
  if (faults.size === 0) return undefined;
  const texts = listFaults([...faults.values()].flat());
  return new InputError(
    'SAMPLES_UNUSABLE',
    `${faults.size} of ${records.length} samples cannot be used: ${texts}.`,
  );
}

/**
 * The model and the records of a configuration. Whatever is missing of either, or of what else is checked, is said at once.
 * @throws InputError `NOT_READY` where faults of several are joined, else that of the one
 */
export async function openModelAndRecords(
  config: Config,
  check: () => Promise<void>,
  notify: (message: string) => void = () => {},
) {
  const [model, records, checked] = await Promise.allSettled([
    openAffectGpt(config),
    readDividedRecords(config, recordsLocation(config), notify),
    check(),
  ]);
  if (model.status === 'fulfilled' && records.status === 'fulfilled' && checked.status === 'fulfilled') {
    return { model: model.value, ...records.value };
  }
  // A check that needs the records fails as they do.
  const needed = records.status === 'rejected' ? [model, records] : [model, records, checked];
  const errors: unknown[] = needed.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  if (records.status === 'fulfilled') {
    const missing = await missingFiles(config, records.value.train);
    if (missing !== undefined) errors.push(missing);
  }
  throw asOneError(errors);
}

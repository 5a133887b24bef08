import { existsSync } from 'node:fs';
import path from 'node:path';

/**
 * Published files that are not ours to pass on. They lie where a variable of the environment says, or beside this
 * repository.
 */
const place = (variable: string, ...beside: string[]): string =>
  process.env[variable] || path.resolve('../shared', ...beside);

export const publishedFiles = {
  /** Annotation files of MMLA in a folder for each task, as ms-swift takes them. */
  mmla: place('AFFECTGPT_MMLA', 'data', 'mmla'),
  /** `train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv` of MELD. */
  meld: place('AFFECTGPT_MELD', 'data', 'meld'),
  /** The folder `Dataset` of EMOTyDA. */
  emotyda: place('AFFECTGPT_EMOTYDA', 'data', 'emotyda'),
  /** Predictions, labels and emotion wheels of MER-UniBench. */
  merUnibench: place('AFFECTGPT_MER_UNIBENCH', 'data', 'mer-unibench'),
  /** What is published about MMLA, as numbers. */
  mmlaNumbers: place('AFFECTGPT_MMLA_NUMBERS', 'spec', 'mmla-numbers.json'),
  /** What the published code makes of the predictions of MER-UniBench. */
  merUnibenchNumbers: place('AFFECTGPT_MER_UNIBENCH_NUMBERS', 'spec', 'affectgpt-numbers.json'),
} as const;

/** Whether files that a test needs are not there, which is said once. */
export function isMissing(what: string, ...files: readonly string[]): boolean {
  const absent = files.filter((file) => !existsSync(file));
  if (absent.length > 0) console.warn(`Skipped, ${what}: ${absent.join(', ')} not there.`);
  return absent.length > 0;
}

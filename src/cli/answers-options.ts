import { usageError } from './errors.ts';
import { checkNamedOnce } from './option-values.ts';

/** What the command line says of where answers come from: they are there, or a run gives them. */
export interface AnswersArguments {
  dataset: string[] | undefined;
  predictions: string | undefined;
  labels: string | undefined;
  checkpoint: string[] | undefined;
  'all-checkpoints': boolean;
  'data-root': string | undefined;
  data: string | undefined;
  split: string | undefined;
  set: string[] | undefined;
}

const ofRun = ['data-root', 'data', 'split', 'set'] as const;

/** Options that would change nothing are refused. */
export function checkAnswersOptions(args: AnswersArguments): void {
  checkNamedOnce('dataset', args.dataset);
  if (args.checkpoint === undefined) {
    const unused = args['all-checkpoints'] ? 'all-checkpoints' : ofRun.find((one) => args[one] !== undefined);
    if (unused !== undefined)
      throw usageError(`--${unused} says how answers are generated; give --checkpoint.`);
    for (const option of ['dataset', 'predictions', 'labels'] as const) {
      if (args[option] === undefined) throw usageError(`Missing required argument: ${option}`);
    }
    return;
  }
  for (const option of ['predictions', 'labels'] as const) {
    if (args[option] === undefined) continue;
    throw usageError(`--${option} is of answers that are there; leave it out, or leave out --checkpoint.`);
  }
  if ((args['data-root'] === undefined) === (args.data === undefined)) {
    throw usageError(
      '--checkpoint needs either --data-root with the sets as published, or --data with a manifest.',
    );
  }
  if (args.data !== undefined && args.dataset?.length !== 1) {
    throw usageError('A manifest (--data) describes one set; say which with --dataset.');
  }
  if (args['all-checkpoints'] && args.checkpoint.length > 1) {
    throw usageError('--all-checkpoints is of one run; give one --checkpoint.');
  }
}

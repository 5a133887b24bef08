import { CheckError } from '../errors.ts';
import { usageError } from './errors.ts';
import { checkNamedOnce } from './option-values.ts';

/** Options of `data check` that only `--benchmark mmla` takes. */
export interface MmlaCheckArguments {
  readonly root: string;
  readonly task: string | readonly string[] | undefined;
  readonly 'media-root': string | undefined;
  readonly map: string | readonly string[] | undefined;
  readonly 'text-only': boolean;
  readonly partial: boolean;
  readonly json: boolean;
}

/** What was given, however often. */
const given = (value: string | readonly string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value;

/** `affectgpt data check --benchmark mmla --root DIR` */
export async function checkMmlaCommand(args: MmlaCheckArguments): Promise<void> {
  const { checkMmla } = await import('../data/mmla/check.ts');
  const { countFaults, formatMmlaReport } = await import('../data/mmla/findings.ts');
  const { parseMediaRule } = await import('../data/mmla/media.ts');
  const { mmlaTask } = await import('../data/mmla/tasks.ts');
  const { root, partial } = args;
  const keys = given(args.task);
  checkNamedOnce('task', keys);
  const tasks = keys.map(mmlaTask);
  const rules = given(args.map).map(parseMediaRule);
  if (args['text-only'] && (args['media-root'] !== undefined || rules.length > 0)) {
    throw usageError('--text-only looks at no videos; leave out --media-root and --map.');
  }
  const mediaRoot = args['text-only'] ? null : (args['media-root'] ?? root);
  const report = await checkMmla(root, { tasks, mediaRoot, rules, partial });
  process.stdout.write(
    args.json
      ? `${JSON.stringify({ check: 'data', benchmark: 'mmla', ...report })}\n`
      : formatMmlaReport(report),
  );
  if (report.ok) return;
  const faults = countFaults(report);
  const isWithoutVideos = report.tasks.some(({ videos, faults: rows }) => videos === 0 && rows.length > 0);
  const advice = isWithoutVideos
    ? ' Say where videos are by --media-root and --map, or --text-only where they are not wanted.'
    : '';
  throw new CheckError(
    'DATA_INCOMPLETE',
    `The files of MMLA are not complete: ${faults} ${faults === 1 ? 'fault' : 'faults'}, see the report.${advice}`,
  );
}

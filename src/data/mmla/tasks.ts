import {
  type MmlaDimension,
  type MmlaSplit,
  type MmlaTaskDefinition,
  type MmlaTaskKey,
  mmlaSplits,
  mmlaTaskDefinitions,
  mmlaTaskKeys,
  type PaperTaskKey,
} from '../../config/mmla-tasks.ts';
import { InputError } from '../../errors.ts';

export { type MmlaCounts, mmlaDimensions } from '../../config/mmla-tasks.ts';
export { type MmlaDimension, type MmlaSplit, type MmlaTaskKey, mmlaSplits, mmlaTaskKeys, type PaperTaskKey };

/** The split that the name of a file tells, as of `dev.jsonl` and `MELD_train_emotion_llamafactory.json`; undefined where it tells none. */
export function splitOfName(file: string): MmlaSplit | undefined {
  const name = /(?:^|[\\/_.-])(train|dev|test)(?:[_.-][^\\/]*)?\.(?:csv|json|jsonl|tsv)$/.exec(file);
  return mmlaSplits.find((split) => split === name?.[1]);
}

/** A task of MMLA. */
export interface MmlaTask extends MmlaTaskDefinition {
  readonly key: MmlaTaskKey;
  /** The dimension as file names and gold answers spell it, such as `dialogue_act`. */
  readonly taskKey: string;
  readonly leaderboardCount: number;
  readonly prefixes: readonly string[];
}

const completed = ([key, definition]: [string, MmlaTaskDefinition]): MmlaTask => ({
  ...definition,
  key: key as MmlaTaskKey,
  taskKey: definition.dimension.replaceAll(' ', '_'),
  leaderboardCount: definition.leaderboardCount ?? definition.counts.test,
  prefixes: [key, ...(definition.prefixes ?? [])],
});

/** All tasks, in the order of the registry. */
export const mmlaTasks: readonly MmlaTask[] = Object.entries(mmlaTaskDefinitions).map(completed);

type PaperTask = MmlaTask & { readonly key: PaperTaskKey };

/** The tasks of the paper, which its averages and leaderboards are over. */
export const paperTasks: readonly PaperTask[] = mmlaTasks.filter(
  (task): task is PaperTask => task.isOwn !== true,
);

/** @throws InputError `MMLA_TASK_UNKNOWN` with the keys that there are */
export function mmlaTask(key: string): MmlaTask {
  const task = mmlaTasks.find((candidate) => candidate.key === key);
  if (task !== undefined) return task;
  throw new InputError(
    'MMLA_TASK_UNKNOWN',
    `MMLA has no task "${key}". Its tasks are ${mmlaTaskKeys.join(', ')}.`,
  );
}

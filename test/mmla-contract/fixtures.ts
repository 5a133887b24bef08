import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixturePath } from '../support/fixture.ts';

/** Made by scripts/make-mmla-fixtures.ts. */
export const fixtures = fixturePath('mmla');

/** A part of a task's samples. */
export type Split = 'train' | 'dev' | 'test';
export const splits: readonly Split[] = ['train', 'dev', 'test'];

export interface FixtureRow {
  readonly number: string;
  readonly text: string;
  readonly label: string;
}

/** A task as its files were made, independently of the registry. */
export interface FixtureTask {
  readonly key: string;
  readonly taskKey: string;
  readonly labels: readonly string[];
  readonly folder: string;
  readonly clips: string;
  readonly rows: Readonly<Record<Split, readonly FixtureRow[]>>;
}

export const fixtureTasks = JSON.parse(readFileSync(join(fixtures, 'tasks.json'), 'utf8')) as FixtureTask[];

/** A file with rows of a task. */
export interface FixtureFile {
  readonly layout: string;
  readonly file: string;
  /** Whose rows it has, and of which the reader is told; null where it has those of all splits. */
  readonly split: Split | null;
  readonly rows: readonly FixtureRow[];
  /** Whether samples are named by the key of the task there, and not by another task with the same clips. */
  readonly hasOwnNames: boolean;
}

const all = ({ rows }: FixtureTask): FixtureRow[] => splits.flatMap((split) => rows[split]);

/** Files of the authors of the data sets, for the tasks that are made of them. */
function upstreamFiles(task: FixtureTask): FixtureFile[] {
  const of = (file: string, rows: readonly FixtureRow[], split: Split | null = null): FixtureFile => ({
    ...{ layout: 'upstream', file: join(fixtures, 'upstream', file), split, rows, hasOwnNames: true },
  });
  switch (task.key) {
    case 'MELD':
      return splits.map((split) => of(`MELD/${split}_sent_emo.csv`, task.rows[split], split));
    case 'MELD-DA':
      return [of('EMOTyDA/MELD.csv', all(task))];
    case 'IEMOCAP-DA':
      return ['1', '2', '3'].map((session) =>
        of(
          `EMOTyDA/iemocap_session${session}.csv`,
          all(task).filter(({ number }) => number.startsWith(`Ses0${session}`)),
        ),
      );
    case 'MUStARD':
      return [of('MUStARD/sarcasm_data.json', all(task))];
    case 'AnnoMi-client':
    case 'AnnoMi-therapist':
      return [of('AnnoMI/AnnoMI-full.csv', all(task))];
    default:
      return [];
  }
}

/** All files that hold rows of a task. */
export function filesOf(task: FixtureTask): FixtureFile[] {
  const { key, taskKey, folder, rows } = task;
  const of = (layout: string, file: string, split: Split, hasOwnNames = true): FixtureFile => ({
    ...{ layout, file: join(fixtures, layout, file), split, rows: rows[split], hasOwnNames },
  });
  const pointsElsewhere = (split: Split) => key === 'MELD-DA' && split === 'dev';
  const renamed = ['MELD-DA', 'IEMOCAP-DA', 'MUStARD'].includes(key);
  return [
    ...splits.flatMap((split) => [
      of('release', `${folder}/${split}.tsv`, split),
      of('swift', `${key}/${split}.jsonl`, split, !pointsElsewhere(split)),
    ]),
    ...(['train', 'dev'] as const).flatMap((split) => [
      of('llama-factory', `${key}_${split}_${taskKey}_llamafactory.json`, split, !pointsElsewhere(split)),
      of('llama-factory', `${key}_${split}_text_${taskKey}_llamafactory.json`, split, !renamed),
      of('llava', `${key}_${split}_${taskKey}_llava-next.json`, split, !pointsElsewhere(split)),
    ]),
    of('videollama2', `${key.replace('AnnoMi', 'AnnoMI')}_train_${taskKey}.json`, 'train'),
    of('zero-shot', `${key}/test_${taskKey}.json`, 'test'),
    ...upstreamFiles(task),
  ];
}

import { storedAnswer, storedPrompt } from '../../src/data/mmla/prompts.ts';
import { type MmlaSplit, mmlaTask } from '../../src/data/mmla/tasks.ts';
import { writeBelow } from './temporary-folder.ts';

/**
 * Writes tables of a task as the data set was released.
 *
 * @param splits rows of each: number, utterance and label, with tabs between them
 */
export function writeReleasedTask(
  root: string,
  key: string,
  splits: Readonly<Partial<Record<MmlaSplit, readonly string[]>>>,
): void {
  const { folder, taskKey } = mmlaTask(key);
  for (const [split, rows] of Object.entries(splits)) {
    const lines = [`id\tutterance\t${taskKey}`, ...rows].map((line) => `${line}\n`);
    writeBelow(root, `${folder}/${split}.tsv`, lines.join(''));
  }
}

/** A row of the test file that ms-swift reads. */
export function swiftRow(key: string, text: string, label: string, clip: string) {
  const task = mmlaTask(key);
  const kind = { layout: 'swift', split: 'test' } as const;
  return {
    query: storedPrompt(task, text, kind),
    response: storedAnswer(task, label, kind),
    videos: [`/data/${key}/video/${clip}.mp4`],
  };
}

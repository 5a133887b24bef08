/**
 * Writes the synthetic MMLA files of test/fixtures/mmla:
 *
 *     npx tsx scripts/make-mmla-fixtures.ts [folder]
 *
 * Utterances are invented; formats, prompts, spellings and file names are those of the released files, typed here once more
 * from their description and on purpose not imported from the program, so that tests notice where the program is wrong.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { filesOf } from './mmla-fixtures/released.ts';
import { allRows, json, tasks } from './mmla-fixtures/rows.ts';
import { upstreamFiles } from './mmla-fixtures/upstream.ts';

/** All files, by their paths below the folder of the fixtures. */
export function makeMmlaFixtures(): Record<string, string> {
  const rows = allRows();
  const expected = tasks.map((task) => ({
    ...{ key: task.key, taskKey: task.taskKey, labels: task.labels, folder: task.folder, clips: task.clips },
    rows: rows.get(task.key)!,
  }));
  return Object.assign(
    { 'tasks.json': json(expected) },
    upstreamFiles(rows),
    ...tasks.map((task) => filesOf(task, rows.get(task.key)!)),
  ) as Record<string, string>;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const folder = process.argv[2] ?? fileURLToPath(new URL('../test/fixtures/mmla', import.meta.url));
  await rm(folder, { recursive: true, force: true });
  for (const [file, text] of Object.entries(makeMmlaFixtures())) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), text);
  }
}

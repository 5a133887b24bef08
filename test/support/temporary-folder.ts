import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, onTestFinished } from 'vitest';

const makeFolder = (): string => mkdtempSync(join(tmpdir(), 'affectgpt-test-'));

/** An empty folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = makeFolder();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An empty folder for the tests of the file that asks, gone after them. */
export function folderForFile(): string {
  const folder = makeFolder();
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** As `folderForFile`, and empty whenever a test begins. */
export function emptyFolderForEachTest(): string {
  const folder = folderForFile();
  afterEach(() => {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  });
  return folder;
}

/** Writes a file with the folders above it. Returns its path. */
export function writeBelow(folder: string, name: string, content: string | Uint8Array = ''): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

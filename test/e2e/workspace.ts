import { folderForFile } from '../support/temporary-folder.ts';
import { type Workspace, writeWorkspace } from '../support/workspace.ts';

export { run, succeed } from '../support/command-output.ts';
export { readLines } from '../support/json-lines.ts';
export type { Row, Workspace } from '../support/workspace.ts';
export { readMetrics, readTensorFiles, set } from '../support/workspace.ts';

/** Makes a workspace that is gone after the tests of the file. */
export async function makeWorkspace(): Promise<Workspace> {
  return writeWorkspace(folderForFile());
}

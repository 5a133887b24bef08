import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { type Workspace, writeWorkspace } from '../support/workspace.ts';

export type { Row, Workspace } from '../support/workspace.ts';
export { readLines, readMetrics, readTensorFiles, set } from '../support/workspace.ts';

/** Makes a workspace that is gone after the tests of the file. */
export async function makeWorkspace(): Promise<Workspace> {
  const folder = await mkdtemp(join(tmpdir(), 'affectgpt-e2e-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return writeWorkspace(folder);
}

export interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs one command line in this process. */
export async function run(...argv: string[]): Promise<Ran> {
  const written = { out: '', err: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      written[stream === 'stdout' ? 'out' : 'err'] += String(text);
      return true;
    }),
  );
  try {
    return { exitCode: await main(argv), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** Runs a command line that has to succeed. */
export async function succeed(...argv: string[]): Promise<Ran> {
  const ran = await run(...argv);
  if (ran.exitCode !== 0)
    throw new Error(`affectgpt ${argv.join(' ')}: exit code ${ran.exitCode}\n${ran.err}`);
  return ran;
}

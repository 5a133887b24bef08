import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';

/** How a command line ended, and what it wrote. */
export interface CommandResult {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Command lines of one command, run in this process in a folder and an environment of their own. */
export interface CommandInFolder {
  /** Of the test that is running; gone after it. */
  readonly folder: string;
  run(...argv: string[]): Promise<CommandResult>;
  /** What a command that is still running has written so far. */
  readonly written: { readonly out: string; readonly err: string };
}

/**
 * Gives each test of the file a folder and an environment. What a test stubs is as before after it.
 *
 * @param environment variables for a folder; empty ones are as good as unset
 */
export function commandInFolder(
  command: string,
  environment: (folder: string) => Readonly<Record<string, string>>,
): CommandInFolder {
  const written = { out: '', err: '' };
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), `affectgpt-${command}-`));
    for (const [name, value] of Object.entries(environment(folder))) vi.stubEnv(name, value);
    for (const [stream, key] of [
      [process.stdout, 'out'],
      [process.stderr, 'err'],
    ] as const) {
      vi.spyOn(stream, 'write').mockImplementation((text) => {
        written[key] += String(text);
        return true;
      });
    }
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  return {
    written,
    get folder() {
      return folder;
    },
    async run(...argv) {
      Object.assign(written, { out: '', err: '' });
      return { exitCode: await main([command, ...argv]), ...written };
    },
  };
}

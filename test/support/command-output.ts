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

/** Runs one command line in this process. */
export async function run(...argv: string[]): Promise<CommandResult> {
  const written = { out: '', err: '' };
  const collect = (key: 'out' | 'err') => (text: unknown) => {
    written[key] += String(text);
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(collect('out')),
    vi.spyOn(process.stderr, 'write').mockImplementation(collect('err')),
    // What yargs says; in tests it does not come to standard output.
    vi.spyOn(console, 'log').mockImplementation((text) => void collect('out')(`${text}\n`)),
  ];
  try {
    return { exitCode: await main(argv), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** Runs a command line that has to succeed. */
export async function succeed(...argv: string[]): Promise<CommandResult> {
  const ran = await run(...argv);
  if (ran.exitCode !== 0)
    throw new Error(`affectgpt ${argv.join(' ')}: exit code ${ran.exitCode}\n${ran.err}`);
  return ran;
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

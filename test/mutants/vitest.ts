import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { CheckError } from '../../src/errors.ts';

/** A test that failed. */
export interface FailedTest {
  /** From the root of the repository. */
  readonly file: string;
  /** With the groups that it stands in. */
  readonly title: string;
  readonly message: string;
  /** Whether it failed as tests do: an assertion, or an error of the program's own that nobody expected. */
  readonly counts: boolean;
}

export interface TestRun {
  readonly passed: number;
  readonly failed: readonly FailedTest[];
  /** Files of which no test ran: they could not be read, or their preparations failed. */
  readonly broken: readonly { readonly file: string; readonly message: string }[];
  readonly files: ReadonlySet<string>;
  readonly timedOut: boolean;
  readonly seconds: number;
}

interface JsonReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** Errors of assertions (those about promises and snapshots are plain ones) and errors of the program's own. */
const countingErrors =
  /^(?:AssertionError|InputError|NumericError|EngineError|CheckError|AffectGptError|Error: (?:expected|promise|Snapshot))\b/;

/**
 * Whether a test failed as tests do. Code that does not parse, does not load or calls what is not there would be noticed
 * by any test at all, and so would code that never ends.
 *
 * @param text the error with its stack
 */
export function isNoticed(text: string, folder: string): boolean {
  // vitest makes the stack of a test that takes too long before it begins.
  if (/^Error: (?:(?:Test|Hook) timed out|STACK_TRACE_ERROR)/.test(text)) return false;
  if (countingErrors.test(text)) return true;
  // Plain errors count where the test itself throws them.
  const thrownAt = /\n\s+at (.*)/.exec(text)?.[1] ?? '';
  return text.startsWith('Error: ') && thrownAt.includes(join(folder, 'test'));
}

const firstLine = (text: string): string => text.split('\n', 1)[0]!;

/**
 * Runs test files in a copy of the repository.
 *
 * @param options.bail stops at the first test that fails
 * @throws CheckError `TESTS_DID_NOT_RUN` where vitest leaves no report
 */
export async function runTests(
  folder: string,
  files: readonly string[],
  options: { readonly bail: boolean; readonly workers: number; readonly timeoutSeconds: number },
): Promise<TestRun> {
  const { bail, workers, timeoutSeconds } = options;
  const output = join(folder, 'test-report.json');
  await rm(output, { force: true });
  const started = performance.now();
  const vitest = join(folder, 'node_modules', 'vitest', 'vitest.mjs');
  const { all, timedOut } = await execa(
    process.execPath,
    [
      ...[vitest, 'run', '--project', 'unit', ...files],
      ...['--reporter=json', `--outputFile=${output}`, `--maxWorkers=${workers}`, '--cache=false'],
      ...(bail ? ['--bail=1'] : []),
    ],
    {
      ...{ cwd: folder, all: true, reject: false, timeout: timeoutSeconds * 1000, forceKillAfterDelay: 2000 },
      env: { VITEST: undefined, NODE_ENV: undefined },
    },
  );
  const seconds = (performance.now() - started) / 1000;
  const text = await readFile(output, 'utf8').catch(() => undefined);
  if (text === undefined) {
    if (timedOut) return { passed: 0, failed: [], broken: [], files: new Set(), timedOut, seconds };
    throw new CheckError('TESTS_DID_NOT_RUN', `vitest left no report in ${folder}. It said:\n${all}`);
  }
  return { ...readReport(JSON.parse(text) as JsonReport, folder), timedOut, seconds };
}

function readReport({ testResults }: JsonReport, folder: string) {
  const nameOf = (path: string): string => path.slice(path.indexOf(folder) + folder.length + 1);
  const failed: FailedTest[] = [];
  const broken: { file: string; message: string }[] = [];
  let passed = 0;
  for (const { name, status, message, assertionResults } of testResults) {
    const file = nameOf(name);
    const failures = assertionResults.filter((test) => test.status === 'failed');
    passed += assertionResults.filter((test) => test.status === 'passed').length;
    for (const { fullName, failureMessages } of failures) {
      const text = failureMessages.join('\n');
      failed.push({ file, title: fullName, message: firstLine(text), counts: isNoticed(text, folder) });
    }
    if (status === 'failed' && failures.length === 0) broken.push({ file, message: firstLine(message) });
  }
  return { passed, failed, broken, files: new Set(testResults.map(({ name }) => nameOf(name))) };
}

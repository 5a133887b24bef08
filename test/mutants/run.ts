import { CheckError } from '../../src/errors.ts';
import type { Mutant } from './mutant.ts';
import { type FailedTest, runTests, type TestRun } from './vitest.ts';
import { withWorkspaces } from './workspace.ts';

/** What became of a mutant. */
export interface Verdict {
  readonly mutant: Mutant;
  /** The test that noticed; undefined where none did. */
  readonly caughtBy: FailedTest | undefined;
  /** Where it was not caught: what happened instead. */
  readonly reason: string | undefined;
  readonly seconds: number;
}

export interface MutantRunOptions {
  readonly repository: string;
  readonly mutants: readonly Mutant[];
  /** Private copies, each with one mutant at a time. */
  readonly workers: number;
  readonly notify: (message: string) => void;
}

/** Far more than the tests of any mutant take. */
const mutantSeconds = 240;
const baselineSeconds = 900;

/** The tests that are expected to notice anything have to pass while nothing is broken. */
function checkBaseline(run: TestRun, files: readonly string[]): void {
  const faults = [
    ...(run.timedOut ? [`they did not end within ${baselineSeconds} s`] : []),
    ...run.failed.map(({ file, title, message }) => `${file}: ${title}: ${message}`),
    ...run.broken.map(({ file, message }) => `${file}: ${message}`),
    ...files.filter((file) => !run.files.has(file)).map((file) => `${file}: there is no such test file`),
  ];
  if (faults.length > 0) {
    throw new CheckError(
      'BASELINE_FAILS',
      `Nothing is broken yet, and tests fail; mutants say nothing then:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    );
  }
}

/** Why a run does not count as having caught its mutant. */
function whyNot({ failed, broken, timedOut }: TestRun): string {
  if (timedOut) return `its tests did not end within ${mutantSeconds} s`;
  const [first] = failed;
  if (first !== undefined) {
    return `${first.file}: ${first.title} failed, but not by an assertion: ${first.message}`;
  }
  const [suite] = broken;
  return suite === undefined ? 'all tests passed' : `${suite.file} did not run: ${suite.message}`;
}

/**
 * Breaks the program in each way, one after the other in each private copy, and runs the tests that should notice.
 *
 * @returns verdicts in the order of the mutants
 * @throws CheckError `MUTANT_DOES_NOT_APPLY`, `BASELINE_FAILS`, `TESTS_DID_NOT_RUN`
 */
export async function runMutants(options: MutantRunOptions): Promise<Verdict[]> {
  const { repository, mutants, workers, notify } = options;
  return withWorkspaces(repository, workers, async (workspaces) => {
    const [first] = workspaces;
    for (const mutant of mutants) await first!.broken(mutant, async () => undefined);
    const files = [...new Set(mutants.flatMap(({ tests }) => tests))].sort();
    notify(`${mutants.length} mutants; ${files.length} test files without any of them:`);
    const run = { workers, bail: false, timeoutSeconds: baselineSeconds };
    const baseline = await runTests(first!.folder, files, run);
    checkBaseline(baseline, files);
    notify(`${baseline.passed} tests pass in ${baseline.seconds.toFixed(0)} s.`);
    const verdicts: Verdict[] = [];
    const waiting = mutants.map((mutant, index) => ({ mutant, index }));
    await Promise.all(
      workspaces.map(async (workspace) => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const { mutant, index } = next;
          const broken = await workspace.broken(mutant, () =>
            runTests(workspace.folder, mutant.tests, {
              ...{ bail: true, workers: 1, timeoutSeconds: mutantSeconds },
            }),
          );
          const caughtBy = broken.failed.find(({ counts }) => counts);
          const reason = caughtBy === undefined ? whyNot(broken) : undefined;
          verdicts[index] = { mutant, caughtBy, reason, seconds: broken.seconds };
          const what = caughtBy === undefined ? `SURVIVED: ${reason}` : `${caughtBy.file}: ${caughtBy.title}`;
          notify(`${mutant.name} (${broken.seconds.toFixed(1)} s): ${what}`);
        }
      }),
    );
    return verdicts;
  });
}

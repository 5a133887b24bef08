import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { AffectGptError, InputError } from '../../src/errors.ts';
import { mutants } from './list.ts';
import type { Mutant } from './mutant.ts';
import { runMutants } from './run.ts';
import { dateAndCommit, mutantsSection, rowsOf, writeRows } from './table.ts';

const usage = `npm run test:mutants -- [--list] [--only NAME[,NAME]] [--workers 1|2] [--write]

Breaks the program in ${mutants.length} named ways and expects a test to notice each. Exit code 0 where all are caught, 1 otherwise.
  --list     shows the mutants and the tests that should notice them
  --only     runs these alone
  --workers  private copies that are worked on at a time (2)
  --write    puts the rows into the table of docs/reliability.md`;

const repository = resolve(import.meta.dirname, '../..');

/** @throws InputError `MUTANT_UNKNOWN` */
function chosen(only: string | undefined): readonly Mutant[] {
  if (only === undefined) return mutants;
  const names = only.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => mutants.every((mutant) => mutant.name !== name));
  if (unknown.length > 0) {
    throw new InputError(
      'MUTANT_UNKNOWN',
      `There is no mutant ${unknown.join(', ')}; --list shows what there is.`,
    );
  }
  return mutants.filter(({ name }) => names.includes(name));
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean' },
      list: { type: 'boolean' },
      only: { type: 'string' },
      workers: { type: 'string', default: '2' },
      write: { type: 'boolean' },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const selected = chosen(values.only);
  if (values.list) {
    for (const { name, breaks, file, tests } of selected) {
      console.log(`${name}\n  ${breaks} (${file})\n  ${tests.join(', ')}`);
    }
    return 0;
  }
  const workers = Number(values.workers);
  if (workers !== 1 && workers !== 2) throw new InputError('USAGE', '--workers has to be 1 or 2.');
  const when = dateAndCommit(repository);
  const notify = (message: string): void => console.error(message);
  const verdicts = await runMutants({ repository, mutants: selected, workers, notify });
  const rows = rowsOf(verdicts, when);
  console.log(mutantsSection(rows));
  if (values.write) {
    const names = mutants.map(({ name }) => name);
    await writeRows(join(repository, 'docs', 'reliability.md'), rows, names);
  }
  return verdicts.every(({ caughtBy }) => caughtBy !== undefined) ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = error instanceof AffectGptError ? error.exitCode : 2;
}

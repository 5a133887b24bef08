import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { machine } from '../../src/bench/machine.ts';
import type { Verdict } from './run.ts';

const cell = (text: string): string =>
  text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');

const git = (repository: string, ...words: string[]): string =>
  execFileSync('git', words, { cwd: repository, encoding: 'utf8' }).trim();

/** Today, and the commit of a repository with a `+` where files have changed since. */
export function dateAndCommit(repository: string): string {
  const hash = git(repository, 'rev-parse', '--short', 'HEAD');
  const changes = git(repository, 'status', '--porcelain') === '' ? '' : '+';
  return `${new Date().toISOString().slice(0, 10)}, ${hash}${changes}`;
}

/** Rows of the table by the name of the mutant. */
export type Rows = ReadonlyMap<string, string>;

const notCaught = '**not caught**';

/** @param when of `dateAndCommit` */
export const rowsOf = (verdicts: readonly Verdict[], when: string): Rows =>
  new Map(
    verdicts.map(({ mutant, caughtBy, reason }) => {
      const by = caughtBy === undefined ? `${notCaught}: ${reason}` : `${caughtBy.file}: ${caughtBy.title}`;
      const cells = [`\`${mutant.name}\``, cell(mutant.breaks), `\`${mutant.file}\``, cell(by), when];
      return [mutant.name, `| ${cells.join(' | ')} |`];
    }),
  );

const introduction = `\`npm run test:mutants\` breaks the program, one way after the other, in a private copy, and runs the tests that should
notice. A mutant counts as caught where a test fails by an assertion or by a typed error of the program, not where the
code no longer runs at all. The table names the first test that fails, and the date and commit of the run (\`+\`: with changes
that were not committed). \`--list\` shows the mutants, \`--only NAME[,NAME]\` runs some of them, \`--write\` replaces their rows
here.`;

/** The section of the page about reliability. */
export function mutantsSection(rows: Rows): string {
  const caught = [...rows.values()].filter((row) => !row.includes(notCaught)).length;
  return [
    '## Mutants',
    '',
    introduction,
    '',
    `${caught} of ${rows.size} are caught. Last run on ${machine}.`,
    '',
    '| mutant | what it breaks | where | caught by | run |',
    '| --- | --- | --- | --- | --- |',
    ...rows.values(),
  ].join('\n');
}

const begin = '<!-- mutants: begin -->';
const end = '<!-- mutants: end -->';

const opening = `# Reliability

What is done to show that a training can be trusted, and what came of it the last time.
`;

/** What stands between the marks of a page; empty where they are not there. */
function sectionOf(page: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  return from === -1 || to < from ? '' : page.slice(from + begin.length, to);
}

/** Puts a section between its marks, which are added at the end where they are not there; all else stays. */
export function withSection(page: string, section: string): string {
  const marked = `${begin}\n\n${section}\n\n${end}`;
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from) return `${page.trimEnd()}\n\n${marked}\n`;
  return page.slice(0, from) + marked + page.slice(to + end.length);
}

/** The rows of a page with new ones in the place of former ones, those of the names given, in their order. */
export function mergedRows(page: string, rows: Rows, names: readonly string[]): Rows {
  const former = new Map(
    [...sectionOf(page).matchAll(/^\| `([^`]+)` \|.*$/gm)].map(([row, name]) => [name!, row]),
  );
  return new Map(
    names.flatMap((name) => {
      const row = rows.get(name) ?? former.get(name);
      return row === undefined ? [] : [[name, row] as const];
    }),
  );
}

/** Puts rows into the table of a page, which is begun where it is not there. */
export async function writeRows(path: string, rows: Rows, names: readonly string[]): Promise<void> {
  const page = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return opening;
    throw error;
  });
  await writeFile(path, withSection(page, mutantsSection(mergedRows(page, rows, names))));
}

import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { machine } from '../../src/bench/machine.ts';
import { writeFileAtomic } from '../../src/io/atomic.ts';
import type { PointResult } from './matrix.ts';

/** Date, commit, machine and versions that results hold for. */
export function circumstances(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  let commit = 'unknown';
  try {
    commit = git('rev-parse', '--short', 'HEAD');
    if (git('status', '--porcelain') !== '') commit += ' with changes';
  } catch {
    // Not in a repository.
  }
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, commit ${commit}, ${machine}, Node ${process.versions.node}, onnxruntime-node ${version}, 1 thread`;
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** The results as a table of Markdown. */
export function formatTable(results: readonly PointResult[]): string {
  const rows = results.map(({ point, killed, resumed, differences }) => {
    const equal = differences.length === 0 ? 'yes' : `**no**: ${differences.join('; ')}`;
    const title = `\`${point.title}\``;
    return `| ${[String(point.number), point.group, title, killed, resumed, equal].map(cell).join(' | ')} |`;
  });
  const head = ['no.', 'group', 'point', 'killed', 'resumed', 'equal'];
  return [`| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`, ...rows].join('\n');
}

const begin = '<!-- kill matrix: written by npm run test:faults -- --write -->';
const end = '<!-- end of kill matrix -->';

/** Puts a text between the markers of a page, and leaves all else as it is. A page without markers gets them at its end. */
export async function writeSection(path: string, text: string): Promise<void> {
  const page = await readFile(path, 'utf8').catch(() => '# Reliability\n\n## Kill matrix\n');
  const section = `${begin}\n\n${text}\n\n${end}`;
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  const next =
    from === -1 || to < from
      ? `${page.trimEnd()}\n\n${section}\n`
      : page.slice(0, from) + section + page.slice(to + end.length);
  await writeFileAtomic(path, next);
}

/** What a check of a data set looks at. */
export type CheckedPart = 'folder' | 'labels' | 'descriptions' | 'subtitle' | 'video' | 'audio' | 'face';

/** One thing that a check of a data set found. */
export interface DataFinding {
  readonly part: CheckedPart;
  readonly kind: /** Not there: a folder, a table, the file of a sample, its row in a table. */
    | 'missing'
    /** A file of 0 bytes, or a row without content. */
    | 'empty'
    /** A table that cannot be read. */
    | 'unreadable'
    /** Another number of samples than the published set has. */
    | 'count'
    /** A file of no sample. */
    | 'orphan';
  /** Whether training or evaluation would fail on it, or mean another set. */
  readonly needed: boolean;
  readonly count: number;
  /** The first few: paths below the folder of the set, names of samples, or what is wrong with a file. */
  readonly examples: readonly string[];
}

/** A check of a data set. */
export interface DataReport {
  readonly dataset: string;
  readonly title: string;
  readonly folder: string;
  /** Samples by split, and how many the published set has. */
  readonly splits: readonly {
    readonly split: string;
    readonly samples: number;
    readonly expected: number;
  }[];
  readonly findings: readonly DataFinding[];
  /** Where to get what is missing. */
  readonly source: string;
}

const examplesKept = 10;

/** The finding about a list of things; none where it is empty. */
export function findingOf(
  part: CheckedPart,
  kind: DataFinding['kind'],
  things: readonly string[],
  needed: boolean,
): DataFinding[] {
  if (things.length === 0) return [];
  return [{ part, kind, needed, count: things.length, examples: things.slice(0, examplesKept) }];
}

/** Whether nothing that is needed is missing. */
export const isWhole = ({ findings }: DataReport): boolean => findings.every(({ needed }) => !needed);

const words: Readonly<Record<DataFinding['kind'], string>> = {
  missing: 'missing',
  empty: 'empty',
  unreadable: 'cannot be read',
  count: 'another number of samples than published',
  orphan: 'of no sample',
};

/** The report for people, several lines. */
export function formatReport({ title, folder, splits, findings, source }: DataReport): string {
  const lines = [`${title} in ${folder}`];
  for (const { split, samples, expected } of splits) {
    lines.push(`  ${split}: ${samples} samples${samples === expected ? '' : `, published are ${expected}`}`);
  }
  const ordered = [...findings].sort((a, b) => Number(b.needed) - Number(a.needed));
  for (const { part, kind, needed, count, examples } of ordered) {
    const rest = count - examples.length;
    const shown = examples.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
    lines.push(`  ${needed ? 'FAULT' : 'note '} ${part} ${words[kind]} (${count}): ${shown}`);
  }
  if (ordered[0]?.needed) lines.push(`  Get it from ${source}`);
  else lines.push('  complete');
  return `${lines.join('\n')}\n`;
}

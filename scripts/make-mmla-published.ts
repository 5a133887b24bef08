/**
 * Writes the published tables of src/eval/mmla/leaderboard/published from a JSON file of them:
 *
 *     npx tsx scripts/make-mmla-published.ts <mmla-numbers.json> && npx biome check --write src/eval/mmla/leaderboard/published
 *
 * Only needed again when the file changes; the result is committed and reviewed. Numbers are written as they stand, those
 * that are known to be misread included: they are listed beside the tables.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { type MmlaTaskKey, mmlaTaskKeys, mmlaTasks } from '../src/data/mmla/tasks.ts';
import { boardMetrics } from '../src/eval/mmla/leaderboard/row.ts';

const cell = z.number().nullable();
const board = z.record(z.string(), z.number());
const accuracies = z
  .object({ columns: z.array(z.string()) })
  .catchall(z.array(cell))
  .transform(({ columns, ...rows }) => ({ columns, rows: rows as Record<string, (number | null)[]> }));
const meanAndDeviation = z.tuple([z.number(), z.number()]);
const metricNames = z.enum(boardMetrics);

const numbers = z.object({
  test_sizes: z.record(z.string(), z.number()),
  zero_shot_table6: z.record(z.string(), z.record(z.string(), z.record(metricNames, cell))),
  leaderboard_zero_shot: board,
  sft_acc_figure4: accuracies,
  leaderboard_sft: board,
  it_acc_figure5: accuracies,
  it_acc_table8: accuracies,
  leaderboard_it: board,
  qwen2vl7b_three_seeds_table5_mean_std: z.record(
    z.enum(['SFT', 'IT']),
    z.record(z.string(), z.record(metricNames, meanAndDeviation)),
  ),
  known_ocr_errors: z.array(z.string()),
  cpu_text_baseline_tfidf_logreg: accuracies,
});
type Numbers = z.infer<typeof numbers>;

/** The file spells some tasks otherwise than the registry does, but only in the case of letters. */
const keyOf = (name: string): MmlaTaskKey => {
  const key = mmlaTaskKeys.find((one) => one.toLowerCase() === name.toLowerCase());
  if (key === undefined) throw new Error(`"${name}" is no task of MMLA`);
  return key;
};

const mapRows = <From, To>(rows: Readonly<Record<string, From>>, map: (row: From) => To) =>
  Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, map(row)]));

/** By task in the order of the registry, without tasks that are not there. */
const byTask = <From, To>(row: Readonly<Record<string, From>>, map: (value: From) => To) => {
  const entries = new Map(Object.entries(row).map(([name, value]) => [keyOf(name), map(value)]));
  return Object.fromEntries(
    mmlaTaskKeys.flatMap((key) => (entries.has(key) ? [[key, entries.get(key)!]] : [])),
  );
};

/** Rows of accuracies in the order of the registry. */
const inOrder = ({ columns, rows }: Numbers['sft_acc_figure4']) =>
  mapRows(rows, (values) =>
    mmlaTaskKeys.map((key) => values[columns.findIndex((name) => keyOf(name) === key)]!),
  );

/**
 * A line such as `zero_shot_table6/GPT-4o/UR-FUNNY/F1,R,P lost (...)`. Where it names a value it is that value which is
 * meant, whatever metric the line puts it under.
 */
function misread(line: string, table: Numbers['zero_shot_table6']) {
  const [, model, task, names, value, note] =
    /^zero_shot_table6\/([^/]+)\/([^/]+)\/([A-Z0-9,]+)(?:=([\d.]+))?\s*(.*)$/.exec(line) ?? [];
  const row = table[model!]?.[task!];
  if (row === undefined) throw new Error(`"${line}" names no cell of the table`);
  const named = z.array(metricNames).parse(names!.split(','));
  const metrics = value === undefined ? named : boardMetrics.filter((name) => row[name] === Number(value));
  if (metrics.length === 0) throw new Error(`"${line}": the table has no such value`);
  return { model: model!, task: keyOf(task!), metrics, note: note!.replace(/^\((.*)\)$/, '$1') };
}

/** The tables, under the names of the files and constants that hold them. */
export function mmlaPublishedTables(json: unknown) {
  const read = numbers.parse(json);
  for (const { key, leaderboardCount } of mmlaTasks) {
    const [, size] = Object.entries(read.test_sizes).find(([name]) => keyOf(name) === key) ?? [];
    if (size !== leaderboardCount)
      throw new Error(`${key} has ${leaderboardCount} test samples, not ${size}`);
  }
  const seeds = read.qwen2vl7b_three_seeds_table5_mean_std;
  const { columns, rows: floors } = read.cpu_text_baseline_tfidf_logreg;
  if (columns.join() !== 'ACC,WF1,F1') throw new Error(`the text floors have the columns ${columns.join()}`);
  return {
    'zero-shot': {
      zeroShotTable6: mapRows(read.zero_shot_table6, (row) =>
        byTask(row, (values) => boardMetrics.map((name) => values[name])),
      ),
      zeroShotMisread: read.known_ocr_errors.map((line) => misread(line, read.zero_shot_table6)),
      zeroShotBoard: read.leaderboard_zero_shot,
    },
    sft: { sftFigure4: inOrder(read.sft_acc_figure4), sftBoard: read.leaderboard_sft },
    it: {
      itFigure5: inOrder(read.it_acc_figure5),
      itTable8: inOrder(read.it_acc_table8),
      itBoard: read.leaderboard_it,
    },
    seeds: {
      seedsSft: byTask(seeds.SFT, (row) => boardMetrics.map((name) => row[name])),
      seedsIt: byTask(seeds.IT, (row) => boardMetrics.map((name) => row[name])),
    },
    floors: { textFloors: byTask(floors, (row) => row) },
  };
}

const docs: Readonly<Record<string, string>> = {
  zeroShotTable6:
    'Table 6, zero-shot: ACC, WF1, WP, F1, R, P in percent. Null where a number could not be read.',
  zeroShotMisread:
    'Numbers of Table 6 that are known to be misread; they stand in the table as they were read.',
  zeroShotBoard: 'The published leaderboard (Figures 2 and 3), zero-shot.',
  sftFigure4: 'Bars of Figure 4: ACC in percent, in the order of the registry of tasks.',
  sftBoard: 'The published leaderboard (Figures 2 and 3), SFT.',
  itFigure5: 'Bars of Figure 5: ACC in percent, in the order of the registry of tasks.',
  itTable8:
    'Table 8: ACC in percent, in the order of the registry of tasks. Null where a number could not be read.',
  itBoard: 'The published leaderboard (Figures 2 and 3), IT.',
  seedsSft:
    'Table 5, Qwen2-VL-7B, SFT: mean and standard deviation over three seeds of ACC, WF1, WP, F1, R, P.',
  seedsIt:
    'Table 5, Qwen2-VL-7B, IT: mean and standard deviation over three seeds of ACC, WF1, WP, F1, R, P.',
  textFloors: 'ACC, WF1 and F1 in percent of TF-IDF features and logistic regression.',
};

const types: Readonly<Record<string, string>> = {
  zeroShotTable6: 'SixMetricsTable',
  zeroShotMisread: 'readonly Misread[]',
  zeroShotBoard: 'Scores',
  sftFigure4: 'AccuracyTable',
  sftBoard: 'Scores',
  itFigure5: 'AccuracyTable',
  itTable8: 'AccuracyTable',
  itBoard: 'Scores',
  seedsSft: 'SeedsTable',
  seedsIt: 'SeedsTable',
  textFloors: 'FloorTable',
};

/** The text of the files. */
function mmlaPublishedFiles(json: unknown): Record<string, string> {
  const files = Object.entries(mmlaPublishedTables(json)).map(([name, constants]) => {
    const used = [...new Set(Object.keys(constants).map((one) => types[one]!.match(/[A-Z]\w*/)![0]))].sort();
    const parts = Object.entries(constants).map(
      ([one, value]) =>
        `/** ${docs[one]} */\nexport const ${one}: ${types[one]} = ${JSON.stringify(value)};\n`,
    );
    const head = `// Made by scripts/make-mmla-published.ts; not edited by hand.\nimport type { ${used.join(', ')} } from '../published-types.ts';\n`;
    return [`${name}.ts`, [head, ...parts].join('\n')];
  });
  return Object.fromEntries(files);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [file] = process.argv.slice(2);
  if (file === undefined) throw new Error('Name the JSON file with the published numbers.');
  const target = path.join(import.meta.dirname, '../src/eval/mmla/leaderboard/published');
  await mkdir(target, { recursive: true });
  for (const [name, text] of Object.entries(mmlaPublishedFiles(JSON.parse(await readFile(file, 'utf8'))))) {
    await writeFile(path.join(target, name), text);
    console.log(`${path.join(target, name)}: ${Buffer.byteLength(text)} bytes`);
  }
}

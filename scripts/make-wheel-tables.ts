/**
 * Writes the tables of src/eval/mer-unibench/tables from the published emotion wheels:
 *
 *     npx tsx scripts/make-wheel-tables.ts <folder with wheel1..5.xlsx, synonym.xlsx, format.csv, format-2026.csv>
 *
 * Only needed again when the published tables change; the result is committed and reviewed.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseOpensetLabels } from '../src/data/datasets.ts';
import { compareCodePoints, normalizeWord } from '../src/eval/mer-unibench/words.ts';
import { readCsv } from '../src/io/csv.ts';
import { withZip } from '../src/io/zip.ts';

const xmlBytes = 16 * 1024 * 1024;
const wheelCount = 5;
const synonymRuns = 8;

const origin = {
  source:
    'https://github.com/zeroQiaoba/AffectGPT and https://github.com/zeroQiaoba/MERTools, folders emotion_wheel',
  licence: 'Apache-2.0',
};

/** Files and their contents, as they stand in src/eval/mer-unibench/tables. */
export async function makeWheelTables(folder: string): Promise<Record<string, string>> {
  const wheels: Record<string, unknown> = {};
  for (let wheel = 1; wheel <= wheelCount; wheel++) {
    wheels[`wheel${wheel}`] = await readWheel(path.join(folder, `wheel${wheel}.xlsx`));
  }
  const published = await readForms(path.join(folder, 'format.csv'));
  const corrected = await readForms(path.join(folder, 'format-2026.csv'));
  const changes = Object.entries(corrected).filter(([word, forms]) => published[word] !== forms);
  if (Object.keys(published).join() !== Object.keys(corrected).join()) {
    throw new Error('format.csv and format-2026.csv do not name the same words.');
  }
  return {
    'wheels.json': json({
      about:
        'Five emotion wheels: level 1 > level 2 > words of level 3. Blank cells are filled from above, words are in lower case.',
      ...origin,
      version: 'ICML 2025 (wheel1.xlsx to wheel5.xlsx)',
      ...wheels,
    }),
    'synonyms.json': json({
      about:
        'Words that eight runs of a language model gave as synonyms of each word of the wheels, merged, in code point order.',
      ...origin,
      version: 'ICML 2025 (synonym.xlsx)',
      synonyms: await readSynonyms(path.join(folder, 'synonym.xlsx')),
    }),
    'word-forms.json': json({
      about:
        'Inflected and derived forms of each word, in code point order; the word itself is always one. "corrected" replaces those rows of "published" that list forms of another word (fearless: fear).',
      ...origin,
      version: 'published: ICML 2025 (format.csv); corrected: MER2026 (format.csv)',
      published,
      corrected: Object.fromEntries(changes),
    }),
  };
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
const joinSorted = (words: Iterable<string>): string => [...new Set(words)].sort(compareCodePoints).join(',');

/** Nested as published code nests it: groups in the order in which they first appear. */
async function readWheel(file: string): Promise<Record<string, Record<string, string>>> {
  const [header, ...rows] = await readSheet(file);
  if (header?.join() !== 'level1,level2,level3') throw new Error(`${file} has the columns ${header?.join()}`);
  const wheel: Record<string, Record<string, string[]>> = {};
  let above = ['', '', ''];
  for (const row of rows) {
    above = above.map((word, i) => normalizeWord(row[i] || word));
    const [level1, level2, level3] = above as [string, string, string];
    wheel[level1] ??= {};
    wheel[level1][level2] ??= [];
    wheel[level1][level2].push(level3);
  }
  const joined = (groups: Record<string, string[]>) =>
    Object.fromEntries(Object.entries(groups).map(([level2, words]) => [level2, words.join(',')]));
  return Object.fromEntries(Object.entries(wheel).map(([level1, groups]) => [level1, joined(groups)]));
}

async function readSynonyms(file: string): Promise<Record<string, string>> {
  const [header, ...rows] = await readSheet(file);
  const synonyms = new Map<string, string[]>();
  for (let run = 1; run <= synonymRuns; run++) {
    const word = header!.indexOf(`word_run${run}`);
    const list = header!.indexOf(`synonym_run${run}`);
    if (word < 0 || list < 0) throw new Error(`${file} has no columns for run ${run}`);
    for (const row of rows) {
      const key = normalizeWord(row[word]!);
      const words = parseOpensetLabels(row[list] ?? '').map(normalizeWord);
      synonyms.set(key, [...(synonyms.get(key) ?? []), ...words]);
    }
  }
  const sorted = [...synonyms].sort(([a], [b]) => compareCodePoints(a, b));
  return Object.fromEntries(sorted.map(([word, words]) => [word, joinSorted(words)]));
}

async function readForms(file: string): Promise<Record<string, string>> {
  const { rows } = await readCsv(file, { required: ['name', 'format'] });
  const forms = rows.map(({ values }): [string, string] => {
    const others = parseOpensetLabels(values.format!).filter((form) => form !== values.name);
    return [values.name!, joinSorted(others)];
  });
  return Object.fromEntries(forms.sort(([a], [b]) => compareCodePoints(a, b)));
}

/** The cells of the first sheet, text only, `''` where a cell is blank. */
async function readSheet(file: string): Promise<string[][]> {
  const [strings, sheet] = await withZip(file, async (archive) => {
    const read = async (name: string) =>
      (await archive.read(archive.entries.get(name)!, xmlBytes)).toString('utf8');
    return [await read('xl/sharedStrings.xml'), await read('xl/worksheets/sheet1.xml')];
  });
  const shared = elements(strings!, 'si').map(({ content }) =>
    elements(content, 't')
      .map((text) => unescapeXml(text.content))
      .join(''),
  );
  return elements(sheet!, 'row').map(({ content: row }) => {
    const cells: string[] = [];
    for (const { attributes, content } of elements(row, 'c')) {
      const value = elements(content, 'v')[0]?.content ?? '';
      if (value !== '' && !/\bt="s"/.test(attributes))
        throw new Error(`${file}: a cell is not a shared string`);
      cells[columnOf(attributes)] = value === '' ? '' : shared[Number(value)]!;
    }
    return Array.from(cells, (cell) => cell ?? '');
  });
}

/** Elements of a name that is not nested in itself. */
function elements(xml: string, name: string): { attributes: string; content: string }[] {
  const pattern = new RegExp(`<${name}((?:\\s[^>]*?)?)(?:/>|>(.*?)</${name}>)`, 'gs');
  return [...xml.matchAll(pattern)].map(([, attributes, content]) => ({
    attributes: attributes!,
    content: content ?? '',
  }));
}

/** 0 for A1, 27 for AB1. */
function columnOf(attributes: string): number {
  const letters = /\br="([A-Z]+)\d+"/.exec(attributes)![1]!;
  return [...letters].reduce((column, letter) => column * 26 + letter.charCodeAt(0) - 64, 0) - 1;
}

function unescapeXml(text: string): string {
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return text.replace(/&(?:#x([\da-f]+)|#(\d+)|(\w+));/gi, (all, hexadecimal, decimal, name) => {
    if (name) return named[name] ?? all;
    return String.fromCodePoint(hexadecimal ? Number.parseInt(hexadecimal, 16) : Number(decimal));
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error('Name the folder with the published tables.');
  const target = path.join(import.meta.dirname, '../src/eval/mer-unibench/tables');
  await mkdir(target, { recursive: true });
  for (const [name, text] of Object.entries(await makeWheelTables(folder))) {
    await writeFile(path.join(target, name), text);
    console.log(`${path.join(target, name)}: ${Buffer.byteLength(text)} bytes`);
  }
}

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageFolder } from '../../config/package-folder.ts';

/** Which list of word forms: the published one, or the one of MER2026 in which `fear` is no form of `fearless`. */
export type WheelTable = 'published' | 'corrected';

export const WHEELS = [1, 2, 3, 4, 5] as const;
export type WheelNumber = (typeof WHEELS)[number];

/** 1: the six or seven groups in the middle of a wheel; 2: the groups around them. */
export type WheelLevel = 1 | 2;

/** Level 1 > level 2 > words of level 3. */
export type Wheel = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

export interface WheelTables {
  readonly wheels: Readonly<Record<WheelNumber, Wheel>>;
  /** Synonyms of each word of the wheels. */
  readonly synonyms: ReadonlyMap<string, readonly string[]>;
  /** Forms of each word, without the word itself. */
  readonly wordForms: ReadonlyMap<string, readonly string[]>;
}

type Rows = Readonly<Record<string, string>>;
type WheelFile = Readonly<Record<`wheel${WheelNumber}`, Readonly<Record<string, Rows>>>>;
type FormsFile = Readonly<Record<WheelTable, Rows>>;

/** Reads the tables that come with the package. */
export function readWheelTables(table: WheelTable): WheelTables {
  const wheelFile = readTable<WheelFile>('wheels.json');
  const forms = readTable<FormsFile>('word-forms.json');
  const rows = table === 'published' ? forms.published : { ...forms.published, ...forms.corrected };
  const wheel = (number: WheelNumber): Wheel =>
    new Map(Object.entries(wheelFile[`wheel${number}`]).map(([level1, groups]) => [level1, lists(groups)]));
  return {
    wheels: { 1: wheel(1), 2: wheel(2), 3: wheel(3), 4: wheel(4), 5: wheel(5) },
    synonyms: lists(readTable<{ synonyms: Rows }>('synonyms.json').synonyms),
    wordForms: lists(rows),
  };
}

function readTable<T>(name: string): T {
  const folder = path.join(packageFolder(), 'src', 'eval', 'mer-unibench', 'tables');
  return JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as T;
}

/** Rows hold their words separated by commas. */
function lists(rows: Rows): Map<string, string[]> {
  return new Map(Object.entries(rows).map(([word, list]) => [word, list === '' ? [] : list.split(',')]));
}

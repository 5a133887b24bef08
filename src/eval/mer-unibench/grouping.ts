import type { Wheel, WheelLevel, WheelNumber, WheelTable } from './tables.ts';
import { readWheelTables } from './tables.ts';
import { compareCodePoints } from './words.ts';

/**
 * How words become groups, in three steps: forms (`angrily`) go to the words that have them (`angry`), those to the
 * words of the wheels whose synonyms they are, those to the groups of one wheel. A form may have several words and a word
 * may be a synonym of several others; the first in code point order then decides.
 *
 * All words are expected in lower case and without white space around them (`normalizeWord`). A word that the tables do
 * not lead anywhere has no group: `undefined`.
 */
export interface Grouping {
  readonly table: WheelTable;
  /** Every word that is a form of something: keys of the first step. */
  readonly forms: ReadonlySet<string>;
  /** Words that are synonyms of words of the wheels: keys of the second step. */
  readonly synonyms: ReadonlySet<string>;
  /** Words of the five wheels. */
  readonly wheelWords: ReadonlySet<string>;
  /** Group after the first step alone (`case1` in published code). */
  baseWord(word: string): string | undefined;
  /** Group after the first two steps (`case2`). */
  synonym(word: string): string | undefined;
  /** Group of a wheel (`case3`): the first word that the first two steps may reach and that is on the wheel decides. */
  centre(word: string, wheel: WheelNumber, level: WheelLevel): string | undefined;
  /** `centre` of every word that has one. */
  centres(wheel: WheelNumber, level: WheelLevel): ReadonlyMap<string, string>;
  /** Which group each word of a wheel belongs to. */
  wheelMap(wheel: WheelNumber, level: WheelLevel): ReadonlyMap<string, string>;
}

const opened = new Map<WheelTable, Grouping>();

/** The grouping by one of the tables that come with the package. Read once. */
export function openGrouping(table: WheelTable): Grouping {
  let grouping = opened.get(table);
  if (grouping === undefined) {
    grouping = new TableGrouping(table);
    opened.set(table, grouping);
  }
  return grouping;
}

class TableGrouping implements Grouping {
  readonly table: WheelTable;
  readonly forms: ReadonlySet<string>;
  readonly synonyms: ReadonlySet<string>;
  readonly wheelWords: ReadonlySet<string>;
  readonly #wheels: Readonly<Record<WheelNumber, Wheel>>;
  readonly #base: ReadonlyMap<string, string>;
  readonly #synonym: ReadonlyMap<string, string>;
  /** Words of the wheels that a form may reach, in code point order. */
  readonly #reachable: ReadonlyMap<string, readonly string[]>;
  readonly #wheelMaps = new Map<string, Map<string, string>>();
  readonly #centres = new Map<string, Map<string, string>>();

  constructor(table: WheelTable) {
    const { wheels, synonyms, wordForms } = readWheelTables(table);
    const basesOfForm = invert(wordForms);
    const targetsOfBase = invert(synonyms);
    this.table = table;
    this.#wheels = wheels;
    this.forms = new Set(basesOfForm.keys());
    this.synonyms = new Set(targetsOfBase.keys());
    this.wheelWords = new Set(Object.values(wheels).flatMap((wheel) => [...levelOneMap(wheel).keys()]));
    this.#base = new Map(Array.from(basesOfForm, ([form, bases]) => [form, sorted(bases)[0]!]));
    this.#synonym = new Map(
      Array.from(this.#base, ([form, base]) => [form, sorted(targetsOfBase.get(base)!)[0]!]),
    );
    this.#reachable = new Map(
      Array.from(basesOfForm, ([form, bases]) => [
        form,
        sorted(new Set([...bases].flatMap((base) => [...targetsOfBase.get(base)!]))),
      ]),
    );
  }

  baseWord(word: string): string | undefined {
    return this.#base.get(word);
  }

  synonym(word: string): string | undefined {
    return this.#synonym.get(word);
  }

  centre(word: string, wheel: WheelNumber, level: WheelLevel): string | undefined {
    return this.centres(wheel, level).get(word);
  }

  centres(wheel: WheelNumber, level: WheelLevel): ReadonlyMap<string, string> {
    const key = `${wheel}/${level}`;
    let centres = this.#centres.get(key);
    if (centres === undefined) {
      const map = this.wheelMap(wheel, level);
      centres = new Map();
      for (const [form, words] of this.#reachable) {
        const first = words.find((candidate) => map.has(candidate));
        if (first !== undefined) centres.set(form, map.get(first)!);
      }
      this.#centres.set(key, centres);
    }
    return centres;
  }

  wheelMap(wheel: WheelNumber, level: WheelLevel): ReadonlyMap<string, string> {
    const key = `${wheel}/${level}`;
    let map = this.#wheelMaps.get(key);
    if (map === undefined) {
      map = level === 1 ? levelOneMap(this.#wheels[wheel]) : levelTwoMap(this.#wheels[wheel]);
      this.#wheelMaps.set(key, map);
    }
    return map;
  }
}

/** Where a word stands in several places of a wheel the last one counts, here and in `levelTwoMap`. */
function levelOneMap(wheel: Wheel): Map<string, string> {
  const map = new Map<string, string>();
  for (const [level1, groups] of wheel) {
    map.set(level1, level1);
    for (const [level2, words] of groups) {
      map.set(level2, level1);
      for (const word of words) map.set(word, level1);
    }
  }
  return map;
}

/** A word of level 1 goes to the first of its level 2 groups in code point order. */
function levelTwoMap(wheel: Wheel): Map<string, string> {
  const map = new Map<string, string>();
  for (const [level1, groups] of wheel) {
    map.set(level1, sorted(groups.keys())[0]!);
    for (const [level2, words] of groups) {
      map.set(level2, level2);
      for (const word of words) map.set(word, level2);
    }
  }
  return map;
}

const sorted = (words: Iterable<string>): string[] => [...words].sort(compareCodePoints);

/** From the entries of each word to the words of each entry; every word is an entry of itself. */
function invert(lists: ReadonlyMap<string, readonly string[]>): Map<string, Set<string>> {
  const inverted = new Map<string, Set<string>>();
  for (const [word, entries] of lists) {
    for (const entry of [word, ...entries]) {
      const words = inverted.get(entry);
      if (words === undefined) inverted.set(entry, new Set([word]));
      else words.add(word);
    }
  }
  return inverted;
}

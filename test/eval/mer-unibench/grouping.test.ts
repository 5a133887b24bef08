import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeWheelTables } from '../../../scripts/make-wheel-tables.ts';
import { openGrouping } from '../../../src/eval/mer-unibench/grouping.ts';
import { WHEELS } from '../../../src/eval/mer-unibench/tables.ts';
import { compareCodePoints, normalizeWord } from '../../../src/eval/mer-unibench/words.ts';
import { isMissing, publishedFiles } from '../../support/published-files.ts';

const published = openGrouping('published');
const corrected = openGrouping('corrected');
const centres = (word: string, grouping = published) =>
  WHEELS.map((wheel) => grouping.centre(word, wheel, 1) ?? '-').join(', ');

describe('the published tables', () => {
  it('have as many words as the published code counts', () => {
    const { wheelWords, forms, synonyms } = published;
    expect([wheelWords.size, forms.size, synonyms.size]).toEqual([253, 7386, 1255]);
    expect([corrected.wheelWords.size, corrected.forms.size, corrected.synonyms.size]).toEqual([
      253, 7356, 1255,
    ]);
  });

  it.each([
    [1, 36, 114, 'mad,disgusted,sad,happy,surprised,scared'],
    [2, 41, 126, 'fearful,angry,disgusted,sad,surprised,happy,bad'],
    [3, 36, 78, 'mad,scared,joyful,powerful,peaceful,sad'],
    [4, 48, 102, 'joy,genius,anger,sad,fear,disgust'],
    [5, 36, 77, 'mad,scared,sad,peaceful,powerful,joyful'],
  ] as const)('have wheel %i with %i groups of level 2 and %i words', (wheel, level2, words, level1) => {
    const map = published.wheelMap(wheel, 1);
    expect([...new Set(map.values())].sort()).toEqual(level1.split(',').sort());
    expect(map.size).toBe(words);
    expect(new Set(published.wheelMap(wheel, 2).values()).size).toBe(level2);
    expect(published.wheelMap(wheel, 2).size).toBe(words);
  });

  const table: Record<string, string> = JSON.parse(
    readFileSync(new URL('word-map.json', import.meta.url), 'utf8'),
  );
  it('lead 65 words to the groups where the published code puts them', () => {
    expect(Object.keys(table)).toHaveLength(65);
    expect(Object.fromEntries(Object.keys(table).map((word) => [word, centres(word)]))).toEqual(table);
  });

  it('are corrected in 17 rows: fear is no form of fearless', () => {
    expect(centres('fear')).toBe('scared, happy, joyful, genius, joyful');
    expect(centres('fear', corrected)).toBe('scared, fearful, scared, fear, scared');
    const same = (form: string) => centres(form) === centres(form, corrected);
    expect([...published.forms].filter((form) => !same(form))).toHaveLength(60);
  });

  const folder = path.join(publishedFiles.merUnibench, 'emotion_wheel');
  it.skipIf(isMissing('the wheel tables made anew (AFFECTGPT_MER_UNIBENCH)', folder))(
    'come out of the published files as they are committed',
    async () => {
      for (const [name, text] of Object.entries(await makeWheelTables(folder))) {
        expect(readFileSync(`src/eval/mer-unibench/tables/${name}`, 'utf8'), name).toBe(text);
      }
    },
  );

  it('are part of the npm package, and so is the notice of their source', () => {
    const { files } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(files).toEqual(expect.arrayContaining(['src/eval/mer-unibench/tables', 'NOTICE']));
    expect(readFileSync('NOTICE', 'utf8')).toContain('https://github.com/zeroQiaoba/AffectGPT');
  });
});

describe('the three steps', () => {
  it('take the first in code point order where there are several', () => {
    expect([published.baseWord('happy'), published.synonym('happy')]).toEqual(['happiness', 'joy']);
    expect([published.baseWord('surprise'), published.synonym('surprise')]).toEqual(['surprised', 'amazed']);
    expect(published.centre('angry', 1, 2)).toBe('anger');
    expect(published.centre('angry', 2, 2)).toBe('aggressive');
  });

  it('lead nowhere from a word that is in no table', () => {
    expect(published.baseWord('neutral')).toBeUndefined();
    expect(published.synonym('neutral')).toBeUndefined();
    expect(centres('neutral')).toBe('-, -, -, -, -');
    expect(centres('Happy')).toBe('-, -, -, -, -');
    expect(centres('constructor')).toBe('-, -, -, -, -');
  });
});

describe('words', () => {
  it('are trimmed and lowered as Python does it', () => {
    expect(normalizeWord(' \x1cHAPPY\u3000\x85\n')).toBe('happy');
    expect(normalizeWord('\ufeffSad')).toBe('\ufeffsad');
    expect(normalizeWord('  ')).toBe('');
  });

  it('are in the order of code points, not of UTF-16 units', () => {
    const words = ['b', '\u{1f600}', '\uffee', 'ab', 'a', ''];
    expect(words.sort(compareCodePoints)).toEqual(['', 'a', 'ab', 'b', '\uffee', '\u{1f600}']);
    expect(['\u{1f600}', '\uffee'].sort()).toEqual(['\u{1f600}', '\uffee']);
  });
});

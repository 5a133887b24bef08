import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mutants } from './list.ts';
import { applyMutant, type Mutant } from './mutant.ts';
import { mergedRows, mutantsSection, withSection } from './table.ts';
import { isNoticed } from './vitest.ts';

const repository = resolve(import.meta.dirname, '../..');
const mutant: Mutant = { name: 'x', breaks: '', file: 'a.ts', find: 'one', replace: "$'two", tests: [] };

describe('the mutants', () => {
  it('have names of their own, apply to the code as it is, and name tests that are there', () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
    for (const each of mutants) {
      const text = readFileSync(join(repository, each.file), 'utf8');
      expect(applyMutant(each, text)).not.toBe(text);
      expect(each.tests.length).toBeGreaterThan(0);
      for (const test of each.tests) expect(existsSync(join(repository, test)), test).toBe(true);
    }
  });

  it('apply to a text that occurs once, and to no other', () => {
    expect(applyMutant(mutant, 'zero one three')).toBe("zero $'two three");
    for (const text of ['zero', 'one one']) {
      expect(() => applyMutant(mutant, text)).toThrow(/The mutant does not apply: "x".* a\.ts/);
    }
  });
});

describe('a mutant is noticed', () => {
  const here = `\n    at ${repository}/test/a.test.ts:1:1\n    at ${repository}/src/b.ts:1:1`;
  const elsewhere = `\n    at ${repository}/src/b.ts:1:1\n    at ${repository}/test/a.test.ts:1:1`;

  it.each([
    `AssertionError: expected 1 to be 2${elsewhere}`,
    `InputError: The file is damaged.${elsewhere}`,
    `Error: promise resolved "1" instead of rejecting${elsewhere}`,
    `Error: was accepted${here}`,
  ])('by %s', (text) => expect(isNoticed(text, repository)).toBe(true));

  it.each([
    `TypeError: x is not a function${here}`,
    `SyntaxError: Unexpected token${here}`,
    `Error: Cannot find module${elsewhere}`,
    `Error: Test timed out in 30000ms.${here}`,
    `Error: STACK_TRACE_ERROR${here}`,
  ])('not by %s', (text) => expect(isNoticed(text, repository)).toBe(false));
});

describe('the section of a page', () => {
  it('is added at the end, then replaced, and nothing else is touched', () => {
    const once = withSection('# Page\n\nText.\n', 'first');
    expect(once).toMatch(/^# Page\n\nText\.\n\n<!-- .* -->\n\nfirst\n\n<!-- .* -->\n$/);
    const twice = withSection(`${once}\n## More\n`, 'second');
    expect(twice).toBe(`${once.replace('first', 'second')}\n## More\n`);
  });

  it('keeps rows of mutants that were not run again, and drops those of mutants that are no more', () => {
    const rows = new Map(['a', 'b', 'c'].map((name) => [name, `| \`${name}\` | breaks | file | former |`]));
    const page = withSection('# Page\n', mutantsSection(rows));
    const merged = mergedRows(page, new Map([['b', '| `b` | breaks | file | new |']]), ['d', 'c', 'b']);
    expect([...merged]).toEqual([
      ['c', '| `c` | breaks | file | former |'],
      ['b', '| `b` | breaks | file | new |'],
    ]);
  });
});

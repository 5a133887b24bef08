import { expect, it } from 'vitest';
import { firstOf } from '../src/errors.ts';

it.each([
  [3, ', ', 'a, b, c'],
  [2, ', ', 'a, b and 1 more'],
  [1, '; ', 'a; and 2 more'],
  [1, '\n  - ', 'a\n  - and 2 more'],
])('of a list the first %i are named, with %j between them', (most, separator, text) => {
  expect(firstOf(['a', 'b', 'c'], most, separator)).toBe(text);
  expect(firstOf([], most, separator)).toBe('');
});

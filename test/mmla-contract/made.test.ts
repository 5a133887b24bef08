import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeMmlaFixtures } from '../../scripts/make-mmla-fixtures.ts';
import { fixtures, fixtureTasks } from './fixtures.ts';

it('the files are those that scripts/make-mmla-fixtures.ts makes', () => {
  const made = Object.entries(makeMmlaFixtures());
  expect(made.length).toBeGreaterThan(14 * fixtureTasks.length);
  for (const [file, text] of made) expect(readFileSync(join(fixtures, file), 'utf8'), file).toBe(text);
});

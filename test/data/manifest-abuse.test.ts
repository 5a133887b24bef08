import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inputMode } from '../../model/modes.ts';
import { readManifest } from '../../src/data/manifest.ts';
import { findFileFaults } from '../../src/data/records.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function refusal(name: string, text: string): Promise<Error & { code: string }> {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, text);
  const error = await readManifest(path).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'InputError', message: expect.stringContaining(path) });
  return error as Error & { code: string };
}

const deep = `${'['.repeat(200_000)}1${']'.repeat(200_000)}`;

describe('a manifest from a stranger is refused by name', () => {
  it.each<[string, string, string, string]>([
    ['lists in lists', 'm.jsonl', 'MANIFEST_INVALID', `{"name":"a","video":"a","labels":${deep}}\n`],
    ['lists in lists as text', 'm.jsonl', 'MANIFEST_INVALID', `{"name":${deep},"video":"a"}\n`],
    [
      'lists in lists as an unknown key',
      'm.jsonl',
      'MANIFEST_INVALID',
      `{"name":"a","video":"a","x":${deep}}\n`,
    ],
    ['__proto__', 'm.jsonl', 'JSONL_FORBIDDEN_KEY', '{"name":"a","video":"a","__proto__":{"split":"x"}}\n'],
    ['__proto__ by its escapes', 'm.jsonl', 'JSONL_FORBIDDEN_KEY', '{"name":"a","\\u005f_proto__":{}}\n'],
    ['__proto__ inside', 'm.jsonl', 'JSONL_FORBIDDEN_KEY', '{"name":"a","x":[{"__proto__":{}}]}\n'],
    [
      'constructor',
      'm.jsonl',
      'MANIFEST_INVALID',
      '{"name":"a","video":"a","constructor":{"prototype":1}}\n',
    ],
    ['__proto__ as a column', 'm.csv', 'CSV_BAD_HEADER', 'name,video,__proto__\na,a,x\n'],
    ['constructor as a column', 'm.csv', 'CSV_BAD_HEADER', 'name,video,constructor\na,a,x\n'],
    [
      'a number beyond all numbers',
      'm.jsonl',
      'MANIFEST_INVALID',
      '{"name":"a","video":"a","valence":1e999}\n',
    ],
    ['100,000 bad rows', 'm.csv', 'MANIFEST_INVALID', `name,video\n${',\n'.repeat(100_000)}`],
    [
      'a long unknown key',
      'm.jsonl',
      'MANIFEST_INVALID',
      `{"name":"a","video":"a","${'x'.repeat(2 ** 20)}":1}\n`,
    ],
    [
      'a long name, twice',
      'm.csv',
      'MANIFEST_INVALID',
      `name,video\n${`${'x'.repeat(2 ** 20)},a\n`.repeat(2)}`,
    ],
  ])('%s', async (_, name, code, text) => {
    const error = await refusal(name, text);
    expect(error.code).toBe(code);
    expect(error.message.length).toBeLessThan(50_000);
  });

  it('a path that no file can have is one that is not there', async () => {
    const path = join(await temporaryFolder(), 'm.jsonl');
    await writeFile(
      path,
      `{"name":"a","video":"a\\u0000.mp4"}\n{"name":"b","video":"${'b/'.repeat(5000)}"}\n`,
    );
    const faults = await findFileFaults(await readManifest(path), inputMode('frame'));
    expect([...faults.keys()]).toEqual(['a', 'b']);
  });
});

import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { JsonlOptions, JsonlRow } from '../../src/io/jsonl.ts';
import { dropTornLine, JsonlWriter, readJsonl } from '../../src/io/jsonl.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function pathWith(content: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), 'lines.jsonl');
  await writeFile(path, content);
  return path;
}

async function collect(rows: AsyncIterable<JsonlRow>): Promise<JsonlRow[]> {
  const list: JsonlRow[] = [];
  for await (const row of rows) {
    list.push(row);
  }
  return list;
}

async function read(content: string | Uint8Array, options?: JsonlOptions) {
  return collect(readJsonl(await pathWith(content), options));
}

describe('readJsonl', () => {
  it('yields objects with their line numbers', async () => {
    expect(await read('\ufeff{"name":"a"}\r\n\n  \n{"name":"ä"}')).toEqual([
      { row: 1, value: { name: 'a' } },
      { row: 4, value: { name: 'ä' } },
    ]);
    expect(await read('')).toEqual([]);
  });

  it('reads lines that are longer than its buffer', async () => {
    const long = 'ä'.repeat(300_000);
    const lines = await read(`{"a":1}\n{"a":"${long}"}\n{"a":3}\n`);
    expect(lines.map(({ row, value }) => [row, value.a])).toEqual([
      [1, 1],
      [2, long],
      [3, 3],
    ]);
  });

  it('refuses a line of 1 GB after its first 16 MiB', async () => {
    const path = await pathWith('{"a":1}\n{"a":"');
    await truncate(path, 2 ** 30);
    await expect(collect(readJsonl(path))).rejects.toMatchObject({
      code: 'JSONL_LINE_TOO_LONG',
      message: expect.stringContaining('row 2'),
    });
  });

  it('stops at the first fault but gives what came before', async () => {
    const path = await pathWith('{"a":1}\nno\n');
    const rows: number[] = [];
    const reading = async () => {
      for await (const { row } of readJsonl(path)) {
        rows.push(row);
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'JSONL_NOT_JSON' });
    expect(rows).toEqual([1]);
  });

  it.each<[string, string, string | Buffer]>([
    ['text that is not JSON', 'JSONL_NOT_JSON', '{"a":1}\n{"a":}\n'],
    ['a torn line', 'JSONL_NOT_JSON', '{"a":1}\n{"a":'],
    ['a list', 'JSONL_NOT_AN_OBJECT', '{"a":1}\n[1]\n'],
    ['null', 'JSONL_NOT_AN_OBJECT', '{"a":1}\nnull\n'],
    ['a key __proto__', 'JSONL_FORBIDDEN_KEY', '{"a":1}\n{"__proto__":{"admin":true}}\n'],
    ['a hidden key __proto__', 'JSONL_FORBIDDEN_KEY', '{"a":1}\n{"b":[{"\\u005f_proto__":1}]}\n'],
    ['a key twice', 'JSONL_DUPLICATE_KEY', '{"a":1}\n{"a":1,"b":{"a":"{"},"\\u0061":2}\n'],
    ['bytes that are not UTF-8', 'FILE_NOT_UTF8', Buffer.from('{"a":1}\n{"a":"\xc4"}\n', 'latin1')],
  ])('refuses %s and names the row', async (_, code, content) => {
    await expect(read(content)).rejects.toMatchObject({
      name: 'InputError',
      code,
      message: expect.stringMatching(/lines\.jsonl, row 2/),
    });
  });

  it('does not mistake equal values or equal keys of different objects for duplicates', async () => {
    const line = '{"a":"a","b":{"a":"b:","c":["a","a"]},"d":[{"a":1},{"a":"\\\\"}]}';
    expect(await read(line)).toEqual([{ row: 1, value: JSON.parse(line) }]);
  });

  it('refuses a line over the limit, without reading on', async () => {
    const content = `{"a":1}\n{"a":"${'x'.repeat(1000)}"}\n`;
    await expect(read(content, { maxLineBytes: 1007 })).rejects.toMatchObject({
      code: 'JSONL_LINE_TOO_LONG',
      message: expect.stringContaining('row 2'),
    });
    expect(await read(content, { maxLineBytes: 1008 })).toHaveLength(2);
  });

  it('names a missing file', async () => {
    await expect(collect(readJsonl('/none.jsonl'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});

describe('JsonlWriter', () => {
  it('creates a file, continues it and keeps the order', async () => {
    const path = join(await temporaryFolder(), 'lines.jsonl');
    const writer = await JsonlWriter.open(path);
    expect(writer.dropped).toBeUndefined();
    await Promise.all(Array.from({ length: 50 }, (_, step) => writer.append({ step, text: 'a\nb' })));
    await writer.sync();
    expect((await readFile(path, 'utf8')).split('\n')).toHaveLength(51);
    await writer.close();
    const next = await JsonlWriter.open(path);
    await next.append({ step: 50 });
    await next.close();
    const lines = await collect(readJsonl(path));
    expect(lines.map(({ value }) => value.step)).toEqual(Array.from({ length: 51 }, (_, step) => step));
  });

  it('drops and reports a torn last line, then goes on', async () => {
    const path = await pathWith('{"step":1}\n{"step":2,"lo');
    const writer = await JsonlWriter.open(path);
    expect(writer.dropped).toEqual({ path, bytes: 13, beginning: '{"step":2,"lo' });
    await writer.append({ step: 2 });
    await writer.close();
    expect(await readFile(path, 'utf8')).toBe('{"step":1}\n{"step":2}\n');
  });

  it('refuses numbers that JSON cannot hold', async () => {
    const path = join(await temporaryFolder(), 'lines.jsonl');
    const writer = await JsonlWriter.open(path);
    await expect(writer.append({ metrics: { loss: Number.NaN } })).rejects.toMatchObject({
      code: 'JSONL_NOT_FINITE',
      exitCode: 3,
      message: expect.stringContaining('"loss" is NaN'),
    });
    await writer.append({ loss: 1 });
    await writer.close();
    expect(await readFile(path, 'utf8')).toBe('{"loss":1}\n');
  });

  it('names a folder that does not exist', async () => {
    await expect(JsonlWriter.open('/none/lines.jsonl')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});

describe('dropTornLine', () => {
  it.each([
    ['a whole file', '{"a":1}\n', '{"a":1}\n', undefined],
    ['an empty file', '', '', undefined],
    ['a lost newline', '{"a":1}\n{"a":2}', '{"a":1}\n{"a":2}\n', undefined],
    ['a half line', '{"a":1}\n{"a', '{"a":1}\n', 3],
    ['only a half line', '{"a', '', 3],
    ['zeros after a power cut', `{"a":1}\n${'\0'.repeat(100_000)}`, '{"a":1}\n', 100_000],
    ['a long half line', `{"a":1}\n{"a":"${'x'.repeat(200_000)}`, '{"a":1}\n', 200_006],
  ])('makes whole %s', async (_, content, expected, dropped) => {
    const path = await pathWith(content);
    expect((await dropTornLine(path))?.bytes).toBe(dropped);
    expect(await readFile(path, 'utf8')).toBe(expected);
  });

  it('does not load a line that is too long to be one', async () => {
    const path = await pathWith('{"a":1}\n{"a":"');
    await truncate(path, 2 ** 30);
    const dropped = await dropTornLine(path);
    expect(dropped).toMatchObject({ bytes: 2 ** 30 - 8, beginning: expect.stringMatching(/^\{"a":"/) });
    expect(await readFile(path, 'utf8')).toBe('{"a":1}\n');
  });

  it('has nothing to do where there is no file', async () => {
    expect(await dropTornLine(join(await temporaryFolder(), 'none'))).toBeUndefined();
  });
});

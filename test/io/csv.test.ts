import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CsvOptions } from '../../src/io/csv.ts';
import { readCsv } from '../../src/io/csv.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function read(content: string | Uint8Array, options?: CsvOptions) {
  const path = join(await temporaryFolder(), 'table.csv');
  await writeFile(path, content);
  return readCsv(path, options);
}

describe('readCsv', () => {
  it('reads quotes, delimiters and line breaks in cells, without trimming', async () => {
    const { columns, rows } = await read('name,subtitle\na,"I, I ""know""\nit"\nb, 你好 \n');
    expect(columns).toEqual(['name', 'subtitle']);
    expect(rows).toEqual([
      { row: 2, values: { name: 'a', subtitle: 'I, I "know"\nit' } },
      { row: 3, values: { name: 'b', subtitle: ' 你好 ' } },
    ]);
  });

  it('reads a byte order mark, Windows line ends and a last line without end', async () => {
    const { columns, rows } = await read('\ufeffname,labels\r\na,happy;calm\r\nb,');
    expect(columns).toEqual(['name', 'labels']);
    expect(rows.map(({ values }) => values)).toEqual([
      { name: 'a', labels: 'happy;calm' },
      { name: 'b', labels: '' },
    ]);
  });

  it('counts rows as a spreadsheet does', async () => {
    const { rows } = await read('name\n\na\n\n\n"b\nb"\nc\n');
    expect(rows.map(({ row, values }) => [row, values.name])).toEqual([
      [3, 'a'],
      [6, 'b\nb'],
      [7, 'c'],
    ]);
  });

  it('reads tab-separated files', async () => {
    const { rows } = await read('a\tb\n1,5\t2\n', { delimiter: '\t' });
    expect(rows).toEqual([{ row: 2, values: { a: '1,5', b: '2' } }]);
  });

  it('reads a table without rows', async () => {
    expect(await read('name\n', { required: ['name'], optional: [] })).toEqual({
      columns: ['name'],
      rows: [],
    });
  });

  it('reports all faults of the header at once', async () => {
    const options = { required: ['name', 'label'], optional: ['text'] };
    const fault = await read('name,name,txt,,__proto__\n', options).catch((error) => error);
    expect(fault).toMatchObject({ name: 'InputError', code: 'CSV_BAD_HEADER' });
    expect(fault.message).toMatch(/table\.csv, row 1: /);
    for (const part of [
      '"name" occurs twice',
      '"txt" is not known',
      'column 4 has no name',
      '"__proto__"',
      '"label" is missing',
    ]) {
      expect(fault.message).toContain(part);
    }
  });

  it('reports all uneven rows at once', async () => {
    await expect(read('a,b\n1,2\n1\n1,2\n1,2,3\n')).rejects.toMatchObject({
      code: 'CSV_BAD_ROW',
      message: expect.stringContaining('2 columns, but row 3 has 1, row 5 has 3'),
    });
  });

  it('names the line of a broken quote, an empty file, and text that is not UTF-8', async () => {
    await expect(read('a,b\n1,"2"x\n')).rejects.toMatchObject({
      code: 'CSV_MALFORMED',
      message: expect.stringContaining('table.csv, line 2'),
    });
    await expect(read('a,b\n1,"2\n')).rejects.toMatchObject({ code: 'CSV_MALFORMED' });
    await expect(read('')).rejects.toMatchObject({ code: 'CSV_EMPTY' });
    await expect(read(Buffer.from('a\n\xc4\n', 'latin1'))).rejects.toMatchObject({ code: 'FILE_NOT_UTF8' });
    await expect(readCsv('/none.csv')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', exitCode: 2 });
  });

  it('refuses a row that never ends, and a file of 1 GB before reading it', async () => {
    await expect(read(`a,b\n1,"${'x'.repeat(17 * 1024 * 1024)}`)).rejects.toMatchObject({
      code: 'CSV_ROW_TOO_LONG',
      message: expect.stringContaining('table.csv'),
    });
    const path = join(await temporaryFolder(), 'large.csv');
    await writeFile(path, 'a,b\n');
    await truncate(path, 2 ** 30);
    await expect(readCsv(path)).rejects.toMatchObject({
      code: 'FILE_TOO_LARGE',
      message: expect.stringContaining('1073741824 bytes'),
    });
  });
});

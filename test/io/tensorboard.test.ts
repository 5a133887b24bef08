import { readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { crc32c, maskedCrc32c } from '../../src/io/crc32c.ts';
import { EventFileWriter, readEventFile } from '../../src/io/tensorboard.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('crc32c', () => {
  it('gives the values of RFC 3720', () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(0))).toBe(0);
  });

  it('is masked by rotation and a constant', () => {
    expect(maskedCrc32c(new Uint8Array(0))).toBe(0xa282ead8);
  });
});

describe('EventFileWriter', () => {
  it('writes what the reader gives back', async () => {
    const folder = await temporaryFolder();
    const before = Date.now() / 1000;
    const writer = await EventFileWriter.open(folder);
    await Promise.all([
      writer.scalar('train/loss', 1.5, 1, 1_700_000_000.25),
      writer.scalar('ä', Number.NaN, 0, 1),
      writer.scalar('train/loss', 0.1, 5_000_000_000),
    ]);
    await writer.close();
    expect(await readdir(folder)).toEqual([basename(writer.path)]);
    const [, , , time, ...host] = basename(writer.path).split('.');
    expect(host.join('.')).toBe(hostname());
    expect(Number(time)).toBeGreaterThanOrEqual(Math.floor(before));
    const [first, ...events] = await readEventFile(writer.path);
    expect(first).toMatchObject({ fileVersion: 'brain.Event:2', step: 0, scalars: [] });
    expect(first?.wallTime).toBeGreaterThanOrEqual(before);
    expect(events.slice(0, 2)).toEqual([
      { wallTime: 1_700_000_000.25, step: 1, scalars: [{ tag: 'train/loss', value: 1.5 }] },
      { wallTime: 1, step: 0, scalars: [{ tag: 'ä', value: Number.NaN }] },
    ]);
    expect(events[2]).toMatchObject({
      step: 5_000_000_000,
      scalars: [{ tag: 'train/loss', value: Math.fround(0.1) }],
    });
    expect(events[2]?.wallTime).toBeGreaterThanOrEqual(before);
  });

  it('writes the very bytes that TensorBoard reads', async () => {
    const writer = await EventFileWriter.open(await temporaryFolder());
    await writer.scalar('train/loss', 1.5, 1, 1_700_000_000.25);
    await writer.close();
    const bytes = await readFile(writer.path);
    // A record that TensorBoard's own event file loader was seen to accept and to decode to these values.
    const record =
      '200000000000000029eda9500900001040fc54d94110012a130a110a0a747261696e2f6c6f7373150000c03f22167b72';
    expect(bytes.subarray(-record.length / 2).toString('hex')).toBe(record);
    // Before it: the version event, 9 bytes of time and 15 of version in a frame of 16.
    expect(bytes.byteLength).toBe(16 + 9 + 15 + record.length / 2);
    expect(bytes.toString('latin1', 12 + 9 + 2, 12 + 9 + 15)).toBe('brain.Event:2');
  });

  it('never writes into a file that is there already', async () => {
    const folder = await temporaryFolder();
    const writers = await Promise.all([1, 2, 3].map(() => EventFileWriter.open(folder)));
    await Promise.all(writers.map((writer) => writer.close()));
    expect(new Set(writers.map(({ path }) => path)).size).toBe(3);
    expect(await readdir(folder)).toHaveLength(3);
  });

  it('names a folder that does not exist', async () => {
    await expect(EventFileWriter.open('/none')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});

describe('readEventFile', () => {
  it('notices every damaged byte and a cut anywhere', async () => {
    const writer = await EventFileWriter.open(await temporaryFolder());
    await writer.scalar('loss', 1, 1);
    await writer.close();
    const bytes = await readFile(writer.path);
    for (let position = 0; position < bytes.byteLength; position++) {
      const damaged = Buffer.from(bytes);
      damaged[position]! ^= 0x10;
      await writeFile(writer.path, damaged);
      await expect(readEventFile(writer.path)).rejects.toMatchObject({ code: 'TENSORBOARD_DAMAGED' });
    }
    await writeFile(writer.path, bytes.subarray(0, -1));
    await expect(readEventFile(writer.path)).rejects.toMatchObject({ code: 'TENSORBOARD_DAMAGED' });
  });
});

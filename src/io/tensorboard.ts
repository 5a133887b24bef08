import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import protobuf from 'protobufjs/minimal.js';
import { InputError } from '../errors.ts';
import { AppendFile } from './append-file.ts';
import { maskedCrc32c } from './crc32c.ts';
import { fileError } from './filesystem.ts';

/**
 * TensorBoard event files: TFRecord frames of `Event` messages (tensorflow/core/util/event.proto):
 * `Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }`,
 * `Summary { repeated Value value = 1; }`, `Value { string tag = 1; float simple_value = 2; }`.
 */
const fieldNumbers = {
  wallTime: 1,
  step: 2,
  fileVersion: 3,
  summary: 5,
  value: 1,
  tag: 1,
  simpleValue: 2,
} as const;
const wireTypes = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

/** The tag in front of a protobuf field. */
function fieldTag(field: keyof typeof fieldNumbers, wireType: keyof typeof wireTypes): number {
  return (fieldNumbers[field] << 3) | wireTypes[wireType];
}

const tags = {
  wallTime: fieldTag('wallTime', 'fixed64'),
  step: fieldTag('step', 'varint'),
  fileVersion: fieldTag('fileVersion', 'lengthDelimited'),
  summary: fieldTag('summary', 'lengthDelimited'),
  value: fieldTag('value', 'lengthDelimited'),
  tag: fieldTag('tag', 'lengthDelimited'),
  simpleValue: fieldTag('simpleValue', 'fixed32'),
};

/** A TFRecord: length, its masked CRC, the data, their masked CRC. */
function frame(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(data.byteLength + 16);
  record.writeBigUInt64LE(BigInt(data.byteLength), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc32c(data), 12 + data.byteLength);
  return record;
}

/** Writes scalars that TensorBoard shows, one event a call. */
export class EventFileWriter {
  readonly path: string;
  readonly #file: AppendFile;

  private constructor(file: AppendFile) {
    this.path = file.path;
    this.#file = file;
  }

  /**
   * Starts a new file `events.out.tfevents.<unix time>.<host>` in a folder that exists; a number is appended where
   * that name is taken, as when a run is resumed within the same second.
   *
   * @throws InputError those of `fileError`
   */
  static async open(folder: string): Promise<EventFileWriter> {
    const wallTime = Date.now() / 1000;
    const path = join(folder, `events.out.tfevents.${Math.floor(wallTime)}.${hostname()}`);
    const writer = new EventFileWriter(await createUnused(path));
    const event = protobuf.Writer.create();
    event.uint32(tags.wallTime).double(wallTime);
    event.uint32(tags.fileVersion).string('brain.Event:2');
    await writer.#file.append(frame(event.finish()));
    return writer;
  }

  /**
   * Appends one number; events keep the order of the calls.
   *
   * @param step a whole number
   * @param wallTime seconds since 1970; now when absent
   * @throws InputError `DISK_FULL` and others of `fileError`
   */
  async scalar(tag: string, value: number, step: number, wallTime = Date.now() / 1000): Promise<void> {
    const event = protobuf.Writer.create();
    event.uint32(tags.wallTime).double(wallTime);
    event.uint32(tags.step).int64(step);
    event.uint32(tags.summary).fork();
    event.uint32(tags.value).fork();
    event.uint32(tags.tag).string(tag);
    event.uint32(tags.simpleValue).float(value);
    event.ldelim().ldelim();
    await this.#file.append(frame(event.finish()));
  }

  /** Waits for all events, forces them to the disk and closes the file. */
  close(): Promise<void> {
    return this.#file.close();
  }
}

async function createUnused(path: string): Promise<AppendFile> {
  for (let attempt = 0; ; attempt++) {
    const candidate = attempt === 0 ? path : `${path}.${attempt}`;
    try {
      return await AppendFile.open(candidate, 'ax');
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
        throw fileError(error, candidate, 'write');
      }
    }
  }
}

export interface TensorboardEvent {
  readonly wallTime: number;
  readonly step: number;
  readonly fileVersion?: string;
  readonly scalars: readonly { readonly tag: string; readonly value: number }[];
}

/** Calls `read` for every field of a message; fields that it does not take are passed over. */
function readFields(reader: protobuf.Reader, end: number, read: (tag: number) => boolean): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (!read(tag)) {
      reader.skipType(tag & 7);
    }
  }
}

function readScalar(reader: protobuf.Reader): { tag: string; value: number } {
  const scalar = { tag: '', value: 0 };
  readFields(reader, reader.uint32() + reader.pos, (tag) => {
    if (tag === tags.tag) {
      scalar.tag = reader.string();
    } else if (tag === tags.simpleValue) {
      scalar.value = reader.float();
    } else {
      return false;
    }
    return true;
  });
  return scalar;
}

function decodeEvent(data: Uint8Array): TensorboardEvent {
  const reader = protobuf.Reader.create(data);
  const event: { wallTime: number; step: number; fileVersion?: string } = { wallTime: 0, step: 0 };
  const scalars: { tag: string; value: number }[] = [];
  readFields(reader, reader.len, (tag) => {
    if (tag === tags.wallTime) {
      event.wallTime = reader.double();
    } else if (tag === tags.step) {
      event.step = Number(reader.int64());
    } else if (tag === tags.fileVersion) {
      event.fileVersion = reader.string();
    } else if (tag === tags.summary) {
      readFields(reader, reader.uint32() + reader.pos, (inner) => {
        const isValue = inner === tags.value;
        if (isValue) {
          scalars.push(readScalar(reader));
        }
        return isValue;
      });
    } else {
      return false;
    }
    return true;
  });
  return { ...event, scalars };
}

/**
 * Reads back all events of a file as `EventFileWriter` writes them, checking both checksums of every record.
 *
 * @param options.damaged `refuse` (default): a damaged record is an error; `end`: the events before it are what there is
 * @throws InputError `TENSORBOARD_DAMAGED` naming file and byte offset, and those of `fileError`
 */
export async function readEventFile(
  path: string,
  { damaged: onDamage = 'refuse' }: { readonly damaged?: 'refuse' | 'end' } = {},
): Promise<TensorboardEvent[]> {
  const events: TensorboardEvent[] = [];
  try {
    await readEvents(path, events);
  } catch (error) {
    const isEnd = onDamage === 'end' && error instanceof InputError && error.code === 'TENSORBOARD_DAMAGED';
    if (!isEnd) throw error;
  }
  return events;
}

/** Adds the events of a file to a list, as far as they are whole. */
async function readEvents(path: string, events: TensorboardEvent[]): Promise<void> {
  let file: Buffer;
  try {
    file = await readFile(path);
  } catch (error) {
    throw fileError(error, path, 'read');
  }
  const damaged = (offset: number, what: string) =>
    new InputError('TENSORBOARD_DAMAGED', `${path}, byte ${offset}: ${what}.`);
  for (let offset = 0; offset < file.byteLength; ) {
    if (file.byteLength - offset < 16) {
      throw damaged(offset, 'the last record is cut off');
    }
    if (file.readUInt32LE(offset + 8) !== maskedCrc32c(file.subarray(offset, offset + 8))) {
      throw damaged(offset, 'the checksum of a record length is wrong');
    }
    const length = Number(file.readBigUInt64LE(offset));
    if (length > file.byteLength - offset - 16) {
      throw damaged(offset, 'the last record is cut off');
    }
    const data = file.subarray(offset + 12, offset + 12 + length);
    if (file.readUInt32LE(offset + 12 + length) !== maskedCrc32c(data)) {
      throw damaged(offset, 'the checksum of a record is wrong');
    }
    events.push(decodeEvent(data));
    offset += length + 16;
  }
}

import { deflateRawSync } from 'node:zlib';
import { crc32 } from '../../src/io/crc32.ts';

/** A member of an archive, and what its headers may say instead of the truth. */
export interface ZipMember {
  readonly name: string;
  readonly content: Uint8Array;
  readonly deflate: boolean;
  readonly crc32?: number;
  readonly size?: number;
  readonly compressedSize?: number;
}

/** A zip archive, for tests that damage one on purpose. */
export function zipOf(members: readonly ZipMember[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const member of members) {
    const name = Buffer.from(member.name);
    const data = member.deflate ? deflateRawSync(member.content) : Buffer.from(member.content);
    // From "version needed" to "length of extra fields", the same in both headers.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(member.deflate ? 8 : 0, 4);
    common.writeUInt16LE(0x21, 8);
    common.writeUInt32LE(member.crc32 ?? crc32(member.content), 10);
    common.writeUInt32LE(member.compressedSize ?? data.byteLength, 14);
    common.writeUInt32LE(member.size ?? member.content.byteLength, 18);
    common.writeUInt16LE(name.byteLength, 22);
    parts.push(Buffer.from('PK\x03\x04'), common, name, data);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00'), common, rest, name);
    offset += 30 + name.byteLength + data.byteLength;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(central.byteLength, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

/** An npy file; its data begin at byte 128 where the shape is short. */
export function npyOf(descr: string, shape: string, data: Uint8Array, fortran = 'False'): Buffer {
  const text = `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
  const header = Buffer.alloc(Math.ceil((text.length + 11) / 64) * 64, ' ');
  header.write('\x93NUMPY\x01\x00', 'latin1');
  header.writeUInt16LE(header.byteLength - 10, 8);
  header.write(text, 10, 'latin1');
  header.write('\n', header.byteLength - 1);
  return Buffer.concat([header, data]);
}

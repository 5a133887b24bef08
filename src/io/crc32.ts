/** The function that computes the 32-bit checksum of a reflected polynomial, as an unsigned number. */
export function crcOf(polynomial: number): (bytes: Uint8Array) => number {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    }
    return crc;
  });
  return (bytes) => {
    let crc = 0xffffffff;
    // By index: large files pass through here, and an iterator costs several times as much.
    for (let at = 0; at < bytes.length; at++) {
      crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 0xff]!;
    }
    return (crc ^ 0xffffffff) >>> 0;
  };
}

/** CRC-32 as zip archives hold it. */
export const crc32 = crcOf(0xedb88320);

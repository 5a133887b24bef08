import { crcOf } from './crc32.ts';

/** CRC-32C (Castagnoli, RFC 3720) as an unsigned 32-bit number. */
export const crc32c = crcOf(0x82f63b78);

/** The masked form that TFRecord files hold: rotated right by 15 bits, plus a constant. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

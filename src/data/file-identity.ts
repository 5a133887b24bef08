import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { InputError } from '../errors.ts';
import { sha256 } from '../io/checksum.ts';
import { checkMediaFile } from './media/ffmpeg.ts';

const edgeBytes = 64 * 1024;

/**
 * What stands for a media file in a cache key: its name, size, time of modification, and a hash of its first and last
 * 64 KiB - cheap enough for every file of a large data set at each start. Folders are left out, so that a data set
 * may move.
 *
 * @throws InputError `MEDIA_MISSING`, `MEDIA_EMPTY`
 */
export async function fileIdentity(file: string): Promise<unknown> {
  await checkMediaFile(file);
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw new InputError(
      'MEDIA_MISSING',
      `${file} cannot be opened: there is no such file, or it may not be read.`,
      {
        cause: error,
      },
    );
  });
  try {
    const { size, mtimeNs } = await handle.stat({ bigint: true });
    const edge = Buffer.alloc(edgeBytes * 2);
    const head = await handle.read(edge, 0, edgeBytes, 0);
    const tail = await handle.read(edge, head.bytesRead, edgeBytes, Math.max(Number(size) - edgeBytes, 0));
    const edges = sha256(edge.subarray(0, head.bytesRead + tail.bytesRead));
    return { name: basename(file), size: String(size), modified: String(mtimeNs), edges };
  } finally {
    await handle.close();
  }
}

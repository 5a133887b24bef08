import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeFramesAt } from '../../src/data/media/frames.ts';
import { jpegFrames } from '../../src/data/media/pictures.ts';
import { probeMedia } from '../../src/data/media/probe.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { ffmpeg, frameNumber, makeClip } from './make-media.ts';

const folder = folderForFile();
const clip = await makeClip(join(folder, 'clip.mp4'), { frames: 30 });

/** Size of a JPEG file, and the frame of `makeClip` that its grey is of. */
async function look(picture: Buffer, name: string) {
  const file = join(folder, `${name}.jpg`);
  await writeFile(file, picture);
  const probe = await probeMedia(file);
  const size = { width: probe.video!.width, height: probe.video!.height };
  const { data } = await decodeFramesAt(file, probe, [0], size);
  return { ...size, frame: frameNumber(data[3 * Math.floor((size.width * size.height) / 2)]!) };
}

describe('frames as JPEG', () => {
  it('are whole files of evenly spread frames, the same bytes each time', async () => {
    const pictures = await jpegFrames(clip, { count: 4, maxPixels: 360 * 420 });
    const seen = [];
    for (const [i, picture] of pictures.entries()) {
      expect(picture.subarray(0, 2)).toEqual(Buffer.from([0xff, 0xd8]));
      expect(picture.subarray(-2)).toEqual(Buffer.from([0xff, 0xd9]));
      seen.push(await look(picture, `${i}`));
    }
    expect(seen).toEqual([0, 7, 15, 22].map((frame) => ({ width: 96, height: 64, frame })));
    expect(await jpegFrames(clip, { count: 4, maxPixels: 360 * 420 })).toEqual(pictures);
  });

  it('are made smaller as a whole, and not repeated', async () => {
    const [small] = await jpegFrames(clip, { count: 1, maxPixels: 24 * 16 });
    expect(await look(small!, 'small')).toMatchObject({ width: 24, height: 16 });
    const short = await makeClip(join(folder, 'short.mp4'), { frames: 3, sound: false });
    const pictures = await jpegFrames(short, { count: 8, maxPixels: 10_000 });
    expect(pictures).toHaveLength(3);
    expect(await look(pictures[2]!, 'third')).toMatchObject({ frame: 2 });
  });

  it('come of videos alone', async () => {
    const sound = join(folder, 'sound.wav');
    await ffmpeg('-f', 'lavfi', '-i', 'sine=duration=1', sound);
    const options = { count: 2, maxPixels: 10_000 };
    await expect(jpegFrames(sound, options)).rejects.toMatchObject({ code: 'VIDEO_MISSING' });
    const missing = join(folder, 'missing.mp4');
    await expect(jpegFrames(missing, options)).rejects.toMatchObject({ code: 'MEDIA_MISSING' });
  });
});

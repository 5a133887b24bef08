import { InputError } from '../../errors.ts';
import type { MediaRunOptions } from './ffmpeg.ts';
import { startMediaClock } from './ffmpeg.ts';
import { countFrames, frameIndices, onePerTick, requireVideo, runOverVideo, scalerFlags } from './frames.ts';
import { probeMedia } from './probe.ts';

/** Frames of a video as JPEG files. */
export interface PictureOptions extends MediaRunOptions {
  readonly count: number;
  /** Pixels of a picture at most; larger frames are made smaller, their shape stays. */
  readonly maxPixels: number;
}

/**
 * Frames of a video as JPEG, chosen by `frameIndices`: spread evenly over the frames that decode. A video with fewer frames
 * gives fewer pictures; none is repeated.
 *
 * @throws InputError as in `countFrames`, and `MEDIA_UNREADABLE` where ffmpeg gives other pictures than it was asked for
 */
export async function jpegFrames(file: string, options: PictureOptions): Promise<Buffer[]> {
  const run = { ...startMediaClock(options), ...options };
  const probe = await probeMedia(file, run);
  const video = requireVideo(file, probe);
  const indices = [...new Set(frameIndices(await countFrames(file, probe, run), options.count))];
  const scale = Math.min(1, Math.sqrt(options.maxPixels / (video.width * video.height)));
  // Even sizes, as the colours of a JPEG are halved; never more pixels than allowed.
  const even = (size: number): number => Math.max(2, 2 * Math.floor((size * scale) / 2));
  const chosen = indices.map((index) => `eq(n\\,${index})`).join('+');
  const size = `scale=${even(video.width)}:${even(video.height)}:flags=${scalerFlags}:out_range=full`;
  const output = ['-r', '25', '-frames:v', String(indices.length), '-c:v', 'mjpeg', '-q:v', '2'];
  const { stdout } = await runOverVideo(
    file,
    video,
    [
      ...['-vf', `select='${chosen}',${onePerTick},${size},format=yuvj420p`, ...output],
      // The same bytes for the same pixels; a frame each, with its length before it.
      ...['-flags:v', '+bitexact', '-f', 'mpjpeg', 'pipe:1'],
    ],
    run,
  );
  const pictures = splitPictures(Buffer.from(stdout.buffer, stdout.byteOffset, stdout.byteLength));
  if (pictures.length === indices.length) return pictures;
  throw new InputError(
    'MEDIA_UNREADABLE',
    `ffmpeg gave ${pictures.length} pictures of ${file} instead of ${indices.length}: the file is probably damaged.`,
  );
}

const headEnd = Buffer.from('\r\n\r\n');

/** The parts of a stream of pictures, each after lines of which one is `Content-length: N`. */
function splitPictures(stream: Buffer): Buffer[] {
  const pictures: Buffer[] = [];
  for (let position = 0; ; ) {
    const end = stream.indexOf(headEnd, position);
    if (end < 0) return pictures;
    const head = stream.toString('latin1', position, end);
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? Number.NaN);
    const begin = end + headEnd.byteLength;
    if (!(begin + length <= stream.byteLength)) return pictures;
    pictures.push(stream.subarray(begin, begin + length));
    position = begin + length;
  }
}

import type { Frames } from '../../../encoders/encoder.ts';
import { InputError } from '../../errors.ts';
import type { MediaRun, MediaRunOptions } from './ffmpeg.ts';
import { inputArguments, runMediaTool } from './ffmpeg.ts';
import type { MediaProbe } from './probe.ts';
import { probeMedia, requireKnownCodec } from './probe.ts';

type VideoStream = NonNullable<MediaProbe['video']>;

/** Edge of the square that frames and faces are brought to. */
export const frameSize = 224;

/** Part of the cache key: how pixels come out of ffmpeg. */
export const scalerFlags = 'bicubic+accurate_rnd+full_chroma_int';

/**
 * Which frames are looked at: `floor(i * count / n)` with `n = min(wanted, count)`, the last one repeated when there
 * are fewer than wanted (the published rule, which never looks at the end of a long clip).
 *
 * @returns `wanted` indices, not decreasing
 */
export function frameIndices(count: number, wanted: number): number[] {
  const n = Math.min(wanted, count);
  // In this order of operations, as the published code rounds: the step is a double.
  const step = count / n;
  return Array.from({ length: wanted }, (_, i) => Math.floor(Math.min(i, n - 1) * step));
}

/**
 * Counts the frames that really decode (containers claim wrong numbers, and some claim none).
 *
 * @throws InputError `VIDEO_MISSING` (no video stream), `VIDEO_NO_FRAMES`, `VIDEO_TRUNCATED`, `CODEC_UNKNOWN` and those of
 *   `probeMedia`
 */
export async function countFrames(
  file: string,
  probe: MediaProbe,
  options: MediaRunOptions = {},
): Promise<number> {
  const video = requireVideo(file, probe);
  const filter = ['-vf', onePerTick, '-r', '25'];
  const output = ['-f', 'null', '-progress', 'pipe:1', '-nostats', '-'];
  const { stdout, complaints } = await runOverVideo(file, video, [...filter, ...output], options);
  const counts = [
    ...Buffer.from(stdout)
      .toString('utf8')
      .matchAll(/^frame=\s*(\d+)/gm),
  ];
  const count = Number(counts.at(-1)?.[1] ?? 0);
  if (count === 0) throw noFrames(file, video, complaints);
  checkCount(file, video, count, complaints);
  return count;
}

/**
 * Fewer frames than claimed is no error by itself (edit lists hide frames); with decoder errors it is a cut file.
 * @throws InputError `VIDEO_TRUNCATED`
 */
function checkCount(file: string, video: VideoStream, count: number, complaints: string): void {
  if (complaints === '' || count >= 0.9 * (video.expectedFrames ?? 0)) return;
  throw new InputError(
    'VIDEO_TRUNCATED',
    `${file} should have ${video.expectedFrames} frames and only ${count} decode. It was probably not copied or ` +
      `downloaded fully.${said(complaints)}`,
  );
}

const noFrames = (file: string, video: VideoStream, complaints: string): InputError =>
  new InputError(
    'VIDEO_NO_FRAMES',
    `${file} has a video stream (${video.codec}), but not one frame of it decodes.${said(complaints)}`,
  );

/**
 * A run of ffmpeg over a video stream.
 * @throws InputError `VIDEO_NO_FRAMES` where ffmpeg gives up because the stream is empty, and those of `runMediaTool`
 */
export async function runOverVideo(
  file: string,
  video: VideoStream,
  programArguments: readonly string[],
  options: MediaRunOptions,
): Promise<MediaRun> {
  try {
    return await runMediaTool(
      'ffmpeg',
      file,
      [...inputArguments(file), '-map', '0:V:0', ...programArguments],
      options,
    );
  } catch (error) {
    const empty = error instanceof InputError && error.message.includes('Cannot determine format of input');
    throw empty ? noFrames(file, video, '') : error;
  }
}

/** Gives every frame the next tick of a fixed clock, so that ffmpeg neither repeats nor drops any. */
export const onePerTick = 'settb=1/25,setpts=N';

const said = (complaints: string): string => (complaints === '' ? '' : ` ffmpeg says: ${complaints}`);

/** @throws InputError `VIDEO_MISSING`, `CODEC_UNKNOWN` */
export function requireVideo(file: string, probe: MediaProbe) {
  if (probe.video === undefined) {
    throw new InputError(
      'VIDEO_MISSING',
      `${file} has no video stream, and the configured inputs need frames.`,
    );
  }
  requireKnownCodec(file, probe.video, 'video');
  return probe.video;
}

/**
 * Decodes chosen frames, scaled to `width` x `height` (aspect ratio not kept, bicubic) as RGB. Only these frames are
 * held in memory, and decoding stops after the last of them.
 *
 * @param indices not decreasing; repetitions give repeated frames
 * @throws InputError `VIDEO_MISSING`, `VIDEO_NO_FRAMES`, `CODEC_UNKNOWN` and those of `runMediaTool`
 */
export async function decodeFramesAt(
  file: string,
  probe: MediaProbe,
  indices: readonly number[],
  { width, height }: { readonly width: number; readonly height: number },
  options: MediaRunOptions = {},
): Promise<Frames> {
  const video = requireVideo(file, probe);
  const distinct = [...new Set(indices)];
  const chosen = distinct.map((index) => `eq(n\\,${index})`).join('+');
  const filter = `select='${chosen}',${onePerTick},scale=${width}:${height}:flags=${scalerFlags}`;
  const output = ['-r', '25', '-frames:v', String(distinct.length), '-f', 'rawvideo', '-pix_fmt', 'rgb24'];
  const { stdout, complaints } = await runOverVideo(
    file,
    video,
    ['-vf', filter, ...output, 'pipe:1'],
    options,
  );
  const frameBytes = width * height * 3;
  if (stdout.byteLength !== frameBytes * distinct.length) {
    throw new InputError(
      'VIDEO_NO_FRAMES',
      `Of the frames ${distinct.join(', ')} of ${file} only ${Math.floor(stdout.byteLength / frameBytes)} decode.` +
        said(complaints),
    );
  }
  const data = new Uint8Array(frameBytes * indices.length);
  indices.forEach((index, i) => {
    const from = distinct.indexOf(index) * frameBytes;
    data.set(stdout.subarray(from, from + frameBytes), i * frameBytes);
  });
  return { data, count: indices.length, height, width };
}

/**
 * The frames that the model sees of a video: `[frames, 224, 224, 3]` RGB, chosen by `frameIndices`.
 *
 * @throws InputError as in `countFrames` and `decodeFramesAt`
 */
export async function decodeFrames(
  file: string,
  frames: number,
  options: MediaRunOptions = {},
): Promise<Frames> {
  const probe = await probeMedia(file, options);
  const size = { width: frameSize, height: frameSize };
  if ((probe.video?.claimedFrames ?? Number.POSITIVE_INFINITY) <= wholeClipFrames) {
    const whole = await framesOfWholeClip(file, probe, frames, size, options);
    if (whole !== undefined) return whole;
  }
  const count = await countFrames(file, probe, options);
  return decodeFramesAt(file, probe, frameIndices(count, frames), size, options);
}

/** Clips of up to this many frames are decoded once, all of it, instead of once to count and once to pick. */
const wholeClipFrames = 200;

/**
 * The same pixels as `decodeFramesAt` gives for the counted frames, in one run of ffmpeg; undefined where there are more
 * frames than the container claims.
 */
async function framesOfWholeClip(
  file: string,
  probe: MediaProbe,
  frames: number,
  { width, height }: { readonly width: number; readonly height: number },
  options: MediaRunOptions,
): Promise<Frames | undefined> {
  const video = requireVideo(file, probe);
  const filter = `${onePerTick},scale=${width}:${height}:flags=${scalerFlags}`;
  const atMost = ['-frames:v', String(wholeClipFrames + 1)];
  const output = ['-r', '25', ...atMost, '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'];
  const { stdout, complaints } = await runOverVideo(file, video, ['-vf', filter, ...output], options);
  const frameBytes = width * height * 3;
  const count = Math.floor(stdout.byteLength / frameBytes);
  if (count === 0) throw noFrames(file, video, complaints);
  if (count > wholeClipFrames) return undefined;
  checkCount(file, video, count, complaints);
  const data = new Uint8Array(frameBytes * frames);
  frameIndices(count, frames).forEach((index, i) => {
    data.set(stdout.subarray(index * frameBytes, (index + 1) * frameBytes), i * frameBytes);
  });
  return { data, count: frames, height, width };
}

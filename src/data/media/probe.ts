import { InputError } from '../../errors.ts';
import type { MediaRunOptions } from './ffmpeg.ts';
import { checkMediaFile, inputArguments, runMediaTool } from './ffmpeg.ts';

export interface VideoStream {
  readonly codec: string;
  /** As shown: ffmpeg turns frames that are marked as rotated. */
  readonly width: number;
  readonly height: number;
  /** What the container claims; the number of frames that decode may differ. */
  readonly claimedFrames?: number;
  /** Those, or what length and mean frame rate come to. A file of which fewer decode, with complaints, is cut off. */
  readonly expectedFrames?: number;
}

export interface AudioStream {
  readonly codec: string;
  readonly channels: number;
  /** Samples per second. */
  readonly sampleRate: number;
  /** What the container claims. */
  readonly claimedSeconds?: number;
}

/** The first video stream that is not a cover picture, the first audio stream, and the length in seconds. */
export interface MediaProbe {
  readonly video?: VideoStream;
  readonly audio?: AudioStream;
  readonly durationSeconds?: number;
}

interface ProbedStream {
  readonly codec_type?: string;
  readonly codec_name?: string;
  readonly width?: number;
  readonly height?: number;
  readonly nb_frames?: string;
  readonly avg_frame_rate?: string;
  readonly duration?: string;
  readonly channels?: number;
  readonly sample_rate?: string;
  readonly disposition?: { readonly attached_pic?: number };
  readonly side_data_list?: readonly { readonly rotation?: number }[];
  readonly tags?: { readonly rotate?: string };
}

/**
 * Reads what a media file contains, without decoding it.
 *
 * @throws InputError `MEDIA_MISSING`, `MEDIA_EMPTY`, `MEDIA_UNREADABLE`, `MEDIA_TIMEOUT`
 */
export async function probeMedia(file: string, options: MediaRunOptions = {}): Promise<MediaProbe> {
  await checkMediaFile(file);
  const wanted = ['-show_streams', '-show_format', '-of', 'json'];
  const { stdout } = await runMediaTool('ffprobe', file, [...wanted, ...inputArguments(file)], options);
  const { streams = [], format = {} } = JSON.parse(Buffer.from(stdout).toString('utf8')) as {
    streams?: ProbedStream[];
    format?: { duration?: string };
  };
  const video = streams.find((s) => s.codec_type === 'video' && s.disposition?.attached_pic !== 1);
  const audio = streams.find((s) => s.codec_type === 'audio');
  const claimedFrames = positive(video?.nb_frames);
  const durationSeconds = positive(format.duration);
  const expectedFrames = claimedFrames ?? framesIn(durationSeconds, video?.avg_frame_rate);
  const claimedSeconds = positive(audio?.duration) ?? durationSeconds;
  return {
    ...(video && {
      video: {
        codec: video.codec_name ?? 'unknown',
        ...displayedSize(video),
        ...(claimedFrames && { claimedFrames }),
        ...(expectedFrames && { expectedFrames }),
      },
    }),
    ...(audio && {
      audio: {
        codec: audio.codec_name ?? 'unknown',
        channels: audio.channels ?? 0,
        sampleRate: positive(audio.sample_rate) ?? 0,
        ...(claimedSeconds && { claimedSeconds }),
      },
    }),
    ...(durationSeconds && { durationSeconds }),
  };
}

function displayedSize({ width = 0, height = 0, side_data_list: sideData = [], tags }: ProbedStream) {
  const rotation =
    sideData.find((entry) => entry.rotation !== undefined)?.rotation ?? Number(tags?.rotate ?? 0);
  return Math.abs(rotation) % 180 === 90 ? { width: height, height: width } : { width, height };
}

/** @param rate a fraction, such as `25/1`; `0/0` where it is not known */
function framesIn(seconds: number | undefined, rate = '0/0'): number | undefined {
  const [numerator, denominator] = rate.split('/').map(Number);
  return positive(String(Math.floor(((seconds ?? 0) * numerator!) / denominator!)));
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return value > 0 ? value : undefined;
}

/** @throws InputError `CODEC_UNKNOWN` where ffprobe could not name the codec of a stream */
export function requireKnownCodec(file: string, stream: { readonly codec: string }, kind: string): void {
  if (stream.codec === 'unknown' || stream.codec === 'none') {
    throw new InputError(
      'CODEC_UNKNOWN',
      `The ${kind} stream of ${file} is coded in a way that the installed FFmpeg does not know. ` +
        'Re-encode the file, e.g.: ffmpeg -i in -c:v libx264 -c:a aac out.mp4, or install a newer FFmpeg.',
    );
  }
}

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findMediaTools } from '../../src/data/media/ffmpeg.ts';

export async function ffmpeg(...args: string[]): Promise<void> {
  await promisify(execFile)((await findMediaTools()).ffmpeg, ['-nostdin', '-v', 'error', '-y', ...args]);
}

/** Brightness step of consecutive frames in `makeClip`. */
const brightnessStep = 6;

/** A clip whose frame i is a flat grey that `frameNumber` reads back, with a tone unless `sound` is false. */
export async function makeClip(file: string, { frames = 30, sound = true } = {}): Promise<string> {
  const grey = `nullsrc=s=96x64:r=25,geq=lum='16+N*${brightnessStep}':cb=128:cr=128`;
  const tone = sound ? ['-f', 'lavfi', '-i', 'sine=frequency=300:sample_rate=22050'] : [];
  const length = ['-t', String(frames / 25), '-frames:v', String(frames)];
  await ffmpeg(
    '-f',
    'lavfi',
    '-i',
    grey,
    ...tone,
    ...length,
    '-c:v',
    'libx264',
    '-qp',
    '0',
    '-pix_fmt',
    'yuv420p',
    file,
  );
  return file;
}

/** Which frame of `makeClip` a decoded grey comes from. */
export const frameNumber = (byte: number): number => Math.round((byte * 219) / 255 / brightnessStep);

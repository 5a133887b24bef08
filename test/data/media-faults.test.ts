import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { audioClips, clipSamples, decodeAudio } from '../../src/data/media/audio.ts';
import { decodeFrames, frameSize } from '../../src/data/media/frames.ts';
import { probeMedia } from '../../src/data/media/probe.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { ffmpeg, frameNumber, makeClip } from './make-media.ts';

const frameBytes = frameSize * frameSize * 3;

const folder = folderForFile();
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  await makeClip(at('clip.mp4'), { frames: 20 });
});

/** Which frames of `makeClip` the model would see. */
async function seen(name: string): Promise<number[]> {
  const { data, count } = await decodeFrames(at(name), 8);
  return Array.from({ length: count }, (_, i) => frameNumber(data[i * frameBytes + 999]!));
}

/** A copy of a file that ends early. */
async function cut(from: string, name: string, share: number): Promise<void> {
  const bytes = await readFile(at(from));
  await writeFile(at(name), bytes.subarray(0, Math.floor(bytes.length * share)));
}

const remux = (name: string, ...options: string[]) =>
  ffmpeg('-i', at('clip.mp4'), '-c', 'copy', ...options, at(name));
const tone = (name: string, seconds: number, ...options: string[]) =>
  ffmpeg(
    ...['-f', 'lavfi', '-i', 'sine=frequency=300:sample_rate=16000', '-t', String(seconds)],
    ...[...options, at(name)],
  );

/** Frames that the rule takes of 20. */
const ofTwenty = [0, 2, 5, 7, 10, 12, 15, 17];

describe('unusual video is used as documented', () => {
  it('one frame is repeated', async () => {
    await makeClip(at('one.mp4'), { frames: 1, sound: false });
    expect(await seen('one.mp4')).toEqual(Array(8).fill(0));
  });

  it('a variable frame rate counts frames, not time', async () => {
    const slowing = "setpts='if(lt(N,10),N,4*N-30)/25/TB'";
    const codec = ['-vsync', 'vfr', '-c:v', 'libx264', '-qp', '0'];
    await ffmpeg('-i', at('clip.mp4'), '-an', '-vf', slowing, ...codec, at('vfr.mp4'));
    expect((await probeMedia(at('vfr.mp4'))).durationSeconds).toBeGreaterThan(1.5);
    expect(await seen('vfr.mp4')).toEqual(ofTwenty);
  });

  it('rotated video is turned upright', async () => {
    const leftWhite = 'nullsrc=s=96x64:r=25,geq=lum=if(lt(X\\,48)\\,235\\,16):cb=128:cr=128';
    await ffmpeg('-f', 'lavfi', '-i', leftWhite, '-frames:v', '2', '-pix_fmt', 'yuv420p', at('flat.mp4'));
    await ffmpeg('-i', at('flat.mp4'), '-c', 'copy', '-metadata:s:v:0', 'rotate=90', at('turned.mp4'));
    expect((await probeMedia(at('turned.mp4'))).video).toMatchObject({ width: 64, height: 96 });
    const whiteRows = ({ data }: { data: Uint8Array }) =>
      [10, 214].map((row) => data[row * frameSize * 3]! > 128);
    expect(whiteRows(await decodeFrames(at('flat.mp4'), 1))).toEqual([true, true]);
    // This ffmpeg writes the tag as a matrix that turns by 90 degrees to the left: what was left comes to lie below.
    expect(whiteRows(await decodeFrames(at('turned.mp4'), 1))).toEqual([false, true]);
  });

  it('HDR is brought to 8 bits without tone mapping', async () => {
    const colors = ['-color_primaries', 'bt2020', '-color_trc', 'smpte2084', '-colorspace', 'bt2020nc'];
    const codec = ['-c:v', 'libx265', '-x265-params', 'lossless=1:log-level=none', '-pix_fmt', 'yuv420p10le'];
    await ffmpeg('-i', at('clip.mp4'), '-an', ...codec, ...colors, at('hdr.mp4'));
    expect(await seen('hdr.mp4')).toEqual(ofTwenty);
  });

  it('odd sizes, other endings and odd names are no obstacle', async () => {
    const odd = ['-an', '-vf', 'scale=97:63,format=yuv444p', '-c:v', 'ffv1'];
    await ffmpeg('-i', at('clip.mp4'), ...odd, at('odd.mkv'));
    await remux('really-mp4.jpg', '-f', 'mp4');
    const names = ['odd.mkv', 'really-mp4.jpg', `${'n'.repeat(250)}.mp4`, '-i #%07d \'"é 你.mp4'];
    for (const name of names.slice(2)) await remux(name);
    for (const name of names) expect(await seen(name), name).toEqual(ofTwenty);
  });
});

describe('unusual sound is used as documented', () => {
  it('10 ms fill the beginning of the first clip, zeros the rest', async () => {
    await tone('short.wav', 0.01);
    const samples = await decodeAudio(at('short.wav'));
    expect(samples).toHaveLength(160);
    const clips = audioClips(samples, 'div8');
    expect(clips.subarray(0, 160)).toEqual(samples);
    expect(clips.subarray(160, clipSamples).every((value) => value === 0)).toBe(true);
  });

  it('8 kHz stereo becomes the mean of its channels at 16 kHz', async () => {
    const channels = 'aevalsrc=0.8*sin(600*PI*t)|0.4*sin(600*PI*t):s=8000:d=1';
    await ffmpeg('-f', 'lavfi', '-i', channels, at('8k.wav'));
    const samples = await decodeAudio(at('8k.wav'));
    expect(samples).toHaveLength(16_000);
    const middle = samples.subarray(4000, 12_000);
    expect(middle.reduce((most, value) => Math.max(most, value), 0)).toBeCloseTo(0.6, 2);
  });

  it('a cover picture is no video', async () => {
    await ffmpeg('-f', 'lavfi', '-i', 'color=red:s=64x64', '-frames:v', '1', at('cover.png'));
    const streams = ['-map', '0:a', '-map', '1:v', '-c:v', 'png', '-disposition:v', 'attached_pic'];
    await ffmpeg('-i', at('clip.mp4'), '-i', at('cover.png'), ...streams, at('song.mp3'));
    expect((await decodeAudio(at('song.mp3'))).length).toBeGreaterThan(8000);
    await expect(decodeFrames(at('song.mp3'), 8)).rejects.toMatchObject({ code: 'VIDEO_MISSING' });
  });
});

describe('what cannot be used is an error that names the file and what to do', () => {
  const faults: [string, string, 'video' | 'audio', (name: string) => Promise<unknown>][] = [
    ['text.mp4', 'MEDIA_UNREADABLE', 'video', (name) => writeFile(at(name), 'not a video\n'.repeat(50))],
    ['zeros.mp4', 'MEDIA_UNREADABLE', 'video', (name) => writeFile(at(name), new Uint8Array(9000))],
    [
      'playlist.mp4',
      'MEDIA_UNREADABLE',
      'video',
      (name) => writeFile(at(name), 'ffconcat version 1.0\nfile /etc/hostname\n'),
    ],
    [
      'frameless.avi',
      'VIDEO_NO_FRAMES',
      'video',
      (name) => ffmpeg('-i', at('clip.mp4'), '-an', '-vf', "select='0'", '-c:v', 'mpeg4', at(name)),
    ],
    [
      'frameless.mp4',
      'VIDEO_MISSING',
      'video',
      (name) => ffmpeg('-i', at('clip.mp4'), '-an', '-c', 'copy', '-frames:v', '0', at(name)),
    ],
    [
      'codec.mp4',
      'CODEC_UNKNOWN',
      'video',
      async (name) => {
        const bytes = await readFile(at('clip.mp4'));
        bytes.write('zzzz', bytes.indexOf('avc1', bytes.indexOf('stsd')), 'latin1');
        await writeFile(at(name), bytes);
      },
    ],
    [
      'cut.mkv',
      'VIDEO_TRUNCATED',
      'video',
      async (name) => {
        await remux('whole.mkv');
        await cut('whole.mkv', name, 0.6);
      },
    ],
    [
      'cut.m4a',
      'AUDIO_TRUNCATED',
      'audio',
      async (name) => {
        await tone('whole.m4a', 3, '-movflags', 'faststart');
        await cut('whole.m4a', name, 0.5);
      },
    ],
    [
      'cut.wav',
      'AUDIO_TRUNCATED',
      'audio',
      async (name) => {
        await tone(name, 3);
        await truncate(at(name), 30_000);
      },
    ],
    [
      'soundless.wav',
      'AUDIO_EMPTY',
      'audio',
      async (name) => {
        await tone('tone.wav', 0.1);
        const bytes = await readFile(at('tone.wav'));
        const data = bytes.indexOf('data');
        bytes.writeUInt32LE(0, data + 4);
        bytes.writeUInt32LE(data, 4);
        await writeFile(at(name), bytes.subarray(0, data + 8));
      },
    ],
  ];

  it.each(faults)('%s: %s', async (name, code, kind, make) => {
    await make(name);
    const decode = kind === 'video' ? decodeFrames(at(name), 8) : decodeAudio(at(name));
    await expect(decode).rejects.toMatchObject({
      code,
      exitCode: 2,
      message: expect.stringContaining(at(name)),
    });
  });

  it('a WAV file written to a pipe claims no length and is read', async () => {
    await tone('piped.wav', 0.5);
    const bytes = await readFile(at('piped.wav'));
    bytes.writeUInt32LE(0xffffffff, 4);
    bytes.writeUInt32LE(0xffffffff, bytes.indexOf('data') + 4);
    await writeFile(at('piped.wav'), bytes);
    expect(await decodeAudio(at('piped.wav'))).toHaveLength(8000);
  });
});

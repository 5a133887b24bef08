import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { findMediaTools } from '../../src/data/media/ffmpeg.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import { writeNpy } from '../../src/io/npy.ts';

/** A row of a manifest. */
export interface ClipRow {
  readonly name: string;
  readonly subtitle: string;
  readonly labels: readonly string[];
  readonly description?: string;
  readonly audio: string;
  readonly face: string;
  readonly video?: string;
}

const words = ['we', 'garden', 'letter', 'today', 'nobody', 'thought', 'window', 'because', 'again', 'train'];
const feelings = ['happy', 'sad', 'angry', 'worried', 'surprised', 'calm', 'relieved'];

const frames = 8;
const sampleRate = 16_000;

/** `[frames, size, size, 3]`: stripes that move, by whole numbers alone. */
function picture(random: RandomGenerator, size: number): Uint8Array {
  const [across, down, pace, start] = [1, 2, 3, 4].map(() => 1 + random.integer(60)) as [
    number,
    number,
    number,
    number,
  ];
  return Uint8Array.from({ length: frames * size * size * 3 }, (_, i) => {
    const channel = i % 3;
    const x = Math.floor(i / 3) % size;
    const y = Math.floor(i / (3 * size)) % size;
    const frame = Math.floor(i / (3 * size * size));
    return (start + across * (x >> 2) * (channel + 1) + down * (y >> 3) + pace * frame) & 255;
  });
}

/** A 16-bit WAV file of two tones. */
function wave(random: RandomGenerator, seconds: number): Buffer {
  const samples = Math.round(seconds * sampleRate);
  const [low, high] = [100 + random.integer(200), 400 + random.integer(900)];
  const bytes = Buffer.alloc(44 + 2 * samples);
  bytes.write('RIFF', 0, 'latin1');
  bytes.writeUInt32LE(36 + 2 * samples, 4);
  bytes.write('WAVEfmt ', 8, 'latin1');
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(sampleRate, 24);
  bytes.writeUInt32LE(2 * sampleRate, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36, 'latin1');
  bytes.writeUInt32LE(2 * samples, 40);
  for (let i = 0; i < samples; i++) {
    const turn = (2 * Math.PI * i) / sampleRate;
    bytes.writeInt16LE(Math.round(9000 * Math.sin(low * turn) + 5000 * Math.sin(high * turn)), 44 + 2 * i);
  }
  return bytes;
}

function text(random: RandomGenerator, count: number): string {
  return Array.from({ length: count }, () => words[random.integer(words.length)]!).join(' ');
}

/** RGB frames as they are, in a container: every ffmpeg gives back the same bytes. */
async function writeVideo(file: string, rgb: Uint8Array, size: number): Promise<void> {
  const { ffmpeg } = await findMediaTools();
  const input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${size}x${size}`, '-r', '4', '-i', 'pipe:0'];
  const output = ['-c:v', 'rawvideo', '-pix_fmt', 'bgr24', file];
  await execa(ffmpeg, ['-v', 'error', '-y', ...input, ...output], { input: rgb });
}

/**
 * Writes clips whose decoding leaves no choice: 16-bit WAV at 16 kHz, face crops (npy) and, where asked for, uncompressed
 * RGB video of the size that is looked at. Subtitles, labels and descriptions differ in length from clip to clip.
 *
 * @returns rows with paths relative to the folder
 */
export async function writeLosslessClips(
  folder: string,
  count: number,
  { videos = false }: { readonly videos?: boolean } = {},
): Promise<ClipRow[]> {
  const rows: ClipRow[] = [];
  for (const part of ['audio', 'face', ...(videos ? ['video'] : [])]) {
    await mkdir(join(folder, part), { recursive: true });
  }
  for (let i = 0; i < count; i++) {
    const name = `clip-${String(i + 1).padStart(2, '0')}`;
    const random = new RandomGenerator(6).split(name);
    const [audio, face, video] = [`audio/${name}.wav`, `face/${name}.npy`, `video/${name}.avi`];
    await writeFile(join(folder, audio), wave(random, 1 + random.integer(20) / 10));
    const crops = picture(random, 48);
    await writeNpy(join(folder, face), { dtype: 'uint8', shape: [frames, 48, 48, 3], data: crops });
    if (videos) await writeVideo(join(folder, video), picture(random, 224), 224);
    rows.push({
      name,
      subtitle: text(random, 1 + random.integer(20)),
      labels: Array.from(
        { length: 1 + random.integer(3) },
        (_, k) => feelings[(i + 2 * k) % feelings.length]!,
      ),
      ...(i % 3 > 0 && { description: `The person says: ${text(random, 3 + random.integer(15))}.` }),
      audio,
      face,
      ...(videos && { video }),
    });
  }
  return rows;
}

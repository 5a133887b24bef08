import { InputError } from '../../errors.ts';
import { readInto, withFile } from '../../io/filesystem.ts';
import type { MediaRunOptions } from './ffmpeg.ts';
import { inputArguments, runMediaTool } from './ffmpeg.ts';
import { probeMedia, requireKnownCodec } from './probe.ts';

/** Samples per second of everything that the audio encoders hear. */
export const sampleRate = 16_000;
export const clipCount = 8;
/** Two seconds. */
export const clipSamples = 32_000;

/**
 * How the starts of the clips are spread: `div8` as the published runs do (the last eighth of a clip is never
 * heard), `div7` reaches the end.
 */
export type AudioTail = 'div8' | 'div7';

/**
 * Decodes the first audio stream to 16 kHz mono: ffmpeg's resampler, then the mean of the channels.
 *
 * @returns samples in [-1, 1]; 16-bit PCM gives its values divided by 32,768
 * @throws InputError `AUDIO_MISSING`, `AUDIO_EMPTY`, `AUDIO_TRUNCATED`, `CODEC_UNKNOWN` and those of `probeMedia`
 */
export async function decodeAudio(file: string, options: MediaRunOptions = {}): Promise<Float32Array> {
  const { audio } = await probeMedia(file, options);
  if (audio === undefined) {
    throw new InputError(
      'AUDIO_MISSING',
      `${file} has no audio track, and the configured inputs need one. Give an audio file or choose inputs without audio.`,
    );
  }
  requireKnownCodec(file, audio, 'audio');
  await checkWaveLength(file);
  const format = ['-ac', String(audio.channels), '-ar', String(sampleRate), '-f', 'f32le'];
  const { stdout, complaints } = await runMediaTool(
    'ffmpeg',
    file,
    [...inputArguments(file), '-map', '0:a:0', ...format, 'pipe:1'],
    options,
  );
  // A copy where needed: a float view has to begin at a multiple of four bytes.
  const bytes = stdout.byteOffset % 4 === 0 ? stdout : Uint8Array.from(stdout);
  const interleaved = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  if (interleaved.length < audio.channels) {
    throw new InputError('AUDIO_EMPTY', `The audio track of ${file} holds no samples.`);
  }
  const mono = meanOfChannels(interleaved, audio.channels);
  const seconds = mono.length / sampleRate;
  // Without complaints the container claims too much, as estimates of a length do.
  if (complaints !== '' && seconds < 0.9 * (audio.claimedSeconds ?? 0)) {
    throw truncated(
      file,
      `it should last ${audio.claimedSeconds} s, and only ${seconds.toFixed(2)} s of its sound decode. ffmpeg says: ${complaints}`,
    );
  }
  return mono;
}

const truncated = (file: string, what: string): InputError =>
  new InputError(
    'AUDIO_TRUNCATED',
    `${file} was probably not copied or downloaded fully: ${what}. Get it again.`,
  );

/** Programs that write to a pipe do not know the length beforehand and put something from here on, or 0. */
const unknownWaveBytes = 0x7f000000;

/**
 * Refuses a WAV file that is shorter than its header claims, of which ffmpeg says nothing. Other files pass.
 * @throws InputError `AUDIO_TRUNCATED` and those of `fileError`
 */
export async function checkWaveLength(file: string): Promise<void> {
  await withFile(file, async (handle) => {
    const head = Buffer.alloc(12);
    await readInto(handle, head, 0);
    if (head.toString('latin1', 0, 4) !== 'RIFF' || head.toString('latin1', 8, 12) !== 'WAVE') return;
    const { size } = await handle.stat();
    const claimed = 8 + head.readUInt32LE(4);
    // One byte of padding at the end is often left out.
    if (claimed > size + 1 && claimed < unknownWaveBytes) {
      throw truncated(file, `it should have ${claimed} bytes and has ${size}`);
    }
  });
}

/** `[samples, channels]` to `[samples]`. Done here, as ffmpeg's own mix to mono changes the level. */
export function meanOfChannels(interleaved: Float32Array, channels: number): Float32Array {
  if (channels === 1) return interleaved;
  const mono = new Float32Array(Math.floor(interleaved.length / channels));
  for (let i = 0; i < mono.length; i++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) sum += interleaved[i * channels + channel]!;
    mono[i] = sum / channels;
  }
  return mono;
}

/**
 * First samples of the eight clips: `floor(16000 * k * F / 8)` (`/ 7` with `div7`), where F is the exact value of
 * the double `samples / 16000 - 2`. Computed in exact rationals as the published sampler does; in doubles one length
 * in five comes out a sample off.
 */
export function audioClipStarts(samples: number, tail: AudioTail): number[] {
  const { numerator, denominator } = exactFraction(Math.max(samples / sampleRate - 2, 0));
  const parts = tail === 'div8' ? BigInt(clipCount) : BigInt(clipCount - 1);
  return Array.from({ length: clipCount }, (_, k) =>
    Number((BigInt(sampleRate) * BigInt(k) * numerator) / (parts * denominator)),
  );
}

/** The exact value of a double that is not negative. */
function exactFraction(value: number): { numerator: bigint; denominator: bigint } {
  let scaled = value;
  let denominator = 1n;
  // Doubling is exact, and every double becomes an integer after finitely many doublings.
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    denominator *= 2n;
  }
  return { numerator: BigInt(scaled), denominator };
}

/**
 * The eight two-second clips of a recording, `[8, 32000]`; a recording shorter than two seconds is filled with zeros.
 */
export function audioClips(samples: Float32Array, tail: AudioTail): Float32Array {
  const clips = new Float32Array(clipCount * clipSamples);
  audioClipStarts(samples.length, tail).forEach((start, k) => {
    clips.set(samples.subarray(start, start + clipSamples), k * clipSamples);
  });
  return clips;
}

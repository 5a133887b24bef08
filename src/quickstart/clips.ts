import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { findMediaTools } from '../data/media/ffmpeg.ts';
import { EngineError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { drawEmotionProsody, drawExpression, EMOTIONS, type Emotion } from './emotions.ts';
import { drawIdentity, drawScene, type FaceIdentity, FaceRenderer, type Scene } from './face.ts';
import { animateFace, type FaceExpression } from './face-motion.ts';
import { Random, type Split } from './random.ts';
import { allSubtitles, describe, drawLabels, faceWords, type Subtitle, voiceWords } from './text.ts';
import {
  drawRecording,
  drawVoice,
  type Prosody,
  type Recording,
  SAMPLE_RATE,
  synthesise,
  type VoiceIdentity,
} from './voice.ts';

/** Picture and length of every clip; the data room looks at eight of the seventeen frames. */
export const CLIP_FORMAT = { size: 224, framesPerSecond: 8, frames: 17, seconds: 17 / 8 } as const;

export interface ClipCounts {
  /** Each speaker gives one clip of every emotion. */
  readonly trainSpeakers: number;
  readonly testSpeakers: number;
}

/** All that determines one clip. */
export interface ClipPlan {
  readonly name: string;
  readonly split: Split;
  readonly emotion: Emotion;
  readonly labels: readonly string[];
  readonly subtitle: Subtitle;
  readonly identity: FaceIdentity;
  readonly scene: Scene;
  readonly expression: FaceExpression;
  readonly voice: VoiceIdentity;
  readonly recording: Recording;
  readonly prosody: Prosody;
  readonly seed: number;
}

/**
 * Plans the clips of both splits, deterministic from the seed. As in acted corpora, every speaker says one sentence
 * in all six emotions: neither the speaker nor the subtitle tells the emotion. Place, position, light and microphone
 * change from clip to clip. Names and order are shuffled and tell nothing either.
 */
export function planClips(seed: number, counts: ClipCounts): ClipPlan[] {
  return [...planSplit(seed, 'train', counts.trainSpeakers), ...planSplit(seed, 'test', counts.testSpeakers)];
}

function planSplit(seed: number, split: Split, speakers: number): ClipPlan[] {
  const order = new Random(seed, 'clips', split, 'order');
  const subtitles = order.shuffle(allSubtitles(split));
  const pairs = Array.from({ length: speakers }, (_, speaker) =>
    EMOTIONS.map((emotion) => ({ speaker, emotion })),
  );
  return order.shuffle(pairs.flat()).map(({ speaker, emotion }, index) => {
    const person = (part: string) => new Random(seed, 'clips', split, 'speaker', speaker, part);
    const clip = (part: string) => new Random(seed, 'clips', split, 'clip', index, part);
    return {
      name: `${split}-${String(index + 1).padStart(4, '0')}`,
      split,
      emotion,
      labels: drawLabels(emotion, clip('labels')),
      subtitle: subtitles[speaker % subtitles.length]!,
      identity: drawIdentity(person('face'), split),
      scene: drawScene(clip('scene'), split),
      expression: drawExpression(emotion, clip('expression')),
      voice: drawVoice(person('voice'), split),
      recording: drawRecording(clip('recording'), split),
      prosody: drawEmotionProsody(emotion, clip('prosody')),
      seed: clip('seed').integer(2 ** 31),
    };
  });
}

export interface RenderedClip {
  /** RGB, [frames, size, size, 3]. */
  readonly frames: Uint8Array;
  /** 16 kHz mono. */
  readonly wave: Float32Array;
}

/** Draws and speaks one clip in memory. */
export function renderClip(plan: ClipPlan): RenderedClip {
  const { size, framesPerSecond, frames, seconds } = CLIP_FORMAT;
  const renderer = new FaceRenderer(plan.identity, plan.scene, size);
  const pixels = new Uint8Array(frames * size * size * 3);
  const motion = animateFace(plan.expression, new Random(plan.seed, 'motion'), frames, framesPerSecond);
  for (const [frame, action] of motion.entries()) pixels.set(renderer.draw(action), frame * size * size * 3);
  const speech = new Random(plan.seed, 'speech');
  const { wave } = synthesise(plan.voice, plan.prosody, plan.recording, plan.subtitle.text, seconds, speech);
  return { frames: pixels, wave };
}

/** Name of the manifest in the folder of the clips. */
export const clipsManifest = 'manifest.jsonl';

export interface WriteClipsOptions {
  /** ffmpeg processes at the same time; drawing goes on meanwhile. */
  readonly processes?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Writes the clips as `<folder>/videos/<name>.mp4` (H.264 and AAC) and then `<folder>/manifest.jsonl`.
 *
 * @returns path of the manifest
 * @throws EngineError `CLIP_ENCODING_FAILED`
 */
export async function writeClips(
  folder: string,
  plans: readonly ClipPlan[],
  { processes = 3, onProgress }: WriteClipsOptions = {},
): Promise<string> {
  await mkdir(join(folder, 'videos'), { recursive: true });
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < plans.length) {
      const plan = plans[next++]!;
      await encodeClip(join(folder, videoPath(plan)), renderClip(plan));
      onProgress?.(++done, plans.length);
    }
  };
  await Promise.all(Array.from({ length: processes }, work));
  const manifest = join(folder, clipsManifest);
  await writeFileAtomic(manifest, plans.map((plan) => `${JSON.stringify(manifestRow(plan))}\n`).join(''));
  return manifest;
}

const videoPath = (plan: ClipPlan): string => `videos/${plan.name}.mp4`;

function manifestRow(plan: ClipPlan): Record<string, unknown> {
  const { name, labels, subtitle, split } = plan;
  const face = faceWords(plan.expression);
  const voice = voiceWords(plan.prosody);
  return {
    name,
    video: videoPath(plan),
    subtitle: subtitle.text,
    labels,
    description: describe(plan.emotion, subtitle.topic, face, voice),
    split,
  };
}

async function encodeClip(file: string, clip: RenderedClip): Promise<void> {
  const { ffmpeg } = await findMediaTools();
  const sound = `${file}.pcm`;
  await writeFile(sound, pcm16(clip.wave));
  const { size, framesPerSecond } = CLIP_FORMAT;
  const picture = [
    '-f',
    'rawvideo',
    '-pix_fmt',
    'rgb24',
    '-s',
    `${size}x${size}`,
    '-r',
    `${framesPerSecond}`,
  ];
  const result = await execa(
    ffmpeg,
    [
      ...['-hide_banner', '-v', 'error', '-y', ...picture, '-i', 'pipe:0'],
      ...['-f', 's16le', '-ar', `${SAMPLE_RATE}`, '-ac', '1', '-i', sound],
      ...['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '20', '-threads', '1', '-pix_fmt', 'yuv420p'],
      ...['-c:a', 'aac', '-aac_coder', 'fast', '-b:a', '64k', '-movflags', '+faststart', file],
    ],
    { input: clip.frames, reject: false },
  );
  await rm(sound, { force: true });
  if (result.exitCode !== 0) {
    throw new EngineError(
      'CLIP_ENCODING_FAILED',
      `${ffmpeg} could not write ${file}: ${result.stderr || result.shortMessage || 'it gave no reason'}. It needs the encoders ` +
        'libx264 and aac; the ffmpeg inside the npm package @ffmpeg-installer/ffmpeg has both and is used when none is on PATH.',
    );
  }
}

function pcm16(wave: Float32Array): Buffer {
  const bytes = Buffer.alloc(wave.length * 2);
  wave.forEach((value, i) => {
    bytes.writeInt16LE(Math.round(value * 32767), i * 2);
  });
  return bytes;
}

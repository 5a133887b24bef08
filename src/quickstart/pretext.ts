import { drawIdentity, drawScene, type FaceAction, FaceRenderer, type Scene } from './face.ts';
import { actionVector, drawAction } from './face-motion.ts';
import type { Random } from './random.ts';
import { allSubtitles, type Subtitle } from './text.ts';
import {
  drawProsody,
  drawRecording,
  drawVoice,
  type Prosody,
  synthesise,
  type VoiceTracks,
} from './voice.ts';

/**
 * Material for the encoders' pretext training: faces and voices of nobody in the clips, doing anything at all. Every
 * parameter is drawn by itself, so no emotion is in it, neither as a label nor as a habit.
 */
export interface FaceExample {
  /** RGB, [size, size, 3]. */
  readonly pixels: Uint8Array;
  /** What the encoder learns to tell, in the order of `FACE_ACTIONS`, each about -1..1. */
  readonly targets: readonly number[];
}

/**
 * Draws several people, each of them with a few faces. `difficulty` 0 has every head upright in the middle of the
 * picture, 1 is as in the clips: a transformer that sees the hard pictures first takes several times as long to find
 * where a mouth is.
 */
export function drawFaceExamples(
  random: Random,
  count: number,
  size: number,
  difficulty: () => number,
): FaceExample[] {
  let renderer: FaceRenderer | undefined;
  let ease = 1;
  return Array.from({ length: count }, (_, index) => {
    if (renderer === undefined || index % FACES_PER_PERSON === 0) {
      ease = difficulty();
      const scene = centred(drawScene(random, 'train'), ease);
      renderer = new FaceRenderer(drawIdentity(random, 'train'), scene, size);
    }
    const drawn = drawAction(random);
    const action: FaceAction = {
      ...drawn,
      headYaw: drawn.headYaw * ease,
      headPitch: drawn.headPitch * ease,
      headRoll: drawn.headRoll * ease,
    };
    return { pixels: new Uint8Array(renderer.draw(action)), targets: actionVector(action) };
  });
}

/** Preparing somebody costs as much as drawing two faces. */
const FACES_PER_PERSON = 3;

function centred(scene: Scene, difficulty: number): Scene {
  const toward = (middle: number, value: number) => middle + difficulty * (value - middle);
  return {
    ...scene,
    x: toward(0.5, scene.x),
    y: toward(0.48, scene.y),
    scale: toward(0.39, scene.scale),
    rotation: toward(0, scene.rotation),
  };
}

export interface VoiceExample {
  /** 16 kHz mono. */
  readonly wave: Float32Array;
  /** In the order of `VOICE_TARGETS`, each about -1..1. */
  readonly targets: readonly number[];
  readonly tracks: VoiceTracks;
}

/** What can be heard without knowing the speaker: the pitch is that of the voice, not relative to its owner's. */
export const VOICE_TARGETS = ['pitch', 'pitchRange', 'energy', 'tempo', 'tremor', 'breathiness'] as const;

const subtitles: readonly Subtitle[] = allSubtitles('train');

/** Lets somebody say a sentence in any way at all. */
export function drawVoiceExample(random: Random, seconds: number): VoiceExample {
  const prosody = drawProsody(random);
  const voice = drawVoice(random, 'train');
  const recording = drawRecording(random, 'train');
  const { wave, tracks } = synthesise(
    voice,
    prosody,
    recording,
    random.pick(subtitles).text,
    seconds,
    random,
  );
  const pitch = 12 * Math.log2(voice.basePitch / 55) + prosody.pitchLevel;
  return { wave, targets: voiceVector(pitch, prosody), tracks };
}

/** Centres and scales of the uniform ranges of `drawProsody` and `drawVoice`. */
function voiceVector(pitch: number, prosody: Prosody): number[] {
  return [
    (pitch - 17) / 8,
    (prosody.pitchRange - 2.75) / 2.75,
    (prosody.energy - 0.5) / 0.5,
    (prosody.tempo - 4.3) / 2.3,
    (prosody.tremor - 0.8) / 1.1,
    (prosody.breathiness - 0.375) / 0.375,
  ];
}

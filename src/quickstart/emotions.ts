import { FACE_EXPRESSION, type FaceExpression } from './face-motion.ts';
import type { Random } from './random.ts';
import { PROSODY, type Prosody } from './voice.ts';

export const EMOTIONS = ['happy', 'calm', 'sad', 'angry', 'surprised', 'afraid'] as const;
export type Emotion = (typeof EMOTIONS)[number];

export type FaceKind = 'smile' | 'frown' | 'stare';
export type VoiceKind = 'excited' | 'subdued' | 'trembling';

/**
 * Six emotions out of three kinds of face and three kinds of voice. Happy and calm, sad and angry, surprised and
 * afraid differ only in the voice; happy, angry and surprised differ only in the face, and so do calm and sad.
 * Whoever sees only the face is right in three cases of six at best, and so is whoever only hears the voice.
 */
export const EMOTION_KINDS: Readonly<
  Record<Emotion, { readonly face: FaceKind; readonly voice: VoiceKind }>
> = {
  happy: { face: 'smile', voice: 'excited' },
  calm: { face: 'smile', voice: 'subdued' },
  sad: { face: 'frown', voice: 'subdued' },
  angry: { face: 'frown', voice: 'excited' },
  surprised: { face: 'stare', voice: 'excited' },
  afraid: { face: 'stare', voice: 'trembling' },
};

/** Mean and standard deviation of a normal distribution. */
type Spread = readonly [mean: number, deviation: number];

/** What all three kinds share (head movement) tells nothing; the rest overlaps but for the combination. */
const FACES: Readonly<Record<FaceKind, Readonly<Record<keyof FaceExpression, Spread>>>> = {
  smile: {
    browHeight: [0.15, 0.28],
    browAngle: [-0.05, 0.25],
    eyeOpenness: [0.6, 0.15],
    mouthCurve: [0.8, 0.18],
    mouthOpenness: [0.25, 0.15],
    nod: [0.25, 0.12],
    shake: [0.2, 0.12],
    tremble: [0.1, 0.08],
  },
  frown: {
    browHeight: [-0.65, 0.2],
    browAngle: [0.35, 0.3],
    eyeOpenness: [0.5, 0.14],
    mouthCurve: [-0.72, 0.2],
    mouthOpenness: [0.15, 0.12],
    nod: [0.2, 0.12],
    shake: [0.25, 0.12],
    tremble: [0.1, 0.08],
  },
  stare: {
    browHeight: [0.85, 0.18],
    browAngle: [-0.25, 0.28],
    eyeOpenness: [1.02, 0.1],
    mouthCurve: [-0.08, 0.22],
    mouthOpenness: [0.68, 0.18],
    nod: [0.2, 0.12],
    shake: [0.2, 0.12],
    tremble: [0.14, 0.08],
  },
};

const VOICES: Readonly<Record<VoiceKind, Readonly<Record<keyof Prosody, Spread>>>> = {
  excited: {
    pitchLevel: [4.5, 1.6],
    pitchRange: [3.8, 0.8],
    pitchSlope: [0.3, 1.4],
    energy: [0.85, 0.09],
    tempo: [5.4, 0.5],
    tremor: [0.12, 0.08],
    breathiness: [0.1, 0.06],
  },
  subdued: {
    pitchLevel: [-2, 1.4],
    pitchRange: [1.2, 0.5],
    pitchSlope: [-1.3, 1.2],
    energy: [0.25, 0.1],
    tempo: [2.8, 0.4],
    tremor: [0.12, 0.08],
    breathiness: [0.25, 0.12],
  },
  trembling: {
    pitchLevel: [3.5, 1.6],
    pitchRange: [1.8, 0.7],
    pitchSlope: [0.5, 1.4],
    energy: [0.4, 0.12],
    tempo: [4.9, 0.6],
    tremor: [1.5, 0.3],
    breathiness: [0.5, 0.12],
  },
};

/** The face of this emotion in one clip. */
export function drawExpression(emotion: Emotion, random: Random): FaceExpression {
  return drawAll(FACES[EMOTION_KINDS[emotion].face], random);
}

/** The voice of this emotion in one clip. */
export function drawEmotionProsody(emotion: Emotion, random: Random): Prosody {
  return drawAll(VOICES[EMOTION_KINDS[emotion].voice], random);
}

export interface Ceilings {
  readonly face: number;
  readonly voice: number;
  readonly both: number;
  /** The subtitle is independent of the emotion by construction. */
  readonly text: number;
}

/**
 * Accuracy of the best possible guess from the true parameters of a clip: of its face, of its voice, of both. What a
 * model reaches from pixels and samples can only be lower, whatever it was trained on.
 */
export function measureCeilings(random: Random, clips = 6000): Ceilings {
  let face = 0;
  let voice = 0;
  let both = 0;
  for (let clip = 0; clip < clips; clip++) {
    const truth = clip % EMOTIONS.length;
    const emotion = EMOTIONS[truth]!;
    const expression = drawExpression(emotion, random);
    const prosody = drawEmotionProsody(emotion, random);
    const seen = EMOTIONS.map((e) => logDensity(FACES[EMOTION_KINDS[e].face], expression, FACE_EXPRESSION));
    const heard = EMOTIONS.map((e) => logDensity(VOICES[EMOTION_KINDS[e].voice], prosody, PROSODY));
    face += shareOfBest(seen, truth);
    voice += shareOfBest(heard, truth);
    both += shareOfBest(
      seen.map((value, i) => value + heard[i]!),
      truth,
    );
  }
  return { face: face / clips, voice: voice / clips, both: both / clips, text: 1 / EMOTIONS.length };
}

function drawAll<Key extends string>(
  spreads: Readonly<Record<Key, Spread>>,
  random: Random,
): Record<Key, number> {
  const entries = Object.entries<Spread>(spreads).map(([key, spread]) => [key, random.normal(...spread)]);
  return Object.fromEntries(entries) as Record<Key, number>;
}

function logDensity<Key extends string>(
  spreads: Readonly<Record<Key, Spread>>,
  values: Readonly<Record<Key, number>>,
  keys: readonly Key[],
): number {
  let sum = 0;
  for (const key of keys) {
    const [mean, deviation] = spreads[key];
    sum -= 0.5 * ((values[key] - mean) / deviation) ** 2 + Math.log(deviation);
  }
  return sum;
}

/** Chance of hitting `truth` when one of the equally likely best is guessed. */
function shareOfBest(scores: readonly number[], truth: number): number {
  const best = Math.max(...scores);
  return scores[truth] === best ? 1 / scores.filter((score) => score === best).length : 0;
}

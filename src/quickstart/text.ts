import { EMOTIONS, type Emotion } from './emotions.ts';
import type { FaceExpression } from './face-motion.ts';
import type { Random, Split } from './random.ts';
import type { Prosody } from './voice.ts';

/** Other words for an emotion; no word belongs to two. */
export const SYNONYMS: Readonly<Record<Emotion, readonly string[]>> = {
  happy: ['cheerful', 'joyful', 'delighted'],
  calm: ['relaxed', 'peaceful', 'serene'],
  sad: ['unhappy', 'gloomy', 'sorrowful'],
  angry: ['furious', 'annoyed', 'irritated'],
  surprised: ['amazed', 'astonished', 'startled'],
  afraid: ['scared', 'fearful', 'anxious'],
};

const SUBJECTS = ['I', 'We', 'You', 'They', 'He', 'She'];
const VERBS = ['talked about', 'asked about', 'heard about', 'looked for', 'thought of', 'wrote about'];
const TOPICS = [
  'train',
  'dinner',
  'garden',
  'letter',
  'phone',
  'car',
  'book',
  'shop',
  'house',
  'table',
  'window',
  'picture',
] as const;
const TIMES = ['today', 'again', 'this morning', 'last week', 'on Monday', 'after lunch', 'at noon'];

export interface Subtitle {
  readonly text: string;
  readonly topic: string;
}

/**
 * Every sentence of one split, in a fixed order: they say nothing of how anybody feels. No test sentence occurs in
 * training or in the text that the decoder learns from, but each word of it does.
 */
export function allSubtitles(split: Split): Subtitle[] {
  const result: Subtitle[] = [];
  SUBJECTS.forEach((subject, s) => {
    VERBS.forEach((verb, v) => {
      TIMES.forEach((time, t) => {
        if (((s + v + t) % 3 === 0) !== (split === 'test')) return;
        for (const topic of TOPICS) result.push({ text: `${subject} ${verb} the ${topic} ${time}.`, topic });
      });
    });
  });
  return result;
}

/** What can be said of a face in one word each: brows, eyes, mouth, head. */
export interface FaceWords {
  readonly brows: 'raised' | 'lowered' | 'level';
  readonly eyes: 'wide' | 'narrow' | 'open';
  readonly mouth: 'smiling' | 'downturned' | 'gaping' | 'straight';
  readonly head: 'nodding' | 'turning' | 'still';
}

/** What can be said of a voice in one word each. */
export interface VoiceWords {
  readonly pitch: 'high' | 'low';
  readonly loudness: 'loud' | 'soft';
  readonly tempo: 'fast' | 'slow';
  readonly steadiness: 'trembling' | 'steady';
  readonly melody: 'lively' | 'flat';
  readonly clarity: 'breathy' | 'clear';
}

export function faceWords(face: FaceExpression): FaceWords {
  const gaping = face.mouthOpenness > 0.4 && Math.abs(face.mouthCurve) < 0.45;
  const bent = face.mouthCurve > 0.3 ? 'smiling' : face.mouthCurve < -0.3 ? 'downturned' : 'straight';
  const moving = Math.max(face.nod, face.shake) > 0.3;
  return {
    brows: face.browHeight > 0.35 ? 'raised' : face.browHeight < -0.25 ? 'lowered' : 'level',
    eyes: face.eyeOpenness > 0.82 ? 'wide' : face.eyeOpenness < 0.5 ? 'narrow' : 'open',
    mouth: gaping ? 'gaping' : bent,
    head: !moving ? 'still' : face.nod > face.shake ? 'nodding' : 'turning',
  };
}

export function voiceWords(voice: Prosody): VoiceWords {
  return {
    pitch: voice.pitchLevel > 1 ? 'high' : 'low',
    loudness: voice.energy > 0.6 ? 'loud' : 'soft',
    tempo: voice.tempo > 3.9 ? 'fast' : 'slow',
    steadiness: voice.tremor > 0.7 ? 'trembling' : 'steady',
    melody: voice.pitchRange > 2.6 ? 'lively' : 'flat',
    clarity: voice.breathiness > 0.35 ? 'breathy' : 'clear',
  };
}

/** The emotion's own word first, then one or two of its synonyms. */
export function drawLabels(emotion: Emotion, random: Random): string[] {
  return [emotion, ...random.shuffle(SYNONYMS[emotion]).slice(0, 1 + random.integer(2))];
}

/** A reasoned paragraph in the manner of the published descriptions: text, video, audio, conclusion. */
export function describe(emotion: Emotion, topic: string, face: FaceWords, voice: VoiceWords): string {
  return (
    `In the text, the subtitle is about the ${topic}. ` +
    `In the video, the brows are ${face.brows}, the eyes are ${face.eyes}, the mouth is ${face.mouth} and the head is ${face.head}. ` +
    `In the audio, the voice is ${voice.pitch}, ${voice.loudness}, ${voice.tempo} and ${voice.steadiness}. ` +
    `These clues suggest that the person feels ${emotion}.`
  );
}

const EMOTION_OF_WORD: ReadonlyMap<string, Emotion> = new Map(
  EMOTIONS.flatMap((emotion) => [emotion, ...SYNONYMS[emotion]].map((word) => [word, emotion] as const)),
);

/**
 * The emotion that an answer names: that of its first emotion word, synonyms counted as their emotion. The words of
 * descriptions about faces and voices are none of them, so this reads both kinds of answer.
 */
export function readEmotion(answer: string): Emotion | undefined {
  for (const [word] of answer.toLowerCase().matchAll(/[a-z]+/g)) {
    const emotion = EMOTION_OF_WORD.get(word);
    if (emotion !== undefined) return emotion;
  }
  return undefined;
}

import { answerText, buildPrompt, type PromptMode, placeholders, questionText } from '../data/prompts.ts';
import { drawEmotionProsody, drawExpression, EMOTIONS } from './emotions.ts';
import type { Random } from './random.ts';
import { allSubtitles, describe, drawLabels, faceWords, type Subtitle, voiceWords } from './text.ts';

/** One exchange in the published prompt format. The answer is to be followed by the stop text. */
export interface Lesson {
  readonly prompt: string;
  readonly answer: string;
}

/** Which prompts the decoder learns to read: the first, with everything, more often than the others. */
const MODES = [
  'multiframe_audio_frame_text',
  'frame',
  'audioonly',
  'frameonly',
  'textonly',
] as const satisfies readonly PromptMode[];

/**
 * Draws the text from which the decoder learns its language, before it ever meets a clip: questions and answers in
 * which words such as `smiling` or `trembling` stand where the vectors of faces and voices will be. What it takes
 * from them is what any language model knows beforehand: how prompts and answers read, and that somebody who
 * smiles and speaks loud and fast would be called happy. No picture, no sound and no clip's label goes in.
 */
export class LessonWriter {
  readonly #random: Random;
  readonly #subtitles: readonly Subtitle[];

  constructor(random: Random) {
    this.#random = random;
    this.#subtitles = allSubtitles('train');
  }

  next(): Lesson {
    const random = this.#random;
    const emotion = random.pick(EMOTIONS);
    const face = faceWords(drawExpression(emotion, random));
    const voice = voiceWords(drawEmotionProsody(emotion, random));
    const subtitle = random.pick(this.#subtitles);
    const type = random.pick(['ovlabel', 'description'] as const);
    // Both kinds are there, so there is an answer.
    const answer = answerText(type, {
      labels: drawLabels(emotion, random),
      description: describe(emotion, subtitle.topic, face, voice),
    })!;
    const seen = Object.values(face);
    const heard = Object.values(voice);
    const mode = random.chance(0.4) ? MODES[0] : random.pick(MODES);
    const prompt = buildPrompt(mode, subtitle.text, questionText(type))
      .replace(placeholders.multi, this.#facts([...seen, ...heard]))
      .replace(placeholders.audio, this.#facts(heard))
      .replace(placeholders.frame, this.#facts(seen));
    return { prompt, answer };
  }

  /** Some of the words in any order, down to a single one: later a single vector stands in their place. */
  #facts(words: readonly string[]): string {
    const random = this.#random;
    if (random.chance(0.1)) return '';
    const count = random.chance(0.4) ? 1 : 1 + random.integer(words.length);
    const chosen = random.shuffle(words).slice(0, count);
    return chosen.map((word) => ` ${word}`).join('');
  }
}

import type { InputModeName, SlotName } from '../../model/modes.ts';
import type { ANSWER_TYPES, LabelType } from '../config/data.ts';
import { RandomGenerator } from '../engine/random.ts';
import { InputError } from '../errors.ts';

/** Placeholders in the order in which the published code adds them to a tokenizer. */
export const placeholders = {
  image: '<ImageHere>',
  audio: '<AudioHere>',
  frame: '<FrameHere>',
  face: '<FaceHere>',
  multi: '<MultiHere>',
} as const satisfies Record<SlotName, string>;

const humanTurn = '###Human: ';
/** Ends an answer in training, and generation stops at it. */
export const stopText = '###';

/** One sentence of a prompt about each modality; names end in what tells the variants of wording apart. */
const sentences = {
  multi: `The audio and video merged info is: <Multi>${placeholders.multi}</Multi>. `,
  audio: `The audio content is as follows: <Audio>${placeholders.audio}</Audio>. `,
  faceAfter: `Meanwhile, we uniformly sample raw frames from the video and extract faces from these frames: <Video>${placeholders.face}</Video>. `,
  frameAfter: `Meanwhile, we uniformly sample raw frames from the video: <Video>${placeholders.frame}</Video>. `,
  faceAlso: `Additionally, we uniformly sample raw frames from the video and extract faces from these frames: <Video>${placeholders.face}</Video>. `,
  faceFirst: `We uniformly sample raw frames from the video and extract faces from these frames: <Video>${placeholders.face}</Video>. `,
  frameFirst: `We uniformly sample raw frames from the video: <Video>${placeholders.frame}</Video>. `,
  // Lower case in the published code.
  frameFirstLower: `we uniformly sample raw frames from the video: <Video>${placeholders.frame}</Video>. `,
  image: `The image content is as follows: <Image>${placeholders.image}</Image>. `,
} as const;

/** The published `face_or_frame` modes. */
export type PromptMode = InputModeName;

interface Wording {
  readonly sentences: readonly (keyof typeof sentences)[];
  readonly subtitle?: boolean;
  /** Whether the prompt opens a turn of the user; the published single-modality comparisons leave that out. */
  readonly human?: boolean;
}

/** How each mode words its slots (`inputModes` in model/modes.ts says which features they need). */
const wordings: Readonly<Record<PromptMode, Wording>> = {
  multiface_audio_face_text: { sentences: ['multi', 'audio', 'faceAfter'] },
  multiframe_audio_frame_text: { sentences: ['multi', 'audio', 'frameAfter'] },
  multiface_audio_face_frame_text: { sentences: ['multi', 'audio', 'faceAfter', 'frameAfter'] },
  multiface_text: { sentences: ['multi'] },
  face: { sentences: ['audio', 'faceAfter'] },
  frame: { sentences: ['audio', 'frameAfter'] },
  faceframe: { sentences: ['audio', 'frameAfter', 'faceAlso'] },
  audioonly: { sentences: ['audio'], subtitle: false },
  textonly: { sentences: [] },
  faceonly: { sentences: ['faceFirst'], subtitle: false },
  frameonly: { sentences: ['frameFirst'], subtitle: false },
  image: { sentences: ['image'], subtitle: false },
  audio_text: { sentences: ['audio'], human: false },
  face_text: { sentences: ['faceFirst'], human: false },
  frame_text: { sentences: ['frameFirstLower'], human: false },
};

/**
 * The prompt of a mode, verbatim as published, one placeholder for each modality.
 *
 * @param subtitle what was said; empty where nothing is known
 */
export function buildPrompt(mode: PromptMode, subtitle: string, question: string): string {
  const wording = wordings[mode];
  return [
    wording.human === false ? '' : humanTurn,
    ...wording.sentences.map((sentence) => sentences[sentence]),
    wording.subtitle === false ? '' : `The subtitle of this video is: <Subtitle>${subtitle}</Subtitle>. `,
    `Now, please answer my question based on all the provided information. ${question} ${stopText}Assistant: `,
  ].join('');
}

export type PublishedAnswerType = (typeof ANSWER_TYPES)[number];
/** `own` is the question and the answer that a sample brings itself. */
export type AnswerType = PublishedAnswerType | 'own';

/** What is known about a sample that can be asked for. */
export interface Annotations {
  readonly labels?: readonly string[];
  readonly description?: string;
  readonly sentiment?: string;
  readonly valence?: number;
  /** To the question that the sample brings itself. */
  readonly answer?: string;
}

/** What some questions need to know about the data set as a whole. */
export interface AnswerSpace {
  /** For `onehot_w_candidates`, in the order in which they are listed to the model. */
  readonly candidates?: readonly string[];
  /** For `valence`: the smallest and largest value. */
  readonly valenceRange?: readonly [number, number];
}

/** A number as Python prints a float: `3.0`, not `3`. */
const floatText = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value));

/** Two decimals, ties to even as Python rounds them (`0.125` gives `0.12`). */
function twoDecimals(value: number): string {
  // Ties exist only for odd multiples of an eighth, which doubles hold exactly.
  const isTie = Math.abs(value * 8) % 2 === 1;
  if (!isTie) return value.toFixed(2);
  const floor = Math.floor(value * 100);
  return ((floor % 2 === 0 ? floor : floor + 1) / 100).toFixed(2);
}

/**
 * The question of a kind, verbatim as published.
 *
 * @throws InputError `ANSWER_SPACE_MISSING` where the question lists candidates or a range that are not given
 */
export function questionText(type: PublishedAnswerType, space: AnswerSpace = {}): string {
  switch (type) {
    case 'description':
      return "Please infer the person's emotional state and provide your reasoning process.";
    case 'ovlabel':
      return 'Please recognize all possible emotional states of the character.';
    case 'onehot_w_candidates': {
      const candidates = (space.candidates ?? []).join(',');
      if (candidates === '') throw spaceMissing(type, 'a list of candidate labels');
      return `Please select the label that can best describe the person's emotional state from the provided candidate labels: ${candidates}.`;
    }
    case 'onehot_wo_candidates':
      return "Please recognize the character's most likely emotional state.";
    case 'sentiment':
      return "Please select the most likely sentiment label that can best describe the person's emotional state: positive, negative, neutral.";
    case 'valence': {
      if (space.valenceRange === undefined) throw spaceMissing(type, 'the range of the valence scores');
      const [low, high] = space.valenceRange.map(floatText);
      // The published text holds the ligature U+FB02 in "floating".
      const number = '\ufb02oating-point number';
      return (
        'Please identify the overall positive or negative emotional polarity of the main characters. ' +
        `The output should be a ${number} ranging from ${low} to ${high}. Here, ${low} indicates extremely negative ` +
        `emotions, 0 indicates neutral emotions, and ${high} indicates extremely positive emotions. ` +
        `Please provide your judgment as a ${number}.`
      );
    }
  }
}

const spaceMissing = (type: AnswerType, what: string): InputError =>
  new InputError('ANSWER_SPACE_MISSING', `Label type "${type}" needs ${what}, which the data do not give.`);

/**
 * What the answer of a kind says, without the sentence around it, or undefined where the sample has none. One-hot kinds
 * need exactly one label.
 */
export function answerContent(
  type: AnswerType,
  { labels = [], description, sentiment, valence, answer }: Annotations,
): string | undefined {
  switch (type) {
    case 'description':
      return description;
    case 'ovlabel':
      return labels.length > 0 ? labels.join(', ') : undefined;
    case 'onehot_w_candidates':
    case 'onehot_wo_candidates':
      return labels.length === 1 ? labels[0] : undefined;
    case 'sentiment':
      return sentiment;
    case 'valence':
      return valence === undefined ? undefined : twoDecimals(valence);
    case 'own':
      return answer;
  }
}

/** The sentence that says it, verbatim as published; a sample's own answer stands alone. */
export function answerSentence(type: AnswerType, content: string): string {
  switch (type) {
    case 'description':
    case 'own':
      return content;
    case 'ovlabel':
    case 'onehot_wo_candidates':
      return `The character's emotional state is ${content}.`;
    case 'onehot_w_candidates':
      return `The most likely label is ${content}.`;
    case 'sentiment':
      return `The character's sentiment state is ${content}.`;
    case 'valence':
      return `The valence score is ${content}.`;
  }
}

/** The published answer of a kind, or undefined where the sample has none. */
export function answerText(type: AnswerType, annotations: Annotations): string | undefined {
  const content = answerContent(type, annotations);
  return content === undefined ? undefined : answerSentence(type, content);
}

/** The emotion words of an answer in the published list sentence, or undefined for any other text. */
export function answerLabels(text: string): string[] | undefined {
  const list = /^The character's emotional state is (.+?)\.?$/s.exec(text)?.[1];
  const labels = list
    ?.split(',')
    .map((label) => label.trim())
    .filter((label) => label !== '');
  return labels?.length ? labels : undefined;
}

/**
 * The kinds of answer that a label type may draw for a sample: the kind itself, or for `hybird` description and
 * label list, and where a sample has neither, valence and sentiment (as the published sets combine them).
 */
export function answerTypesOf(labelType: LabelType, annotations: Annotations): AnswerType[] {
  const has = (type: AnswerType): boolean => answerContent(type, annotations) !== undefined;
  if (labelType !== 'hybird') return [labelType].filter(has);
  const words = (['description', 'ovlabel'] as const).filter(has);
  return words.length > 0 ? words : (['valence', 'sentiment'] as const).filter(has);
}

/**
 * Draws one of the kinds, evenly: a function of (seed, epoch, name) only, so that it does not depend on the order
 * of samples, on workers or on where a run was resumed.
 */
export function drawAnswerType(
  types: readonly AnswerType[],
  { seed, epoch, name }: { readonly seed: number; readonly epoch: number; readonly name: string },
): AnswerType | undefined {
  if (types.length < 2) return types[0];
  const random = new RandomGenerator(seed).split('labelType').split(String(epoch)).split(name);
  return types[random.integer(types.length)];
}

import { MMLA_PROMPTS } from '../../config/mmla.ts';
import type { MmlaSplit, MmlaTask, MmlaTaskKey } from './tasks.ts';

/**
 * Wordings of the question about an utterance. `fixed` is one prompt for training and inference; the others are those of the
 * paper and its scripts, each with its quirks:
 *
 * - `paper`: the template of Appendix D, its only line break where all stored prompts have theirs, after the question mark
 * - `mmla-train`: what the video models were trained on (LLaMA-Factory), without the media token
 * - `mmla-infer`: what the released inference scripts ask all models: a full stop added after any utterance, no space before
 *   "Respond", two after it. For CH-SIMS four of the five scripts leave out `neutral`; here all labels are offered
 * - `mmla-text`: what the language models were trained on (LLaMA-Factory text)
 */
export const mmlaPromptPresets = MMLA_PROMPTS;
export type MmlaPromptPreset = (typeof mmlaPromptPresets)[number];

/** The released files that hold prompts, by the framework that they were made for. */
export const mmlaPromptLayouts = [
  'llamafactory',
  'llamafactory-text',
  'llava',
  'videollama2',
  'swift',
] as const;
export type MmlaPromptLayout = (typeof mmlaPromptLayouts)[number];

/** Where the video goes: what stored prompts begin with. */
const mediaTokens: Readonly<Record<MmlaPromptLayout, string>> = {
  llamafactory: '<video>',
  'llamafactory-text': '',
  llava: '<image>\n',
  videollama2: '<video>\n',
  swift: '',
};

/** Which stored prompt: files of ms-swift differ between splits. */
export interface StoredPromptKind {
  readonly layout: MmlaPromptLayout;
  readonly split: MmlaSplit;
}

const videoOpening = 'You are presented with a video in which the speaker says: ';
const textOpening = 'The speaker says: ';

/** Of Anno-MI in the files for text, and of ms-swift for training. */
const annoMiWords: Partial<Record<MmlaTaskKey, string>> = {
  'AnnoMi-client': 'talk_type',
  'AnnoMi-therapist': 'therapist_behaviour',
};

/** What the LLaMA-Factory text files of some tasks do differently. */
interface TextQuirks {
  readonly capitalCandidates?: boolean;
  readonly capitalGold?: boolean;
  /** After the full stop before "Only". */
  readonly space?: boolean;
}

const textQuirks: Partial<Record<MmlaTaskKey, TextQuirks>> = {
  MIntRec: { capitalCandidates: true, capitalGold: true, space: true },
  'MIntRec2.0': { capitalCandidates: true, capitalGold: true, space: true },
  MELD: { space: true },
  'MELD-DA': { space: true },
  IEMOCAP: { capitalGold: true },
  'Ch-sims': { capitalGold: true },
};

const capital = (label: string): string => label.charAt(0).toUpperCase() + label.slice(1);
const listOf = (labels: readonly string[]): string => `[${labels.join(', ')}]`;

/** The words by which prompts and golds of a task name what is asked for; the first is the dimension itself. */
export function taskWords(task: MmlaTask): string[] {
  const special = annoMiWords[task.key];
  return [...new Set([task.dimension, task.taskKey, ...(special === undefined ? [] : [special])])];
}

function storedTaskWord(task: MmlaTask, { layout, split }: StoredPromptKind): string {
  if (layout === 'llamafactory' || layout === 'videollama2') return task.dimension;
  const special = layout === 'llamafactory-text' || (layout === 'swift' && split !== 'test');
  return (special ? annoMiWords[task.key] : undefined) ?? task.taskKey;
}

interface Wording {
  readonly opening: string;
  /** Between the utterance and the question. */
  readonly joint: string;
  /** What the answer is to be based on. */
  readonly basis: string;
  readonly word: string;
  readonly candidates: string;
  /** From the end of the list of candidates on. */
  readonly ending: string;
}

const questionOf = (text: string, { opening, joint, basis, word, candidates, ending }: Wording): string =>
  `${opening}${text}${joint}Based on the ${basis}, what is the ${word} of this speaker?\n` +
  `The candidate labels for ${word} are: ${candidates}${ending}`;

const allSenses = 'text, video, and audio content';

/**
 * The prompt of a released file, byte for byte, its media token included.
 *
 * @param text the utterance as it stands there, with its own punctuation
 */
export function storedPrompt(task: MmlaTask, text: string, kind: StoredPromptKind): string {
  const word = storedTaskWord(task, kind);
  const respond = `. Respond in the format: '${word}: [label]'.`;
  const only = 'Only one label should be provided.';
  if (kind.layout === 'llamafactory-text') {
    const { capitalCandidates = false, space = false } = textQuirks[task.key] ?? {};
    return questionOf(text, {
      opening: textOpening,
      joint: ' ',
      basis: 'text',
      word,
      candidates: listOf(capitalCandidates ? task.labels.map(capital) : task.labels),
      ending: `${respond}${space ? ' ' : ''}${only}`,
    });
  }
  const iemocap = kind.layout === 'swift' && task.key === 'IEMOCAP';
  const fused = kind.layout === 'swift' && task.key === 'AnnoMi-therapist' && kind.split !== 'test';
  return questionOf(text, {
    opening: `${mediaTokens[kind.layout]}${videoOpening}`,
    joint: iemocap ? '.' : ' ',
    basis: iemocap ? 'text' : allSenses,
    word,
    candidates: fused ? `[${task.labels.join('')}]` : listOf(task.labels),
    ending: `${respond} ${only}`,
  });
}

/** The gold answer of a released file, byte for byte. */
export function storedAnswer(task: MmlaTask, label: string, kind: StoredPromptKind): string {
  const isCapital =
    kind.layout === 'llamafactory-text'
      ? textQuirks[task.key]?.capitalGold === true
      : kind.layout === 'swift' && task.key === 'IEMOCAP';
  return `${storedTaskWord(task, kind)}: ${isCapital ? capital(label) : label}`;
}

const trainKind = { layout: 'llamafactory', split: 'train' } as const;
const textKind = { layout: 'llamafactory-text', split: 'train' } as const;

/**
 * What is asked about an utterance, without any media token: the same in training and inference.
 *
 * `fixed` speaks of no video, so that it holds for whatever a model is given besides the text.
 */
export function mmlaPrompt(task: MmlaTask, text: string, preset: MmlaPromptPreset): string {
  const { dimension: word } = task;
  const candidates = listOf(task.labels);
  switch (preset) {
    case 'fixed':
      return (
        `A speaker says: "${text}"\nWhat is the ${word} of this speaker? The candidate labels are: ${candidates}.\n` +
        `Answer with exactly one of them in the format '${word}: [label]'.`
      );
    case 'paper':
      return questionOf(text, {
        opening: videoOpening,
        joint: '. ',
        basis: 'textual, visual, and audio content',
        word,
        candidates,
        ending: `. Respond in the following format: ${word}: label. Only one label should be provided.`,
      });
    case 'mmla-train':
      return storedPrompt(task, text, trainKind).slice(mediaTokens.llamafactory.length);
    case 'mmla-infer':
      return questionOf(text, {
        opening: videoOpening,
        joint: '. ',
        basis: allSenses,
        word,
        candidates,
        ending: `.Respond in the format: '${word}: [label]'.  Only one label should be provided.`,
      });
    case 'mmla-text':
      return storedPrompt(task, text, textKind);
  }
}

/**
 * The gold answer to the prompt of a preset, such as `dialogue act: greeting`.
 *
 * @param label one of the task's, as the registry spells it
 */
export function mmlaAnswer(task: MmlaTask, label: string, preset: MmlaPromptPreset): string {
  return storedAnswer(task, label, preset === 'mmla-text' ? textKind : trainKind);
}

import { taskWords } from './prompts.ts';
import type { MmlaTask } from './tasks.ts';
import { mmlaTasks } from './tasks.ts';

/** What a stored prompt asks. */
export interface StoredPrompt {
  /** The utterance, with its own punctuation and white space. */
  readonly text: string;
  /** As the prompt spells it, such as `speaking_style`; absent where its wording is unknown. */
  readonly taskWord?: string;
  /** The labels that it lists; one word where a file runs them together; absent where its wording is unknown. */
  readonly offered?: readonly string[];
  /** Whether it asks about the text alone and never speaks of a video. */
  readonly isTextOnly: boolean;
}

const opening = /^.*?says: ?/s;
const closing = 'Based on the text';

/** What the words after an utterance say. */
interface Question extends Pick<StoredPrompt, 'taskWord' | 'offered'> {
  readonly words: string;
  /** What joins it to the utterance. */
  readonly joint: RegExp;
}

function readQuestion(words: string): Question {
  const addsFullStop = words.startsWith('Based on the textual') || words.includes('].Respond in the format');
  const taskWord = /what is the (.+?) of this speaker/.exec(words)?.[1];
  const list = /are: \[(.*?)\]/s.exec(words)?.[1];
  return {
    words,
    joint: addsFullStop ? /\.? ?$/ : / $|\.$/,
    ...(taskWord === undefined ? {} : { taskWord }),
    ...(list === undefined ? {} : { offered: labelsIn(list) }),
  };
}

/** The last one is kept: all rows of a file ask the same. */
let lastQuestion = readQuestion('');

function questionOf(words: string): Question {
  if (words !== lastQuestion.words) lastQuestion = readQuestion(words);
  return lastQuestion;
}

/**
 * Finds the utterance in a prompt of any released file or preset of the paper: between the first `says:` and the last
 * `Based on the text…`, whatever stands in it.
 *
 * The sign that joins the two is cut off and nothing else: a space, a full stop (ms-swift's IEMOCAP), or both where the
 * wording is that of the paper or the inference scripts, which add a full stop.
 *
 * @returns undefined where the wording is another one
 */
export function parseStoredPrompt(prompt: string): StoredPrompt | undefined {
  const begin = opening.exec(prompt)?.[0];
  const end = prompt.lastIndexOf(closing);
  if (begin === undefined || end < begin.length) return undefined;
  const { joint, words: _, ...asked } = questionOf(prompt.slice(end));
  return {
    text: prompt.slice(begin.length, end).replace(joint, ''),
    isTextOnly: begin.startsWith('The speaker'),
    ...asked,
  };
}

/** Labels of a list, quotes of a Python literal dropped. */
function labelsIn(list: string): string[] {
  return list
    .split(',')
    .map((label) => label.trim().replace(/^(['"])(.*)\1$/s, '$2'))
    .filter((label) => label !== '');
}

/** One form for lists in any order and spelling, and for the labels run together. */
const listKey = (labels: readonly string[]): string =>
  labels
    .map((label) => label.toLowerCase())
    .toSorted()
    .join(',');

const offers = (task: MmlaTask, offered: readonly string[]): boolean =>
  listKey(offered) === listKey(task.labels) || offered.join('').toLowerCase() === task.labels.join('');

const spaced = (word: string): string => word.toLowerCase().replaceAll('_', ' ');

/** Whether a prompt names some of a task's labels and no others. */
const offersSome = (task: MmlaTask, offered: readonly string[]): boolean =>
  offered.every((label) => task.labels.includes(label.toLowerCase()));

/** What is wrong where a prompt asks something else than its task does; undefined where it asks just that. */
export function promptFault(task: MmlaTask, { taskWord, offered }: StoredPrompt): string | undefined {
  if (taskWord !== undefined && !taskWords(task).map(spaced).includes(spaced(taskWord))) {
    return `asks for the ${taskWord} and not for the ${task.dimension}${elsewhere(task, offered)}`;
  }
  if (offered === undefined || offers(task, offered)) return undefined;
  const others = elsewhere(task, offered);
  return others === '' && offersSome(task, offered)
    ? undefined
    : `offers the labels ${offered.join(', ')} and not those of ${task.key} (${task.labels.join(', ')})${others}`;
}

/** Whose labels these are, where they are those of other tasks. */
function elsewhere(task: MmlaTask, offered: readonly string[] | undefined): string {
  if (offered === undefined) return '';
  const keys = mmlaTasks.filter((other) => other !== task && offers(other, offered)).map(({ key }) => key);
  return keys.length === 0 ? '' : `: it belongs to ${keys.join(' or ')}`;
}

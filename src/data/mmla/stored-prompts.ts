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
  const question = prompt.slice(end);
  const addsFullStop =
    question.startsWith('Based on the textual') || question.includes('].Respond in the format');
  const joined = prompt.slice(begin.length, end);
  const joint = addsFullStop ? /\.? ?$/ : / $|\.$/;
  const taskWord = /what is the (.+?) of this speaker/.exec(question)?.[1];
  const list = /are: \[(.*?)\]/s.exec(question)?.[1];
  return {
    text: joined.replace(joint, ''),
    isTextOnly: begin.startsWith('The speaker'),
    ...(taskWord === undefined ? {} : { taskWord }),
    ...(list === undefined ? {} : { offered: labelsIn(list) }),
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

/** What is wrong where a prompt asks something else than its task does; undefined where it asks just that. */
export function promptFault(task: MmlaTask, { taskWord, offered }: StoredPrompt): string | undefined {
  if (taskWord !== undefined && !taskWords(task).includes(taskWord.toLowerCase())) {
    return `asks for the ${taskWord} and not for the ${task.dimension}${elsewhere(task, offered)}`;
  }
  if (offered !== undefined && !offers(task, offered)) {
    return `offers the labels ${offered.join(', ')} and not those of ${task.key} (${task.labels.join(', ')})${elsewhere(task, offered)}`;
  }
  return undefined;
}

/** Whose labels these are, where they are those of other tasks. */
function elsewhere(task: MmlaTask, offered: readonly string[] | undefined): string {
  if (offered === undefined) return '';
  const keys = mmlaTasks.filter((other) => other !== task && offers(other, offered)).map(({ key }) => key);
  return keys.length === 0 ? '' : `: it belongs to ${keys.join(' or ')}`;
}

import type { MmlaTask } from '../../data/mmla/tasks.ts';

/** What an answer is taken for that names no label, or several; under the published rule both are classes. */
export const invalidAnswers = ['unknown', 'multi'] as const;

/** Letters and numbers of all scripts and the underscore: `\w` of Python's `re`. Marks such as U+0307 are none. */
const wordCharacter = /[\p{L}\p{N}_]/u;

/** @param code code point; undefined at an end of the text */
function isWordCharacter(code: number | undefined): boolean {
  if (code === undefined) return false;
  if (code < 0x80) {
    return (
      (code >= 0x61 && code <= 0x7a) ||
      (code >= 0x30 && code <= 0x39) ||
      code === 0x5f ||
      (code >= 0x41 && code <= 0x5a)
    );
  }
  return wordCharacter.test(String.fromCodePoint(code));
}

function codePointBefore(text: string, index: number): number | undefined {
  if (index === 0) return undefined;
  const last = text.charCodeAt(index - 1);
  // A low surrogate: the second half of a code point, unless it stands alone.
  if (last < 0xdc00 || last > 0xdfff || index === 1) return last;
  const pair = text.codePointAt(index - 2)!;
  return pair > 0xffff ? pair : last;
}

/** As `re.search(rf'(?<!\w){re.escape(label)}(?!\w)', text)` of Python: the label as a word of its own. */
function standsAlone(text: string, label: string): boolean {
  for (let at = text.indexOf(label); at !== -1; at = text.indexOf(label, at + 1)) {
    if (isWordCharacter(text.codePointAt(at + label.length))) continue;
    if (!isWordCharacter(codePointBefore(text, at))) return true;
  }
  return false;
}

/**
 * What a model's answer is taken for, by the rule of the published evaluation (`clean` of its `eval.py`): the text in lower
 * case is searched for each label as a word of its own. There is no first or last label, no removal of `emotion:`, no
 * synonym: `The emotion is surprised.` names no label, and `not joy but anger` names two.
 *
 * Lower case and word characters are those of Python; they differ only where a newer Unicode knows more characters.
 *
 * @param text empty where the model said nothing
 * @returns the one label that is found, `unknown` for none, `multi` for several different ones
 */
export function parseMmlaAnswer(task: Pick<MmlaTask, 'labels'>, text: string): string {
  const lower = text.toLowerCase();
  let found: string | undefined;
  for (const label of task.labels) {
    if (!standsAlone(lower, label)) continue;
    if (found !== undefined) return 'multi';
    found = label;
  }
  return found ?? 'unknown';
}

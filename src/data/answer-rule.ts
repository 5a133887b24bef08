/** How the text of an answer is cut out of everything that was generated, in this order. */
export interface AnswerRule {
  /** Where the text contains it: what stands between its first and its second occurrence. */
  readonly startText: string | null;
  /** What stands before the first occurrence of each. */
  readonly endTexts: readonly string[];
  /** What stands before it. */
  readonly stopText: string | null;
  readonly stopAt: 'first' | 'last';
  /** What stands after its last occurrence. */
  readonly afterText: string | null;
}

/** The answer in a generated text, without white space around it. */
export function cutAnswer(generated: string, rule: AnswerRule): string {
  const { startText, endTexts, stopText, stopAt, afterText } = rule;
  let text = generated;
  if (startText !== null) text = text.split(startText)[1] ?? text;
  for (const end of endTexts) text = text.split(end)[0]!;
  if (stopText !== null) {
    const cut = stopAt === 'first' ? text.indexOf(stopText) : text.lastIndexOf(stopText);
    if (cut >= 0) text = text.slice(0, cut);
  }
  if (afterText !== null) text = text.split(afterText).at(-1)!;
  return text.trim();
}

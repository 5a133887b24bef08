import type { Config } from '../config/schema.ts';
import { renderTemplate } from '../config/template.ts';
import { type AnswerType, answerSentence, buildPrompt, type PromptMode } from './prompts.ts';
import type { SequenceEnd } from './sequence.ts';
import type { StopSpelling } from './tokenizer.ts';

/** How samples are worded, from the start token to what ends an answer: the published way, or an own template. */
export interface PromptFormat {
  /** @param subtitle what was said; empty where nothing is known */
  prompt(subtitle: string, question: string): string;
  /** @param content as `answerContent` gives it */
  answer(type: AnswerType, content: string): string;
  /** Whether the tokenizer's start token opens a sequence: a training one, and one that the model is to go on with. */
  readonly begin: { readonly training: boolean; readonly asking: boolean };
  /** Whether a tokenizer without a start token is an error; the published code goes without. */
  readonly needsStartToken: boolean;
  readonly end: SequenceEnd;
  /** What ends a generated answer. */
  readonly stop: StopSpelling;
}

/** The format that a configuration asks for. */
export function promptFormat(config: {
  readonly inputs: PromptMode;
  readonly template: Config['data']['template'];
  readonly compat: Pick<Config['compat'], 'bosAtInference' | 'stopSequences'>;
}): PromptFormat {
  const { inputs, template, compat } = config;
  if (template === null) {
    return {
      prompt: (subtitle, question) => buildPrompt(inputs, subtitle, question),
      answer: answerSentence,
      begin: { training: true, asking: compat.bosAtInference },
      needsStartToken: false,
      end: 'published',
      stop: compat.stopSequences,
    };
  }
  const { prompt, answer, begin, end } = template;
  return {
    prompt: (subtitle, question) => renderTemplate(prompt, { subtitle, question }),
    answer: (_, label) => renderTemplate(answer, { label }),
    begin: { training: begin, asking: begin },
    needsStartToken: begin,
    end,
    stop: end === 'published' ? compat.stopSequences : 'end',
  };
}

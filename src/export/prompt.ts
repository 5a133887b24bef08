import { type AffectGptConfig, placeholderRuns } from '../../model/affectgpt.ts';
import type { SlotName } from '../../model/modes.ts';
import type { PlaceholderRun } from '../../model/splice.ts';
import type { PromptFormat } from '../data/prompt-format.ts';
import { placeholders } from '../data/prompts.ts';
import type { PromptTokenizer } from '../data/tokenizer.ts';
import type { PromptSegment } from './manifest.ts';

/** Stand for what is put in; private characters that no template holds. */
const marks = { subtitle: '\ue000', question: '\ue001' } as const;

/** The prompt of a format, divided into what is fixed and what is put in. */
export function promptSegments(
  format: PromptFormat,
  model: AffectGptConfig,
  tokenizer: PromptTokenizer,
): PromptSegment[] {
  const runs: PlaceholderRun[] = placeholderRuns(model, tokenizer.placeholderIds);
  const slots = model.mode.slots.map((slot: SlotName, i) => ({
    slot,
    placeholder: placeholders[slot],
    ...runs[i]!,
  }));
  const parts = format.prompt(marks.subtitle, marks.question).split(/([\ue000\ue001]|<\w+Here>)/);
  return parts
    .filter((text) => text !== '')
    .map((text): PromptSegment => {
      if (text === marks.subtitle) return { field: 'subtitle' };
      if (text === marks.question) return { field: 'question' };
      return slots.find(({ placeholder }) => placeholder === text) ?? { text };
    });
}

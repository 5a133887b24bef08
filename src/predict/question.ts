import type { Config } from '../config/schema.ts';
import { fieldsOf } from '../config/template.ts';
import { questionText } from '../data/prompts.ts';

/** Whether the prompt of a configuration has a place for a question. */
export const asksQuestion = ({ data }: Pick<Config, 'data'>): boolean =>
  data.template === null || fieldsOf(data.template.prompt).includes('question');

/** What is asked where nobody says what: the published question for all emotional states. Empty where nothing is asked. */
export const defaultQuestion = (config: Pick<Config, 'data'>): string =>
  asksQuestion(config) ? questionText('ovlabel') : '';

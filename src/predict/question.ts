import type { Config } from '../config/schema.ts';
import { fieldsOf } from '../config/template.ts';
import { questionText } from '../data/prompts.ts';
import { listFaults, type SampleRecord } from '../data/records.ts';
import type { Question } from '../data/source.ts';
import { InputError } from '../errors.ts';

/** Whether the prompt of a configuration has a place for a question. */
export const asksQuestion = ({ data }: Pick<Config, 'data'>): boolean =>
  data.template === null || fieldsOf(data.template.prompt).includes('question');

/**
 * What a run asks about records where nobody says what: after a training with `data.labelType: own` each record its own
 * question, otherwise all the default one.
 *
 * @throws InputError `QUESTION_MISSING` with every record that has none of its own
 */
export function questionAbout(config: Pick<Config, 'data'>, records: readonly SampleRecord[]): Question {
  if (config.data.labelType !== 'own' || !asksQuestion(config)) return defaultQuestion(config);
  const own = new Map(records.map(({ name, question }) => [name, question]));
  const without = records.filter(({ question }) => question === undefined);
  if (without.length === 0) return (name) => own.get(name)!;
  const faults = without.map(({ origin, name }) => `${origin}: sample "${name}"`);
  throw new InputError(
    'QUESTION_MISSING',
    `The model learnt to answer the samples' own questions (data.labelType "own"), and ${without.length} of ${records.length} bring none: ${listFaults(faults)}. Give each a "question", or ask all the same with --question.`,
  );
}

/** What is asked where nobody says what: the published question for all emotional states. Empty where nothing is asked. */
export const defaultQuestion = (config: Pick<Config, 'data'>): string =>
  asksQuestion(config) ? questionText('ovlabel') : '';

import type { MmlaPromptPreset } from '../../../data/mmla/prompts.ts';
import { mmlaAnswer } from '../../../data/mmla/prompts.ts';
import type { MmlaTask } from '../../../data/mmla/tasks.ts';
import { likeliest } from '../../choices.ts';
import type { MmlaAnswer } from './answerer.ts';

/** The gold answer of each label of a task, in the order of the labels. */
export const goldAnswers = ({ labels, ...task }: MmlaTask, preset: MmlaPromptPreset): string[] =>
  labels.map((label) => mmlaAnswer({ ...task, labels }, label, preset));

/**
 * The answer that says the likeliest label; the first one of equals.
 * @param scores log-likelihood of each gold answer, in the order of the labels
 */
export function chosenAnswer(
  task: MmlaTask,
  preset: MmlaPromptPreset,
  name: string,
  scores: Float64Array,
): MmlaAnswer {
  const byLabel = Object.fromEntries(task.labels.map((label, i) => [label, scores[i]!]));
  const label = likeliest(task.labels, scores);
  return { name, text: mmlaAnswer(task, label, preset), finish: 'chosen', scores: byLabel };
}

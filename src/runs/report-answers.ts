import { escapeHtml } from '../report/page.ts';
import type { RunRecord } from './read-run.ts';
import type { Validation } from './run-files.ts';

/** Clips that are shown, and validations of each: the first, the last, and others evenly between. */
const mostClips = 24;
const mostSteps = 12;
/** Characters of a text that are shown. */
const longestText = 800;

const shortened = (text: string): string =>
  escapeHtml(text.length > longestText ? `${text.slice(0, longestText)} …` : text);

/** At most so many of a list, its ends among them. */
function spread<T>(all: readonly T[], most: number): readonly T[] {
  if (all.length <= most) return all;
  return Array.from({ length: most }, (_, i) => all[Math.round((i * (all.length - 1)) / (most - 1))]!);
}

/** What was answered about one clip over time. */
interface ClipAnswers {
  readonly name: string;
  readonly answers: readonly (Validation['answers'][number] & { readonly step: number })[];
}

function byClip(validations: readonly Validation[]): ClipAnswers[] {
  const clips = new Map<string, ClipAnswers['answers'][number][]>();
  for (const { step, answers } of validations) {
    for (const answer of answers) {
      clips.set(answer.name, [...(clips.get(answer.name) ?? []), { ...answer, step }]);
    }
  }
  return [...clips].map(([name, answers]) => ({ name, answers }));
}

function clipTable({ name, answers }: ClipAnswers, isOpen: boolean): string {
  const last = answers.at(-1)!;
  const rows = spread(answers, mostSteps).map(
    ({ step, text, finish }) =>
      `<tr><td class="number">${step}</td><td>${text.trim() === '' ? '<span class="aside">(nothing)</span>' : shortened(text)}${finish === 'length' ? ' <span class="aside">(cut off)</span>' : ''}</td></tr>`,
  );
  return `<details${isOpen ? ' open' : ''}><summary>${escapeHtml(name)}</summary>
<dl><dt>question</dt><dd>${shortened(last.question)}</dd><dt>expected</dt><dd>${shortened(last.expected)}</dd></dl>
<div class="wide"><table><tr><th class="number">step</th><th>answer</th></tr>${rows.join('\n')}</table></div></details>`;
}

/** How the answers about the same clips changed while the model learnt. */
export function answersSection({ validations, config }: RunRecord): string {
  const clips = byClip(validations);
  if (clips.length === 0) {
    const why =
      validations.length > 0
        ? 'The validations of this run generated no answers (train.validation.answers).'
        : config?.keys.some(({ key, value }) => key === 'train.validation' && value === 'null')
          ? 'This run has no validation (train.validation is null).'
          : 'No validation has been recorded yet.';
    return `<p class="empty">${why}</p>`;
  }
  const shown = clips.slice(0, mostClips);
  const which = clips.length > shown.length ? `The first ${shown.length} of ${clips.length} clips.` : '';
  const steps = validations.length > mostSteps ? ` ${mostSteps} of ${validations.length} validations.` : '';
  const aside = which + steps === '' ? '' : `<p class="aside">${which}${steps}</p>`;
  return aside + shown.map((clip, i) => clipTable(clip, i < 3)).join('\n');
}

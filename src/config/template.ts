import { z } from 'zod';
import type { InputMode } from './model.ts';
import { text } from './values.ts';

/** How prompt and answer are worded; what the texts may hold is checked by `promptFaults` and `answerFaults`. */
export const templateSchema = z.strictObject({
  prompt: text().describe(
    'What the model reads. `{subtitle}` and `{question}` are replaced, `{{` and `}}` stand for braces; of `<MultiHere>`, `<AudioHere>`, `<FaceHere>` and `<FrameHere>` those that `model.inputs` gives have to stand there once each.',
  ),
  answer: text().describe(
    'What it learns to answer. `{label}` is replaced by what `data.labelType` asks of the sample, without the published sentence around it; several labels are joined by ", ". White space counts.',
  ),
  begin: z
    .boolean()
    .default(true)
    .describe("Whether the tokenizer's start token stands before the prompt, in training and afterwards."),
  end: z
    .enum(['published', 'eos', 'none'])
    .default('published')
    .describe(
      'What follows the answer and is learnt with it: `###` and the end token (`published`), the end token alone (`eos`), or nothing (`none`), where answers do not know where to stop and choices are scored instead.',
    ),
});

/** What a template may name, with what stands there in the end. */
const TEMPLATE_FIELDS = ['subtitle', 'label', 'question'] as const;
export type TemplateField = (typeof TEMPLATE_FIELDS)[number];

/** Placeholders that a prompt has to hold for each of the inputs, one for every vector or run of vectors. */
export const PLACEHOLDERS_OF_INPUTS: Readonly<Record<InputMode, readonly string[]>> = {
  multiface_audio_face_text: ['<MultiHere>', '<AudioHere>', '<FaceHere>'],
  multiframe_audio_frame_text: ['<MultiHere>', '<AudioHere>', '<FrameHere>'],
  multiface_audio_face_frame_text: ['<MultiHere>', '<AudioHere>', '<FaceHere>', '<FrameHere>'],
  multiface_text: ['<MultiHere>'],
  face: ['<AudioHere>', '<FaceHere>'],
  frame: ['<AudioHere>', '<FrameHere>'],
  faceframe: ['<AudioHere>', '<FrameHere>', '<FaceHere>'],
  audioonly: ['<AudioHere>'],
  textonly: [],
  faceonly: ['<FaceHere>'],
  frameonly: ['<FrameHere>'],
  audio_text: ['<AudioHere>'],
  face_text: ['<FaceHere>'],
  frame_text: ['<FrameHere>'],
};

const PLACEHOLDER = /<(?:Multi|Audio|Face|Frame|Image)Here>/g;
const MARK = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;

const isField = (name: string): name is TemplateField => TEMPLATE_FIELDS.some((field) => field === name);

/**
 * Replaces the fields of a template: `{subtitle}` by its value, `{{` and `}}` by one brace each. Values are taken as
 * they are; braces in them mean nothing.
 *
 * @param template without faults (`promptFaults`, `answerFaults`)
 * @param values of every field that it names
 */
export function renderTemplate(
  template: string,
  values: Readonly<Partial<Record<TemplateField, string>>>,
): string {
  return template.replace(MARK, (mark, name: string | undefined) => {
    if (mark === '{{' || mark === '}}') return mark[0]!;
    return values[name as TemplateField]!;
  });
}

/** The fields that a template names, in reading order. */
export function fieldsOf(template: string): TemplateField[] {
  return [...template.matchAll(MARK)].flatMap(([, name]) =>
    name !== undefined && isField(name) ? [name] : [],
  );
}

/** Fields that do not exist and braces that stand alone. */
function markFaults(template: string): string[] {
  return [...template.matchAll(MARK)].flatMap(([mark, name]) => {
    if (mark === '{{' || mark === '}}') return [];
    if (name === undefined) return [`a single "${mark}"; write "${mark}${mark}" for a brace`];
    const known = TEMPLATE_FIELDS.map((field) => `{${field}}`).join(', ');
    return isField(name) ? [] : [`unknown field ${mark}; known are ${known}`];
  });
}

/** What is wrong with a prompt for these inputs. */
export function promptFaults(prompt: string, inputs: InputMode): string[] {
  const faults = markFaults(prompt);
  if (fieldsOf(prompt).includes('label')) {
    faults.push('{label} would tell the answer; it belongs in data.template.answer');
  }
  const wanted = PLACEHOLDERS_OF_INPUTS[inputs];
  const found = [...prompt.matchAll(PLACEHOLDER)].map(([text]) => text);
  for (const text of wanted) {
    const count = found.filter((other) => other === text).length;
    if (count !== 1) {
      faults.push(`holds ${text} ${count} times; model.inputs "${inputs}" needs it exactly once`);
    }
  }
  const others = [...new Set(found)].filter((text) => !wanted.includes(text));
  if (others.length > 0) {
    faults.push(`holds ${others.join(', ')}, which model.inputs "${inputs}" does not give`);
  }
  return faults;
}

/** What is wrong with an answer. */
export function answerFaults(answer: string): string[] {
  const faults = markFaults(answer);
  const fields = fieldsOf(answer);
  if (!fields.includes('label')) faults.push('has no {label}, so every sample would have the same answer');
  const others = fields.filter((field) => field !== 'label');
  if (others.length > 0) {
    faults.push(`{${others.join('}, {')}} can only stand in data.template.prompt`);
  }
  if (answer.search(PLACEHOLDER) >= 0) {
    faults.push('holds a placeholder such as <AudioHere>, which can only stand in data.template.prompt');
  }
  return faults;
}

import { describe, expect, it } from 'vitest';
import { inputModes } from '../../model/modes.ts';
import { parseConfig } from '../../src/config/load.ts';
import {
  answerFaults,
  fieldsOf,
  PLACEHOLDERS_OF_INPUTS,
  promptFaults,
  renderTemplate,
} from '../../src/config/template.ts';
import { placeholders } from '../../src/data/prompts.ts';
import type { InputError } from '../../src/errors.ts';

describe('a template', () => {
  it('replaces fields, takes values as they are, and has doubled braces', () => {
    const values = { subtitle: 'a $& {label} {{b}}', question: 'Why?' };
    expect(renderTemplate('"{subtitle}" {question} {{x}}', values)).toBe('"a $& {label} {{b}}" Why? {x}');
    expect(renderTemplate(' {label}', { label: 'joy' })).toBe(' joy');
    expect(fieldsOf('{{label}} {subtitle} {question}')).toEqual(['subtitle', 'question']);
  });

  it('needs the placeholders of the inputs, each once', () => {
    const names = Object.entries(PLACEHOLDERS_OF_INPUTS);
    const slots = (mode: keyof typeof inputModes) => inputModes[mode].slots.map((slot) => placeholders[slot]);
    for (const [inputs, texts] of names) expect(texts).toEqual(slots(inputs as keyof typeof inputModes));
    expect(names).toHaveLength(Object.keys(inputModes).length - 1);
    expect(promptFaults('<AudioHere> {subtitle} <FaceHere>', 'face')).toEqual([]);
    expect(promptFaults('<AudioHere><AudioHere>', 'face')).toEqual([
      'holds <AudioHere> 2 times; model.inputs "face" needs it exactly once',
      'holds <FaceHere> 0 times; model.inputs "face" needs it exactly once',
    ]);
    expect(promptFaults('<ImageHere>', 'textonly')).toEqual([
      'holds <ImageHere>, which model.inputs "textonly" does not give',
    ]);
  });

  it('names what it does not know', () => {
    expect(promptFaults('{utterance} {label} }', 'textonly')).toEqual([
      'unknown field {utterance}; known are {subtitle}, {label}, {question}',
      'a single "}"; write "}}" for a brace',
      '{label} would tell the answer; it belongs in data.template.answer',
    ]);
    expect(answerFaults(' {subtitle}<AudioHere>')).toEqual([
      'has no {label}, so every sample would have the same answer',
      '{subtitle} can only stand in data.template.prompt',
      'holds a placeholder such as <AudioHere>, which can only stand in data.template.prompt',
    ]);
    expect(answerFaults('{label}')).toEqual([]);
  });

  it('is checked with the configuration, all faults at once', () => {
    const values = {
      model: { inputs: 'audio_text' },
      data: { manifest: 'a.jsonl', template: { prompt: '{subtile}', answer: 'yes' } },
      output: 'x',
    };
    const error = (() => {
      try {
        return parseConfig(values);
      } catch (thrown) {
        return thrown as InputError;
      }
    })();
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    const { message } = error as InputError;
    expect(message).toMatch(/data\.template\.prompt: unknown field \{subtile\}.*<AudioHere> 0 times/);
    expect(message).toMatch(/data\.template\.answer: has no \{label\}/);
  });

  it('has the published frame unless told otherwise', () => {
    const template = { prompt: '{subtitle}', answer: '{label}' };
    const config = parseConfig({
      model: { inputs: 'textonly' },
      data: { manifest: 'a', template },
      output: 'x',
    });
    expect(config.data.template).toEqual({ ...template, begin: true, end: 'published' });
    expect(config.evaluation).toBeNull();
  });
});

describe('the section evaluation', () => {
  const given = { data: { manifest: 'a', labelType: 'ovlabel' }, output: 'x' };

  it('has defaults', () => {
    const { evaluation } = parseConfig({ ...given, evaluation: {} });
    expect(evaluation).toEqual({ split: 'test', limit: null, choices: null, before: false });
  });

  it.each([
    [{ evaluation: { choices: [] } }, /evaluation\.choices/],
    [{ evaluation: { choices: ['a', 'a'] } }, /named twice/],
    [{ evaluation: { limit: 0 } }, /evaluation\.limit/],
    [{ evaluation: {}, data: { manifest: 'a', labelType: 'valence' } }, /data\.labelType is "valence"/],
  ])('%j is refused', (values, message) => {
    expect(() => parseConfig({ ...given, ...values })).toThrow(message);
  });
});

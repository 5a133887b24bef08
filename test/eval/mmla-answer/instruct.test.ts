import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseDecoderConfig } from '../../../model/decoder.ts';
import { mmlaAnswer, mmlaPrompt, mmlaPromptPresets } from '../../../src/data/mmla/prompts.ts';
import { mmlaTaskKeys } from '../../../src/data/mmla/tasks.ts';
import { loadTokenizer } from '../../../src/data/tokenizer.ts';
import { createEngine } from '../../../src/engine/engines.ts';
import { defaultDecoding } from '../../../src/eval/mmla/answer/answerer.ts';
import {
  type InstructAnswererOptions,
  openInstructAnswerer,
} from '../../../src/eval/mmla/answer/instruct-answerer.ts';
import { Generator } from '../../../src/runtime/generator.ts';
import { InstructModel } from '../../../src/runtime/instruct-model.ts';
import { int32, runLogits } from '../../support/decoder.ts';
import { readJson, readTensors, toTensors } from '../../support/fixture.ts';
import { folderForFile } from '../../support/temporary-folder.ts';
import { answersTo, askedTask, writeInstructModel } from './samples.ts';

const folder = folderForFile();
afterEach(() => {
  vi.restoreAllMocks();
});
const model = await writeInstructModel(folder);
const tokenizer = await loadTokenizer(model);
const decoding = { ...defaultDecoding, maxNewTokens: 6 };

const open = async (more: Partial<InstructAnswererOptions> = {}) =>
  openInstructAnswerer({
    ...{ model, option: '--model', decoding, constrained: false },
    engine: await createEngine({ type: 'auto', threads: 1 }),
    ...more,
  });

const turn = (role: string, text: string) => `<|im_start|>${role}\n${text}<|im_end|>\n`;

describe('a decoder that is asked', () => {
  it('reads the questions of all twelve tasks byte for byte, in all wordings', async () => {
    const read: string[] = [];
    vi.spyOn(InstructModel.prototype, 'answer').mockImplementation(async (prompts) => {
      read.push(...prompts.map((ids) => tokenizer.decode(ids)));
      return prompts.map(() => ({ text: 'said', finish: 'stop' as const }));
    });
    const answerer = await open();
    const told = await open({ system: 'Be brief.' });
    const expected: string[] = [];
    for (const key of mmlaTaskKeys) {
      for (const preset of mmlaPromptPresets) {
        const asked = askedTask(key, { preset });
        await answersTo(answerer, asked);
        await answersTo(told, asked);
        const questions = asked.questions.map(({ record }) => mmlaPrompt(asked.task, record.text, preset));
        const turns = questions.map((text) => `${turn('user', text)}<|im_start|>assistant\n`);
        expected.push(...turns, ...turns.map((text) => turn('system', 'Be brief.') + text));
      }
    }
    expect(read).toEqual(expected);
    expect(read).toHaveLength(12 * 5 * 5 * 2);
    expect(read).toContain(
      `${turn('user', 'A speaker says: "我很高兴。"\nWhat is the speaking style of this speaker? The candidate labels are: [sincere, sarcastic].\nAnswer with exactly one of them in the format \'speaking style: [label]\'.')}<|im_start|>assistant\n`,
    );
    await answerer.dispose();
    await told.dispose();
  });

  it('answers the same each time, in batches as alone, and draws only where told to', async () => {
    const asked = askedTask('MELD', { count: 10 });
    const answerer = await open();
    const answers = await answersTo(answerer, asked);
    expect(answers.map(({ name }) => name)).toEqual(asked.questions.map(({ name }) => name));
    expect(new Set(answers.map(({ text }) => text)).size).toBeGreaterThan(1);
    const last = { ...asked, questions: asked.questions.slice(-1) };
    expect(await answersTo(answerer, last)).toEqual(answers.slice(-1));
    await answerer.dispose();
    const drawn = { ...decoding, temperature: 3 };
    const drawing = await open({ decoding: drawn });
    expect(await answersTo(drawing, asked)).not.toEqual(answers);
    expect(drawing.settings.decoding).toEqual({ maxNewTokens: 6, temperature: 3, seed: 42 });
    expect(answerer.settings.decoding).toEqual({ maxNewTokens: 6, temperature: 0 });
    await drawing.dispose();
  });

  it('ends turns as its chat template does, whatever the tokenizer calls the end of a sequence', async () => {
    const llama = await writeInstructModel(join(folder, 'llama'));
    const edit = async (file: string, change: (text: string) => string) =>
      writeFile(join(llama, file), change(await readFile(join(llama, file), 'utf8')));
    await edit('tokenizer.json', (text) =>
      text.replaceAll('<|im_start|>', '<|start_header_id|>').replaceAll('<|im_end|>', '<|eot_id|>'),
    );
    // The template of Llama 3.
    const chat_template =
      "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}";
    const tokens = { bos_token: '<|endoftext|>', eos_token: '<|endoftext|>', pad_token: '<|endoftext|>' };
    await edit('tokenizer_config.json', () => JSON.stringify({ chat_template, ...tokens }));
    const asked = vi.spyOn(Generator.prototype, 'answer');
    const opened = await InstructModel.open(
      llama,
      '--model',
      await createEngine({ type: 'auto', threads: 1 }),
    );
    const known = await loadTokenizer(llama);
    const [turnEnd] = known.encode('<|eot_id|>');
    expect(opened.encodeAnswer('joy')).toEqual([...known.encode('joy'), turnEnd]);
    const prompt = opened.encode([{ role: 'user', content: 'Hi ' }]);
    expect(known.decode(prompt)).toBe(
      '<|endoftext|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
    );
    const settings = { temperature: 0, topP: 1, repetitionPenalty: 1, maxTokens: 2, seed: 42 };
    await opened.answer([prompt], settings);
    expect(asked.mock.lastCall![2].stop).toEqual([[known.eosId], [turnEnd]]);
    expect(known.eosId).not.toBe(turnEnd);
    await opened.dispose();
  });

  it('names the sample that is too long', async () => {
    const asked = askedTask('MOSI', { count: 1 });
    const long = asked.questions.map((one) => ({ ...one, prompt: 'word '.repeat(3000) }));
    const answerer = await open();
    await expect(answersTo(answerer, { ...asked, questions: long })).rejects.toThrow(
      /^MOSI\.jsonl, row 1: the question about "MOSI_0": .* has positions for 2048/,
    );
    await answerer.dispose();
  });
});

describe('a choice', () => {
  it('takes the label whose gold answer a pass over all tokens finds the likeliest', async () => {
    await tf.setBackend('cpu');
    const tensors = toTensors(await readTensors(join(model, 'model.safetensors')));
    const config = parseDecoderConfig(await readJson(join(model, 'config.json')));
    /** The sum over the tokens of an answer and the end of its turn, by a pass over prompt and answer. */
    const likelihood = (prompt: string, answer: string): number => {
      const before = tokenizer.encode(`${turn('user', prompt)}<|im_start|>assistant\n`);
      const said = [...tokenizer.encode(answer), tokenizer.eosId];
      const ids = [...before, ...said];
      return tf.tidy(() => {
        const inputs = {
          ids: int32(ids, [1, ids.length]),
          mask: int32(
            ids.map(() => 1),
            [1, ids.length],
          ),
        };
        const known = tf.logSoftmax(runLogits(tensors, config, inputs)).arraySync() as number[][];
        return said.reduce((sum, token, i) => sum + known[before.length - 1 + i]![token]!, 0);
      });
    };
    const answerer = await open({ constrained: true });
    expect(answerer.settings.decoding).toEqual({ choice: 'likeliest gold answer' });
    // Of labels with several tokens, some of which begin alike; gold answers in capitals.
    for (const [key, preset] of [
      ['MELD-DA', 'fixed'],
      ['IEMOCAP', 'mmla-text'],
    ] as const) {
      const asked = askedTask(key, { preset, count: 3 });
      const answers = await answersTo(answerer, asked);
      // A pass takes long, so one of the batch is looked at.
      const { task, questions } = asked;
      const { prompt } = questions[1]!;
      const expected = task.labels.map((label) => likelihood(prompt, mmlaAnswer(task, label, preset)));
      const { scores, text, finish } = answers[1]!;
      expect(Object.keys(scores!)).toEqual(task.labels);
      Object.values(scores!).forEach((score, at) => {
        expect(score).toBeCloseTo(expected[at]!, 2);
      });
      const best = task.labels[expected.indexOf(Math.max(...expected))]!;
      expect(text).toBe(mmlaAnswer(task, best, preset));
      expect(finish).toBe('chosen');
    }
    await answerer.dispose();
  });
});

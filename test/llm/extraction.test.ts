import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { extractWithLlm, llmExtractor } from '../../src/eval/mer-unibench/extract-llm.ts';
import { rulesExtractor } from '../../src/eval/mer-unibench/extractor.ts';
import { publishedSampling } from '../../src/eval/mer-unibench/published-prompts.ts';
import { send, sendError } from '../support/chat-server.ts';
import { chatWorkspace, refusalOf } from './workspace.ts';

const workspace = chatWorkspace();
const bytes = (text: string) => [
  Buffer.byteLength(text),
  createHash('sha256').update(text).digest('hex').slice(0, 16),
];

/** `answer 1` … */
const answers = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ name: `clip ${i + 1}`, text: `answer ${i + 1}` }));

describe('extraction by a language model', () => {
  it('asks for words as published, to the byte', async () => {
    const { server } = workspace;
    server.reply = () => ' Output: [Happy, "sad",\n angry ] ';
    const client = workspace.client({ sampling: publishedSampling });
    const items = [{ name: 'clip', text: 'He is happy.' }];
    expect(await extractWithLlm(client, items, 'openset')).toEqual(
      new Map([
        ['clip', { labels: ['happy', 'sad', 'angry'], reply: '[Happy, "sad", angry ]', finish: 'stop' }],
      ]),
    );
    const prompt =
      'Please assume the role of an expert in the field of emotions. We provide clues that may be related to the emotions of the characters. Based on the provided clues, please identify the emotional states of the main character. The main character is the one with the most detailed clues. Please separate different emotional categories with commas and output only the clearly identifiable emotional categories in a list format. If none are identified, please output an empty list. Input: We cannot recognize his emotional state; Output: [] Input: His emotional state is happy, sad, and angry; Output: [happy, sad, angry] Input: He is happy.; Output: ';
    expect(server.seen.map(({ body }) => body)).toEqual([
      {
        model: 'qwen',
        messages: [{ role: 'user', content: prompt }],
        ...{ temperature: 0.7, top_p: 0.8, repetition_penalty: 1.05, max_tokens: 512 },
      },
    ]);
  });

  it('asks for the sentiment of a list as published, to the byte', async () => {
    const { server } = workspace;
    server.reply = () => 'Output: positive\n';
    const items = [{ name: 'clip', text: '[happy]' }];
    const found = await extractWithLlm(workspace.client(), items, 'sentiment');
    expect(found.get('clip')).toEqual({ sentiment: 'positive', reply: 'positive', finish: 'stop' });
    const gap = '             ';
    expect(gap).toHaveLength(13);
    const prompt = `Please act as an expert in the field of emotions.${gap}We provide a few words to describe the emotions of a character.${gap}Please choose the most likely sentiment from the given candidates: [positive, negative, neutral]${gap}Please direct output answer without analyzing process.${gap}Input: [joyful]; Output: positive${gap}Input: []; Output: neutral${gap}Input: [happy]; Output: `;
    expect(bytes(server.seen[0]!.text)).toEqual(bytes(prompt));
    expect(server.seen[0]!.text).toBe(prompt);
  });

  it('goes from words to their sentiment, and says what was cut', async () => {
    const { server } = workspace;
    server.reply = ({ text }) => (text.includes('sentiment') ? 'negative' : '[sad, afraid');
    server.finish = 'length';
    const progress: string[] = [];
    const onProgress = (done: number, total: number) => void progress.push(`${done}/${total}`);
    const extractor = llmExtractor(workspace.client());
    const found = await extractor.extract(answers(2), 'sentiment', { onProgress });
    expect([...found.keys()]).toEqual(['clip 1', 'clip 2']);
    expect(found.get('clip 1')).toEqual({
      labels: ['sad', 'afraid'],
      openset: '[sad, afraid',
      sentiment: 'negative',
      cut: true,
    });
    expect(progress).toEqual(['1/4', '2/4', '3/4', '4/4']);
    expect(server.seen.filter(({ text }) => text.endsWith('Input: [sad, afraid; Output: '))).toHaveLength(2);
  });

  it('keeps the order of the texts, whatever comes back first', async () => {
    const { server } = workspace;
    server.reply = ({ text }) => `[${/answer \d+/.exec(text)![0]}]`;
    server.before = ({ text }) =>
      new Promise((resolve) => setTimeout(resolve, text.includes('answer 1;') ? 20 : 0));
    const found = await extractWithLlm(workspace.client(), answers(9), 'openset');
    expect([...found.values()].map(({ labels }) => labels[0])).toEqual(answers(9).map(({ text }) => text));
  });

  it('goes on where it was stopped', async () => {
    const { server } = workspace;
    const cacheFolder = await workspace.folder();
    const controller = new AbortController();
    const onProgress = (done: number) => void (done === 4 && controller.abort(new Error('by hand')));
    const first = workspace.client({ cacheFolder, concurrency: 1 });
    const options = { onProgress, signal: controller.signal };
    expect(await refusalOf(extractWithLlm(first, answers(10), 'openset', options))).toContain('by hand');
    expect(first.statistics.asked).toBe(4);
    server.seen.length = 0;
    const second = workspace.client({ cacheFolder });
    expect((await extractWithLlm(second, answers(10), 'openset')).size).toBe(10);
    expect(second.statistics).toMatchObject({ fromCache: 4, asked: 6 });
    const third = workspace.client({ cacheFolder });
    await extractWithLlm(third, answers(10), 'openset');
    expect(third.statistics).toMatchObject({ fromCache: 10, asked: 0 });
  });

  it('names all texts without a reply, after the others have theirs', async () => {
    const { server } = workspace;
    const cacheFolder = await workspace.folder();
    server.faults.push(sendError(400, 'too long'), undefined, send(200, { choices: [] }));
    const client = workspace.client({ cacheFolder, concurrency: 1 });
    expect(await refusalOf(extractWithLlm(client, answers(5), 'openset'))).toMatch(
      /^EXTRACTION_FAILED: .* about 2 texts: "clip 1": .*too long; "clip 3": .*without any choice/,
    );
    expect(client.statistics.asked).toBe(3);
  });

  it('stops where every text would fail', async () => {
    const { server } = workspace;
    server.faults.push(sendError(401, 'no'));
    const client = workspace.client({ concurrency: 1 });
    expect(await refusalOf(extractWithLlm(client, answers(50), 'openset'))).toContain('LLM_UNAUTHORIZED');
    expect(server.seen).toHaveLength(1);
    server.reset();
    server.faults.push(...Array.from({ length: 50 }, () => sendError(400, 'no such model')));
    expect(await refusalOf(extractWithLlm(client, answers(50), 'openset'))).toMatch(
      /^EXTRACTION_FAILED: .* about 20 texts, and no more were asked about: /,
    );
    expect(server.seen).toHaveLength(20);
  });

  it('wants names that differ', async () => {
    const items = ['a', 'b', 'a', 'b', 'c'].map((name) => ({ name, text: '' }));
    expect(await refusalOf(extractWithLlm(workspace.client(), items, 'openset'))).toMatch(
      /^EXTRACTION_DUPLICATE: .*: a; b\./,
    );
    expect(workspace.server.seen).toEqual([]);
  });
});

describe('extraction by rules', () => {
  it('has the same form', async () => {
    const items = [{ name: 'clip', text: 'The character is happy and excited.' }];
    expect(await rulesExtractor.extract(items, 'sentiment')).toEqual(
      new Map([['clip', { labels: ['happy', 'excited'], sentiment: 'positive' }]]),
    );
    expect((await rulesExtractor.extract(items, 'openset')).get('clip')).toEqual({
      labels: ['happy', 'excited'],
    });
  });
});

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mmlaTaskKeys } from '../../../src/data/mmla/tasks.ts';
import { type AskedTask, defaultDecoding } from '../../../src/eval/mmla/answer/answerer.ts';
import {
  type EndpointAnswererOptions,
  endpointAnswerer,
  endpointSampling,
} from '../../../src/eval/mmla/answer/endpoint-answerer.ts';
import type { ChatClientOptions } from '../../../src/llm/settings.ts';
import { makeClip } from '../../data/make-media.ts';
import { chatWorkspace } from '../../llm/workspace.ts';
import { sendError } from '../../support/chat-server.ts';
import { answersTo, askedTask } from './samples.ts';

const workspace = chatWorkspace();
const decoding = { ...defaultDecoding, maxNewTokens: 7 };

function open(more: Partial<EndpointAnswererOptions> = {}, client: Partial<ChatClientOptions> = {}) {
  const concurrency = 3;
  return endpointAnswerer({
    client: workspace.client({
      ...{ concurrency, model: 'gpt', sampling: endpointSampling(more.decoding ?? decoding) },
      ...client,
    }),
    ...{ concurrency, decoding, frames: 0 },
    notify: (message) => void workspace.messages.push(message),
    ...more,
  });
}

/** Questions about the same video, as far as they are told to have one. */
const withVideo = (asked: AskedTask, video: string, has = (_: number) => true): AskedTask => ({
  ...asked,
  questions: asked.questions.map((one, i) =>
    has(i) ? { ...one, record: { ...one.record, media: video } } : one,
  ),
});

describe('an endpoint', () => {
  it('is asked the questions of all twelve tasks byte for byte, at temperature 0 and without a seed', async () => {
    const { server } = workspace;
    for (const key of mmlaTaskKeys) {
      const asked = askedTask(key, { preset: 'mmla-infer' });
      server.reset();
      const answers = await answersTo(open(), asked);
      const prompts = asked.questions.map(({ prompt }) => prompt);
      expect(server.seen.map(({ text }) => text).sort()).toEqual([...prompts].sort());
      expect(answers).toEqual(
        asked.questions.map(({ name, prompt }) => ({ name, text: `about ${prompt}`, finish: 'stop' })),
      );
    }
    expect(server.seen[0]!.body).toEqual({
      model: 'gpt',
      messages: [{ role: 'user', content: server.seen[0]!.text }],
      ...{ temperature: 0, max_tokens: 7 },
    });
  });

  it('is told what stands before, and draws with a seed', async () => {
    const drawn = { ...decoding, temperature: 0.5 };
    await answersTo(open({ system: 'Be brief.', decoding: drawn }), askedTask('MOSI', { count: 1 }));
    expect(workspace.server.seen[0]!.body).toMatchObject({
      messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user' }],
      ...{ temperature: 0.5, seed: 42, max_tokens: 7 },
    });
  });

  it('answers several at a time, and the answers keep their order', async () => {
    const { server } = workspace;
    let wait = 40;
    server.before = () => {
      wait = Math.max(1, wait - 8);
      return new Promise((resolve) => setTimeout(resolve, wait));
    };
    const asked = askedTask('MELD', { count: 20 });
    const answers = await answersTo(open(), asked);
    expect(answers.map(({ name }) => name)).toEqual(asked.questions.map(({ name }) => name));
    expect(server.mostAtOnce).toBe(3);
  });

  it('is asked no more where the reader stops', async () => {
    const { server } = workspace;
    const asked = askedTask('MELD', { count: 100 });
    for await (const { name } of open().answer(asked)) if (name === 'MELD_1') break;
    // Twelve are under way or wait for their turn.
    expect(server.seen.length).toBeLessThan(10);
  });

  it('that says nothing has answered; one that fails is asked again by the next run alone', async () => {
    const { server, messages } = workspace;
    const asked = askedTask('MUStARD', { count: 6 });
    const cacheFolder = await workspace.folder();
    server.reply = ({ text }) =>
      text === asked.questions[1]!.prompt ? (null as unknown as string) : 'sincere';
    const one = asked.questions.slice(0, 3);
    const answers = await answersTo(open({}, { cacheFolder }), { ...asked, questions: one });
    expect(answers.map(({ text, finish }) => [text, finish])).toEqual([
      ['sincere', 'stop'],
      ['', 'empty'],
      ['sincere', 'stop'],
    ]);
    expect(messages.join()).toMatch(/MUStARD\.jsonl, row 2: "MUStARD_1": .* gave no text/);
    server.faults.push(sendError(400, 'this text may not be asked'));
    const rest = { ...asked, questions: asked.questions.slice(3) };
    const got: string[] = [];
    const work = async () => {
      for await (const { name } of open({}, { cacheFolder, concurrency: 1 }).answer(rest)) got.push(name);
    };
    await expect(work()).rejects.toMatchObject({
      code: 'MMLA_ANSWERS_MISSING',
      message: expect.stringMatching(
        /^1 sample got no answer: MUStARD\.jsonl, row 4: "MUStARD_3": .*may not/,
      ),
    });
    expect(got).toEqual(['MUStARD_4', 'MUStARD_5']);
    server.seen.length = 0;
    expect(await answersTo(open({}, { cacheFolder }), rest)).toHaveLength(3);
    expect(server.seen).toHaveLength(1);
  });

  it('whose key is wrong is not asked on', async () => {
    const { server } = workspace;
    server.faults.push(...Array.from({ length: 50 }, () => sendError(401, 'no')));
    await expect(answersTo(open(), askedTask('MELD', { count: 50 }))).rejects.toMatchObject({
      code: 'LLM_UNAUTHORIZED',
    });
    expect(server.seen.length).toBeLessThan(20);
  });
});

describe('frames', () => {
  it('stand before the text as JPEG', async () => {
    const clip = await makeClip(join(await workspace.folder(), 'clip.mp4'));
    const asked = withVideo(askedTask('Ch-sims', { count: 2 }), clip);
    const answerer = open({ frames: 3 });
    expect(answerer.settings).toMatchObject({ frames: 3, maxFramePixels: 360 * 420 });
    await answersTo(answerer, asked);
    const texts: unknown[] = [];
    for (const { body } of workspace.server.seen) {
      const [{ content }] = body.messages as [{ content: { type: string }[] }];
      expect(content.map(({ type }) => type)).toEqual(['image_url', 'image_url', 'image_url', 'text']);
      texts.push(content.at(-1));
      const urls = content
        .slice(0, 3)
        .map((part) => (part as unknown as { image_url: { url: string } }).image_url.url);
      expect(new Set(urls).size).toBe(3);
      for (const url of urls) {
        const [, base64] = /^data:image\/jpeg;base64,(.+)$/.exec(url)!;
        expect(Buffer.from(base64!, 'base64').subarray(0, 3)).toEqual(Buffer.from([0xff, 0xd8, 0xff]));
      }
    }
    const expected = asked.questions.map(({ prompt }) => ({ type: 'text', text: prompt }));
    // They may arrive in another order.
    expect(new Set(texts.map((text) => JSON.stringify(text)))).toEqual(
      new Set(expected.map((text) => JSON.stringify(text))),
    );
    expect(texts).toHaveLength(2);
  });

  it('need videos: all that are missing are named, and nothing is asked', async () => {
    const asked = withVideo(askedTask('MOSI', { count: 3 }), join('nowhere', 'clip.mp4'), (i) => i === 2);
    await expect(answersTo(open({ frames: 2 }), asked)).rejects.toMatchObject({
      code: 'MMLA_MEDIA_MISSING',
      message: expect.stringMatching(
        /3 of 3 samples have none: .*"MOSI_0": no video; .*"MOSI_1": no video; .*"MOSI_2": There is no file nowhere/,
      ),
    });
    expect(workspace.server.seen).toEqual([]);
  });
});

import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import type { ChatModel } from '../../src/llm/messages.ts';
import type { InstructSettings } from '../../src/runtime/instruct-model.ts';
import { LocalChat } from '../../src/runtime/local-chat.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();
let caches = 0;
const newCache = () => path.join(folder, String(caches++));

const greedy: InstructSettings = {
  ...{ temperature: 0, topP: 0.8, repetitionPenalty: 1.05, maxTokens: 8, seed: 1 },
};

/** A model that says how long a text is; batches it was asked are written down. */
let batches: string[][] = [];
let texts = new Map<number, string>();
let isBroken = false;
beforeEach(() => {
  batches = [];
  texts = new Map();
  isBroken = false;
});
const model = {
  identity: 'the model',
  encode: (messages: readonly { content: string }[]): number[] => {
    const text = messages.map(({ content }) => content).join('|');
    if (text.includes('too long')) throw new InputError('LLM_REQUEST_REFUSED', `too long: ${text}`);
    texts.set(texts.size, text);
    return [texts.size - 1];
  },
  answer: async (prompts: readonly (readonly number[])[]) => {
    const batch = prompts.map(([id]) => texts.get(id!)!);
    batches.push(batch);
    if (isBroken) throw new Error('no memory');
    return batch.map((text) => ({ text: `${text} has ${text.length}`, finish: 'stop' as const }));
  },
};

const open = (cacheFolder: string | null, settings = greedy, notify = (_: string): void => {}) =>
  new LocalChat({ model, settings, cacheFolder, notify });
const ask = (chat: ChatModel, text: string, signal?: AbortSignal) =>
  chat.complete([{ role: 'user', content: text }], signal === undefined ? {} : { signal });

const names = Array.from({ length: 11 }, (_, i) => `text ${i}`);

describe('a language model on this machine', () => {
  it('answers in order, eight at a time, and equal questions once', async () => {
    const chat = open(null);
    const asked = [...names.slice(0, 3), names[0]!, ...names.slice(3)];
    const replies = await Promise.all(asked.map((text) => ask(chat, text)));
    expect(replies.map(({ text }) => text)).toEqual(asked.map((text) => `${text} has ${text.length}`));
    expect(batches).toEqual([names.slice(0, 8), names.slice(8)]);
    expect(chat.statistics).toEqual({ asked: 11, fromCache: 0 });
    await ask(chat, names[0]!);
    expect(batches).toHaveLength(3);
  });

  it('asks nothing twice where there is a cache, also later', async () => {
    const cache = newCache();
    await Promise.all(names.slice(0, 5).map((text) => ask(open(cache), text)));
    batches = [];
    const chat = open(cache);
    const replies = await Promise.all(names.map((text) => ask(chat, text)));
    expect(replies[4]).toMatchObject({ text: 'text 4 has 6', finish: 'stop' });
    expect(batches).toEqual([names.slice(5)]);
    expect(chat.statistics).toEqual({ asked: 6, fromCache: 5 });
  });

  it('knows what decides an answer: draws do not where there are none', async () => {
    const cache = newCache();
    await ask(open(cache), 'a');
    await ask(open(cache, { ...greedy, seed: 2, topP: 0.5 }), 'a');
    expect(batches).toHaveLength(1);
    const others = [
      { ...greedy, maxTokens: 9 },
      { ...greedy, repetitionPenalty: 1 },
      { ...greedy, temperature: 0.7 },
      { ...greedy, temperature: 0.7, seed: 2 },
      { ...greedy, temperature: 0.7, topP: 0.5 },
    ];
    for (const settings of others) await ask(open(cache, settings), 'a');
    expect(batches).toHaveLength(1 + others.length);
  });

  it('asks again where an answer of the cache is damaged', async () => {
    const cache = newCache();
    await ask(open(cache), 'a');
    const [file] = (await readdir(cache, { recursive: true })).filter((name) => name.endsWith('.json'));
    await writeFile(path.join(cache, file!), '{');
    const told: string[] = [];
    const chat = open(cache, greedy, (message) => void told.push(message));
    expect(await ask(chat, 'a')).toMatchObject({ text: 'a has 1' });
    expect(told).toEqual([expect.stringMatching(/is damaged: its question is asked again/)]);
  });

  it('keeps what is wrong with one text from the others', async () => {
    const chat = open(null);
    const settled = await Promise.allSettled(['a', 'too long', 'b'].map((text) => ask(chat, text)));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const picture = chat.complete([
      { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }] },
    ]);
    await expect(picture).rejects.toMatchObject({ code: 'LLM_REQUEST_REFUSED' });
    const parts = [{ type: 'text', text: 'c' } as const, { type: 'text', text: 'd' } as const];
    expect(await chat.complete([{ role: 'user', content: parts }])).toMatchObject({ text: 'cd has 2' });
  });

  it('stops where it is told to, and goes on after a failure', async () => {
    const chat = open(null);
    const stop = new AbortController();
    const aborted = ask(chat, 'a', stop.signal);
    stop.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    expect(batches).toEqual([]);
    isBroken = true;
    await expect(Promise.all([ask(chat, 'a'), ask(chat, 'b')])).rejects.toThrow('no memory');
    isBroken = false;
    expect(await ask(chat, 'a')).toMatchObject({ text: 'a has 1' });
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sendError, silence } from '../support/chat-server.ts';
import { chatWorkspace, filesBelow, refusalOf, secret, user } from './workspace.ts';

const workspace = chatWorkspace();

describe('answers on disk', () => {
  it('cost nothing a second time', async () => {
    const { server } = workspace;
    const cacheFolder = `${await workspace.folder()}/not/there/yet`;
    const first = workspace.client({ cacheFolder });
    server.finish = 'length';
    const given = await first.complete(user('a'));
    expect(given).toMatchObject({ text: 'about a', finish: 'length', fromCache: false });
    server.reply = () => 'something else';
    const second = workspace.client({ cacheFolder });
    expect(await second.complete(user('a'))).toEqual({ ...given, fromCache: true });
    expect(server.seen).toHaveLength(1);
    expect(second.statistics).toEqual({ asked: 0, fromCache: 1, retried: 0, damaged: 0 });
  });

  it('can be read, and hold neither the key nor images', async () => {
    const cacheFolder = await workspace.folder();
    const url = `data:image/png;base64,${'A'.repeat(1000)}`;
    const image = { type: 'image_url', image_url: { url } } as const;
    const client = workspace.client({ cacheFolder, sampling: { temperature: 0.5 } });
    await client.complete([{ role: 'user', content: [image] }]);
    const [file] = filesBelow(cacheFolder);
    const text = readFileSync(file!, 'utf8');
    expect(JSON.parse(text)).toMatchObject({
      question: { model: 'qwen', sampling: { temperature: 0.5 }, url: expect.stringMatching(/completions$/) },
      answer: { text: 'about ', finish: 'stop' },
    });
    expect(text).toMatch(/"data:image\/png;base64 sha256 [0-9a-f]{64}"/);
    expect(text).not.toContain('AAAA');
    expect(text).not.toContain(secret);
    const other = { type: 'image_url', image_url: { url: `${url}B` } } as const;
    await client.complete([{ role: 'user', content: [other] }]);
    expect(client.statistics.asked).toBe(2);
  });

  it('are of one model, one sampling and one conversation', async () => {
    const cacheFolder = await workspace.folder();
    const ask = (options = {}, text = 'a') =>
      workspace.client({ cacheFolder, ...options }).complete(user(text));
    await ask();
    for (const options of [{ model: 'other' }, { sampling: { seed: 1 } }, { sampling: { seed: 2 } }]) {
      expect((await ask(options)).fromCache).toBe(false);
    }
    expect((await ask({}, 'b')).fromCache).toBe(false);
    const system = [{ role: 'system', content: 's' } as const, ...user('a')];
    expect((await workspace.client({ cacheFolder }).complete(system)).fromCache).toBe(false);
    const extra = (body: Record<string, number>) => ({ sampling: { extraBody: body } });
    await ask(extra({ min_p: 1, top_k: 2 }));
    expect((await ask(extra({ top_k: 2, min_p: 1 }))).fromCache).toBe(true);
    // Neither the key nor how patiently it is asked decides an answer.
    expect((await ask({ environment: {}, timeout: 5000 })).fromCache).toBe(true);
  });

  it('are asked for once where equal questions come at the same time', async () => {
    const cacheFolder = await workspace.folder();
    let answers = 0;
    workspace.server.reply = () => `${++answers}`;
    const client = workspace.client({ cacheFolder });
    const given = await Promise.all([1, 2, 3].map(() => client.complete(user('a'))));
    expect(given.map(({ text }) => text)).toEqual(['1', '1', '1']);
    const without = workspace.client();
    const drawn = await Promise.all([1, 2].map(() => without.complete(user('a'))));
    expect(drawn.map(({ text }) => text).sort()).toEqual(['2', '3']);
  });

  it('are not taken from failures', async () => {
    const cacheFolder = await workspace.folder();
    workspace.server.faults.push(sendError(400, 'no'));
    const client = workspace.client({ cacheFolder });
    expect(await refusalOf(client.complete(user('a')))).toContain('LLM_REQUEST_REFUSED');
    expect(filesBelow(cacheFolder)).toEqual([]);
    expect((await client.complete(user('a'))).text).toBe('about a');
  });

  it.each([
    ['torn', (text: string) => text.slice(0, text.length / 2)],
    ['empty', () => ''],
    ['another one', (text: string) => text.replace('about a', 'about b')],
    ['of another shape', () => '{"answer":{"text":7}}'],
    ['not even text', () => Buffer.from([0xff, 0xfe, 0x00])],
  ])('are named and asked for again where one is damaged: %s', async (_, damage) => {
    const { server, messages } = workspace;
    const cacheFolder = await workspace.folder();
    await workspace.client({ cacheFolder }).complete(user('a'));
    const [file] = filesBelow(cacheFolder);
    writeFileSync(file!, damage(readFileSync(file!, 'utf8')));
    const client = workspace.client({ cacheFolder });
    expect(await client.complete(user('a'))).toMatchObject({ text: 'about a', fromCache: false });
    expect(messages).toEqual([`${file} is damaged: its question is asked again.`]);
    expect(client.statistics).toEqual({ asked: 1, fromCache: 0, retried: 0, damaged: 1 });
    expect(server.seen).toHaveLength(2);
    expect((await client.complete(user('a'))).fromCache).toBe(true);
  });

  it('serve two clients at once, which go on with the same ones', async () => {
    const { server } = workspace;
    const cacheFolder = await workspace.folder();
    let answers = 0;
    server.reply = () => `answer ${++answers}`;
    const release: (() => void)[] = [];
    server.before = () => new Promise<void>((resolve) => void release.push(resolve));
    const [one, two] = [workspace.client({ cacheFolder }), workspace.client({ cacheFolder })];
    const work = [one.complete(user('a')), two.complete(user('a'))] as const;
    while (release.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    release[0]!();
    const first = await Promise.race(work);
    release[1]!();
    expect((await Promise.all(work)).map(({ text }) => text)).toEqual([first.text, first.text]);
    expect([one.statistics.asked, two.statistics.asked]).toEqual([1, 1]);

    server.before = () => undefined;
    await Promise.all(
      Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? one : two).complete(user(`${i % 10}`))),
    );
    const third = workspace.client({ cacheFolder });
    for (let i = 0; i < 10; i++) await third.complete(user(`${i}`));
    expect(third.statistics).toEqual({ asked: 0, fromCache: 10, retried: 0, damaged: 0 });
  });

  it('are kept when the program is killed; only the rest is asked again', async () => {
    const { server } = workspace;
    const cacheFolder = await workspace.folder();
    server.faults.push(...Array(6).fill(undefined), silence);
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', 'test/llm/asking-process.ts', server.baseUrl, cacheFolder],
      { stdio: 'inherit' },
    );
    const ended = once(child, 'exit');
    while (server.seen.length < 7 && child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(filesBelow(cacheFolder)).toHaveLength(6);
    const client = workspace.client({ cacheFolder });
    for (let i = 0; i < 10; i++) expect((await client.complete(user(`${i}`))).text).toBe(`about ${i}`);
    expect(client.statistics).toEqual({ asked: 4, fromCache: 6, retried: 0, damaged: 0 });
    expect(server.seen.map(({ text }) => text).slice(7)).toEqual(['6', '7', '8', '9']);
  });
});

import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { cut, send, sendError, silence } from '../support/chat-server.ts';
import { chatWorkspace, refusalOf, secret, user } from './workspace.ts';

const workspace = chatWorkspace();

describe('a request', () => {
  it('has model, messages, sampling and key, and brings text and finish', async () => {
    const { server } = workspace;
    const client = workspace.client({
      sampling: { temperature: 0.7, topP: 0.8, repetitionPenalty: 1.05, maxTokens: 512, seed: 3 },
    });
    server.finish = 'length';
    expect(await client.complete(user('hello'))).toEqual({
      text: 'about hello',
      finish: 'length',
      model: 'qwen',
      fromCache: false,
    });
    expect(server.seen).toEqual([
      {
        path: 'POST /v1/chat/completions',
        authorization: `Bearer ${secret}`,
        text: 'hello',
        body: {
          model: 'qwen',
          messages: [{ role: 'user', content: 'hello' }],
          ...{ temperature: 0.7, top_p: 0.8, max_tokens: 512, seed: 3, repetition_penalty: 1.05 },
        },
      },
    ]);
    expect(client.statistics).toEqual({ asked: 1, fromCache: 0, retried: 0, damaged: 0 });
  });

  it('leaves out what is not given, takes further keys, and carries images', async () => {
    const { server } = workspace;
    const content = [
      { type: 'text', text: 'Who is this?' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
    ] as const;
    const client = workspace.client({ sampling: { extraBody: { top_k: 20 } }, environment: {} });
    await client.complete([{ role: 'user', content }]);
    expect(server.seen[0]!.body).toEqual({ model: 'qwen', messages: [{ role: 'user', content }], top_k: 20 });
    expect(server.seen[0]!.authorization).toBeUndefined();
  });

  it('takes the key from the variable that is named', async () => {
    const environment = { OPENAI_API_KEY: 'no', MY_KEY: ' yes\n' };
    await workspace.client({ apiKeyVariable: 'MY_KEY', environment }).complete(user('a'));
    expect(workspace.server.seen[0]!.authorization).toBe('Bearer yes');
  });

  it('waits where as many as allowed are open', async () => {
    const { server } = workspace;
    server.before = () => new Promise((resolve) => setTimeout(resolve, 5));
    const client = workspace.client({ concurrency: 3 });
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.complete(user(`${i}`))));
    expect(server.seen).toHaveLength(20);
    expect(server.mostAtOnce).toBe(3);
  });
});

describe('what passes is tried again:', () => {
  it.each([
    ['a server error', sendError(500, 'oops'), 75],
    ['a conflict', sendError(409, 'busy'), 75],
    ['a timeout of the server', send(408, ''), 75],
    ['too many requests', sendError(429, 'slow down'), 75],
    ['too many requests, with seconds', sendError(429, 'slow down', { 'retry-after': '7' }), 7050],
    ['a cut connection', cut, 75],
    ['a refused one', (response: { destroy(): unknown }) => void response.destroy(), 75],
  ])('%s', async (_, fault, wait) => {
    const { server, waits, messages } = workspace;
    server.faults.push(fault);
    const client = workspace.client();
    expect((await client.complete(user('a'))).text).toBe('about a');
    expect(waits).toEqual([wait]);
    expect(client.statistics).toEqual({ asked: 1, fromCache: 0, retried: 1, damaged: 0 });
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatch(/Trying again in \d+ s \(attempt 2 of 4\)\.$/);
  });

  it('too many requests, with a date', async () => {
    const { server, waits } = workspace;
    const date = new Date(Date.now() + 5000).toUTCString();
    server.faults.push(sendError(429, 'slow down', { 'retry-after': date }));
    await workspace.client().complete(user('a'));
    expect(waits[0]).toBeGreaterThan(0);
    expect(waits[0]).toBeLessThanOrEqual(5050);
  });

  it('silence', async () => {
    workspace.server.faults.push(silence);
    expect((await workspace.client({ timeout: 100 }).complete(user('a'))).text).toBe('about a');
    expect(workspace.messages[0]).toContain('did not answer within 0.1 s');
  });

  it('with waits that double up to the longest, as often as allowed', async () => {
    const { server, waits } = workspace;
    server.faults.push(...Array.from({ length: 9 }, () => sendError(503, 'loading')));
    const policy = { attempts: 5, firstWait: 100, longestWait: 500 };
    const client = workspace.client({ retries: policy });
    expect(await refusalOf(client.complete(user('a')))).toBe(
      `LLM_UNAVAILABLE: ${server.baseUrl}/chat/completions answered 503. The server says: loading Given up after 5 attempts.`,
    );
    expect(waits).toEqual([75, 150, 300, 375]);
    expect(server.seen).toHaveLength(5);
  });

  it('but not where the server asks for too long a wait', async () => {
    workspace.server.faults.push(sendError(429, 'daily limit', { 'retry-after': '3600' }));
    expect(await refusalOf(workspace.client().complete(user('a')))).toMatch(
      /^LLM_RATE_LIMITED: .*It asks to wait 3600 s: try again then\.$/,
    );
    expect(workspace.server.seen).toHaveLength(1);
  });

  it('nor where nobody is there in the end', async () => {
    const client = workspace.client({ baseUrl: 'http://127.0.0.1:2/v1' });
    expect(await refusalOf(client.complete(user('a')))).toMatch(
      /^LLM_UNREACHABLE: The connection to http:\/\/127\.0\.0\.1:2\/v1\/chat\/completions failed: .*ECONNREFUSED.*Given up after 4 attempts\.$/,
    );
  });

  it('nor for long where waiting would not help', async () => {
    // A port that fetch never connects to.
    const client = workspace.client({ baseUrl: 'http://127.0.0.1:1/v1' });
    expect(await refusalOf(client.complete(user('a')))).toMatch(
      /^LLM_UNREACHABLE: .*Given up after one attempt\.$/,
    );
  });
});

describe('what does not pass is said at once:', () => {
  it.each([
    [
      'a wrong key',
      sendError(401, 'bad key'),
      /^LLM_UNAUTHORIZED: .*\(401\): the key in the environment variable OPENAI_API_KEY is wrong.* The server says: bad key$/,
    ],
    ['no access', sendError(403, 'no'), /^LLM_UNAUTHORIZED: .*not for the model "qwen"/],
    [
      'a wrong address',
      send(404, '{"detail":"Not Found"}'),
      /^LLM_NOT_FOUND: http:\S+\/v1\/chat\/completions answered 404: .*model "qwen".*says: Not Found$/,
    ],
    [
      'a bad request',
      sendError(400, 'temperature is too high'),
      /^LLM_REQUEST_REFUSED: .*\(400\)\. The server says: temperature is too high$/,
    ],
    [
      'a bad request as older servers say it',
      send(422, '{"object":"error","message":"no such field"}'),
      /says: no such field$/,
    ],
    [
      'no money',
      sendError(429, 'pay first', {}, 'insufficient_quota'),
      /^LLM_QUOTA_USED_UP: .*says: pay first$/,
    ],
    [
      'a redirect',
      send(307, '', { location: 'https://elsewhere.example/v1' }),
      /^LLM_REQUEST_REFUSED: .*on to https:\/\/elsewhere\.example\/v1 \(307\)/,
    ],
    ['a page', send(200, '<html>welcome</html>'), /^LLM_ANSWER_INVALID: .*not JSON\..*begins: <html>welcome/],
    ['half an object', send(200, '{"choices": [{"mess'), /^LLM_ANSWER_INVALID: .*not JSON/],
    ['another shape', send(200, '[]'), /^LLM_ANSWER_INVALID: .*no JSON object/],
    ['no choices', send(200, { choices: [] }), /^LLM_ANSWER_INVALID: .*without any choice/],
    [
      'an error in an answer',
      send(200, { error: { message: 'overloaded' } }),
      /^LLM_ANSWER_INVALID: .*with an error: overloaded$/,
    ],
    [
      'a refusal',
      send(200, { choices: [{ message: { content: null, refusal: 'I will not' } }] }),
      /^LLM_ANSWER_EMPTY: .*gave no text: I will not\.$/,
    ],
    [
      'thoughts alone',
      send(200, { choices: [{ message: { content: null }, finish_reason: 'length' }] }),
      /^LLM_ANSWER_EMPTY: .*reason "length"\.$/,
    ],
  ])('%s', async (_, fault, expected) => {
    workspace.server.faults.push(fault);
    expect(await refusalOf(workspace.client().complete(user('a')))).toMatch(expected);
    expect(workspace.server.seen).toHaveLength(1);
  });

  it('a key that is not set, by the name of its variable', async () => {
    workspace.server.faults.push(sendError(401, 'who are you?'));
    const client = workspace.client({ apiKeyVariable: 'MY_KEY', environment: {} });
    expect(await refusalOf(client.complete(user('a')))).toContain(
      'the environment variable MY_KEY is not set',
    );
  });

  it('an answer without end', async () => {
    workspace.server.faults.push(send(200, ' '.repeat(17 * 1024 * 1024)));
    expect(await refusalOf(workspace.client().complete(user('a')))).toMatch(
      /^LLM_ANSWER_INVALID: .*more than 16777216 bytes/,
    );
  });

  it.each([
    [{ baseUrl: 'localhost' }, /^LLM_BASE_URL_INVALID: "localhost"/],
    [{ baseUrl: 'http://a:hidden@host/v1' }, /^LLM_BASE_URL_INVALID: (?!.*hidden)/],
    [{ baseUrl: 'http://host/v1?key=hidden' }, /^LLM_BASE_URL_INVALID: (?!.*hidden)/],
    [{ baseUrl: 'a:hidden@host/v1' }, /^LLM_BASE_URL_INVALID: (?!.*hidden)/],
    [{ baseUrl: 'http://host/v1/chat/completions/' }, /^LLM_BASE_URL_INVALID: .*: http:\/\/host\/v1\.$/],
    [{ environment: { OPENAI_API_KEY: 'hid\nden' } }, /^LLM_KEY_INVALID: (?!.*hid).*OPENAI_API_KEY/],
    [
      { model: '', concurrency: 0, timeout: 300_001, sampling: { topP: Number.NaN, extraBody: { n: 2 } } },
      /no name; the concurrency is 0.*; the timeout is 300001 ms.*; topP is NaN; extraBody has the key n\./,
    ],
  ])('wrong settings %#', async (options, expected) => {
    expect(await refusalOf((async () => workspace.client(options))())).toMatch(expected);
  });
});

describe('the key', () => {
  it('is in no message, even where a server repeats it', async () => {
    const { server, messages } = workspace;
    for (const fault of [
      sendError(500, `bad ${secret}`),
      sendError(401, `bad ${secret}`),
      send(200, `<html>${secret}</html>`),
      send(302, '', { location: `https://x.example/?key=${secret}` }),
    ]) {
      server.faults.push(fault);
    }
    const client = workspace.client();
    const errors: unknown[] = [];
    for (let i = 0; i < 3; i++) await client.complete(user('a')).catch((error) => errors.push(error));
    expect(errors).toHaveLength(3);
    expect(messages).toHaveLength(1);
    const told = `${messages.join()} ${inspect(errors, { depth: 9 })} ${inspect(client, { depth: 9 })}`;
    expect(told.match(/\[key\]/g)!.length).toBeGreaterThanOrEqual(4);
    expect(told).not.toContain(secret);
  });
});

describe('stopping', () => {
  it('ends what is asked, and what waits to be', async () => {
    const { server } = workspace;
    const controller = new AbortController();
    server.faults.push(silence);
    server.before = async () => undefined;
    const client = workspace.client({ concurrency: 1 });
    const work = [1, 2].map((i) => refusalOf(client.complete(user(`${i}`), { signal: controller.signal })));
    while (server.seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    controller.abort(new Error('stopped by hand'));
    expect(await Promise.all(work)).toEqual(Array(2).fill('undefined: stopped by hand'));
    expect(server.seen).toHaveLength(1);
    expect((await client.complete(user('3'))).text).toBe('about 3');
  });

  it('ends a wait', async () => {
    const controller = new AbortController();
    workspace.server.faults.push(sendError(500, 'oops'));
    const sleep = async () => controller.abort(new Error('stopped by hand'));
    const client = workspace.client({ sleep });
    expect(await refusalOf(client.complete(user('a'), { signal: controller.signal }))).toContain('by hand');
    expect(workspace.server.seen).toHaveLength(1);
  });
});

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { retryAfter } from '../../src/io/retries.ts';
import { type Fault, faults } from '../support/hub-server.ts';
import { bytes, firstCommit, hubWorkspace, pull, refusalOf } from './workspace.ts';

const workspace = hubWorkspace();
const id = 'org/model';
const weights = bytes(300_000);

beforeEach(() => {
  const { server } = workspace;
  server.seen.length = 0;
  server.faults.length = 0;
  server.models[id] = {
    revisions: { main: firstCommit },
    files: {
      'config.json': { content: Buffer.from('{}') },
      'model.safetensors': { content: weights, lfs: true },
    },
  };
});

/** Lets the content delivery network misbehave; how often. */
const onCdn = (act: Fault['act'], times = 1) =>
  void workspace.server.faults.push({ path: /lfs/, times, host: 'cdn', act });
const onHub = (path: RegExp, act: Fault['act'], times = 1) =>
  void workspace.server.faults.push({ path, times, host: 'hub', act });
const ranges = () => workspace.server.transfers(/lfs/).map(({ range }) => range);
/** Where each request for the weights began. */
const starts = () => ranges().map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')![1]));
const visible = (snapshot: string) => readFileSync(join(snapshot, 'model.safetensors')).equals(weights);
const blobs = (cache: string) => join(cache, 'models--org--model', 'blobs');
const unfinished = (cache: string) =>
  readdirSync(blobs(cache)).filter((name) => name.endsWith('.incomplete'));
const snapshot = (cache: string) => join(cache, 'models--org--model', 'snapshots', firstCommit);

describe('a connection', () => {
  it('that is cut goes on where it stopped', async () => {
    onCdn(workspace.cutAfter(100_000));
    onCdn(workspace.cutAfter(50_000));
    const { connection, messages } = await workspace.connect();
    expect(visible((await pull(connection, id)).snapshot)).toBe(true);
    expect(ranges()).toEqual([undefined, 'bytes=100000-', 'bytes=150000-']);
    expect(messages[0]).toMatch(/connection to 127.0.0.1:\d+ failed.*Trying again in 1 s/);
  });

  it('may be cut any number of times while bytes come, but not forever without one', async () => {
    onCdn(workspace.cutAfter(40_000), 5);
    const { connection } = await workspace.connect();
    expect(visible((await pull(connection, id)).snapshot)).toBe(true);
    onCdn(workspace.cutAfter(1000), 1);
    onCdn(workspace.cutAfter(0), 100);
    const other = await workspace.connect();
    const message = await refusalOf(pull(other.connection, id));
    expect(message).toMatch(
      /^HUB_UNREACHABLE: .*Given up after 3 attempts; the same command goes on from here/,
    );
    expect(unfinished(other.cache)).toHaveLength(1);
    workspace.server.faults.length = 0;
    workspace.server.seen.length = 0;
    expect(visible((await pull(other.connection, id)).snapshot)).toBe(true);
    expect(starts()).toEqual([1000]);
    expect(unfinished(other.cache)).toEqual([]);
  });

  it('that falls silent counts as cut', async () => {
    onCdn(faults.stallAfter(70_000));
    const { connection } = await workspace.connect({ HF_HUB_DOWNLOAD_TIMEOUT: '0.5' });
    expect(visible((await pull(connection, id)).snapshot)).toBe(true);
    expect(starts()).toEqual([0, 70_000]);
  });

  it('that nobody answers names the address and the variable', async () => {
    const { connection } = await workspace.connect({
      HF_ENDPOINT: 'http://127.0.0.1:1/',
      HTTPS_PROXY: 'http://127.0.0.1:1',
    });
    const message = await refusalOf(pull(connection, id));
    expect(message).toMatch(/^HUB_UNREACHABLE: .*127\.0\.0\.1:1 .*HF_ENDPOINT.*NODE_USE_ENV_PROXY/);
  });

  it('is tried again only where that may help, and each wait is told', async () => {
    const failing = async (code: string, message = code) => {
      const cause = Object.assign(new Error(message), { code });
      const fetching = vi
        .spyOn(globalThis, 'fetch')
        .mockRejectedValue(new TypeError('fetch failed', { cause }));
      const { connection, messages } = await workspace.connect();
      const refusal = await refusalOf(pull(connection, id));
      const attempts = fetching.mock.calls.length;
      fetching.mockRestore();
      return { attempts, messages, refusal };
    };
    const refused = await failing('ECONNREFUSED');
    expect(refused.attempts).toBe(3);
    expect(refused.messages).toEqual([
      expect.stringMatching(/ECONNREFUSED.* Trying again in 1 s \(attempt 2 of 3\)\.$/),
      expect.stringMatching(/Trying again in 1 s \(attempt 3 of 3\)\.$/),
    ]);
    const unknown = await failing('ENOTFOUND', 'getaddrinfo ENOTFOUND hub.example');
    expect(unknown.attempts).toBe(2);
    expect(unknown.messages).toEqual([expect.stringContaining('(attempt 2 of 2)')]);
    expect(unknown.refusal).toMatch(/^HUB_UNREACHABLE: .*hub\.example.*Given up after 2 attempts/);
    for (const code of ['DEPTH_ZERO_SELF_SIGNED_CERT', 'CERT_HAS_EXPIRED', 'ERR_TLS_CERT_ALTNAME_INVALID']) {
      const { attempts, messages, refusal } = await failing(code);
      expect({ attempts, messages }).toEqual({ attempts: 1, messages: [] });
      expect(refusal).toMatch(/^HUB_UNREACHABLE: .*Given up after one attempt/);
    }
  });

  it('that the user stops leaves what came', async () => {
    const controller = new AbortController();
    onCdn(workspace.cutAfter(120_000, () => controller.abort(new Error('enough'))));
    const { connection, cache } = await workspace.connect({}, { signal: controller.signal });
    expect(await refusalOf(pull(connection, id))).toBe('undefined: enough');
    expect(existsSync(snapshot(cache))).toBe(false);
    const more = { ...connection, signal: new AbortController().signal };
    expect(visible((await pull(more, id)).snapshot)).toBe(true);
    expect(starts()).toEqual([0, 120_000]);
  });

  it('of a process that was killed is taken over', async () => {
    onCdn(workspace.cutAfter(90_000));
    onCdn(workspace.cutAfter(0), 2);
    const { connection, cache } = await workspace.connect();
    await refusalOf(pull(connection, id));
    // No process has this number.
    const [free] = unfinished(cache);
    const { claimPartial } = await import('../../src/hub/partial.ts');
    const own = await claimPartial(join(blobs(cache), free!.split('.')[0]!));
    if (own === 'busy') throw new Error('busy');
    await rename(own.file, own.file.replace(`-${process.pid}-`, '-4194999-'));
    workspace.server.seen.length = 0;
    expect(visible((await pull(connection, id)).snapshot)).toBe(true);
    expect(starts()).toEqual([90_000]);
    expect(unfinished(cache)).toEqual([]);
  });
});

describe('a server', () => {
  it('that knows no ranges sends all again', async () => {
    onCdn(workspace.cutAfter(100_000));
    onCdn(faults.send(weights));
    const { connection, messages } = await workspace.connect();
    expect(visible((await pull(connection, id)).snapshot)).toBe(true);
    expect(messages.join()).toContain('cannot go on in the middle');
  });

  it('that refuses or mistakes a range is asked for the whole file', async () => {
    const lying: Fault['act'] = (response, content) => {
      const head = { 'content-range': `bytes 0-9/${content.length}`, 'content-length': 10 };
      response.writeHead(206, head).end(content.subarray(0, 10));
    };
    for (const act of [faults.status(416), lying]) {
      workspace.server.seen.length = 0;
      onCdn(workspace.cutAfter(100_000));
      onCdn(act);
      const { connection } = await workspace.connect();
      expect(visible((await pull(connection, id)).snapshot)).toBe(true);
      expect(starts()).toEqual([0, 100_000, 0]);
    }
  });

  it('that sends other bytes is found out before they are visible', async () => {
    const wrong = Buffer.from(weights);
    wrong[150_000]! ^= 1;
    onCdn(faults.send(wrong));
    const { connection, cache } = await workspace.connect();
    const message = await refusalOf(pull(connection, id));
    expect(message).toMatch(/^HUB_CHECKSUM: model\.safetensors of org\/model .*removed/);
    expect(readdirSync(blobs(cache))).toEqual([]);
    expect(existsSync(snapshot(cache))).toBe(false);
    expect(existsSync(join(cache, 'models--org--model', 'refs', 'main'))).toBe(false);
    onHub(/config\.json/, faults.send(Buffer.from('[]')));
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_CHECKSUM: config\.json/);
    expect(await readdir(snapshot(cache))).toEqual(['model.safetensors']);
  });

  it('whose earlier bytes were damaged here sends them again', async () => {
    onCdn(workspace.cutAfter(100_000));
    onCdn(workspace.cutAfter(0), 2);
    const { connection, cache, messages } = await workspace.connect();
    await refusalOf(pull(connection, id));
    await writeFile(join(blobs(cache), unfinished(cache)[0]!), bytes(100_000, 1));
    workspace.server.seen.length = 0;
    expect(visible((await pull(connection, id)).snapshot)).toBe(true);
    expect(starts()).toEqual([100_000, 0]);
    expect(messages.join()).toContain('damaged; starting over');
  });

  it('that announces another length or another hash is not believed', async () => {
    const { connection } = await workspace.connect();
    onCdn(faults.send(weights.subarray(1)));
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_FILE_CHANGED: .*300000 bytes.*299999/);
    const unannounced: Fault['act'] = (response) =>
      void response.writeHead(200).end(Buffer.concat([weights, weights]));
    onCdn(unannounced);
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_FILE_CHANGED: .*sends more/);
    onHub(/resolve/, faults.status(302, { location: '/nowhere', 'x-linked-etag': `"${'a'.repeat(64)}"` }));
    onHub(/nowhere/, faults.send(weights));
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_FILE_CHANGED: .*offers aaaa/);
    onHub(/config/, faults.send(Buffer.from('{}'), { etag: `W/"${'b'.repeat(40)}"` }));
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_FILE_CHANGED: .*offers bbbb/);
    onHub(/config/, faults.send(Buffer.from('{}'), { etag: '"of-a-mirror"' }));
    expect(visible((await pull(connection, id)).snapshot)).toBe(true);
  });

  it('that changed a file between two attempts is not mixed', async () => {
    onCdn(workspace.cutAfter(100_000));
    onCdn(workspace.cutAfter(0), 2);
    const { connection, cache } = await workspace.connect();
    await refusalOf(pull(connection, id));
    const changed = bytes(300_000, 77);
    workspace.server.models[id] = {
      revisions: { main: '3'.repeat(40) },
      files: {
        'config.json': { content: Buffer.from('{}') },
        'model.safetensors': { content: changed, lfs: true },
      },
    };
    workspace.server.seen.length = 0;
    const { snapshot: folder } = await pull(connection, id);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(changed)).toBe(true);
    expect(starts()).toEqual([0]);
    // What came of the other one stays, under its own hash.
    expect(unfinished(cache)).toHaveLength(1);
  });

  it('that is busy or broken for a while is asked again', async () => {
    onHub(/revision/, faults.status(429, { 'retry-after': '0' }));
    onHub(/tree/, faults.status(500));
    onHub(/tree/, (response) => {
      response.writeHead(200, { 'content-length': 500 });
      response.write('[', () => setTimeout(() => response.destroy(), 5));
    });
    onHub(/resolve/, faults.status(503));
    onCdn(faults.status(500));
    const { connection, messages } = await workspace.connect();
    expect(visible((await pull(connection, id)).snapshot)).toBe(true);
    expect(messages.join('\n')).toMatch(/429.*Trying again in 0 s.*500.*failed.*503/s);
  });

  it('that stays busy or broken is given up on', async () => {
    const { connection } = await workspace.connect();
    onHub(/revision/, faults.status(429, { ratelimit: '"api";r=0;t=0' }), 3);
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_RATE_LIMITED: .*Given up after 3 attempts/);
    onHub(/revision/, faults.status(429, { 'retry-after': '3600' }));
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_RATE_LIMITED: .*wait 3600 s/);
    onHub(/resolve/, faults.status(502), 3);
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_UNAVAILABLE: .*502.*Given up/);
    onHub(/revision/, faults.status(302, { location: '/api/models/org/model/revision/main' }), 20);
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_REQUEST_FAILED: .*redirect/);
  });

  it('is believed about how long to wait', () => {
    const now = Date.parse('2025-01-01T00:00:00Z');
    const wait = (headers: Record<string, string>) => retryAfter(new Headers(headers), now);
    expect(wait({ 'retry-after': '7' })).toBe(7000);
    expect(wait({ 'retry-after': 'Wed, 01 Jan 2025 00:00:30 GMT' })).toBe(30_000);
    expect(wait({ ratelimit: '"api";r=0;t=55' })).toBe(55_000);
    expect(wait({ 'retry-after': 'soon' })).toBeUndefined();
    expect(wait({})).toBeUndefined();
  });
});

describe('a refusal', () => {
  it.each([
    ['org/missing', {}, /^HUB_REPOSITORY_NOT_FOUND: There is no model "org\/missing".*set HF_TOKEN/],
    ['org/missing', { HF_TOKEN: 'x' }, /^HUB_REPOSITORY_NOT_FOUND: .*org\/missing.*token that was sent/],
    ['org/model@v9', {}, /^HUB_REVISION_NOT_FOUND: org\/model has no revision "v9"/],
    ['org/private', {}, /^HUB_REPOSITORY_NOT_FOUND: .*it is private, set HF_TOKEN/],
    [
      'org/gated',
      {},
      /^HUB_GATED: org\/gated is gated: accept its licence at http.*\/org\/gated .*set HF_TOKEN/,
    ],
    ['org/gated', { HF_TOKEN: 'x' }, /^HUB_GATED: .*the token that was sent/],
  ])('%s with %j says what to do', async (name, environment, message) => {
    workspace.server.models['org/private'] = { ...workspace.server.models[id]!, token: 'right' };
    workspace.server.models['org/gated'] = { ...workspace.server.models[id]!, gated: true };
    const { connection, cache } = await workspace.connect(environment);
    expect(await refusalOf(pull(connection, name))).toMatch(message);
    expect(existsSync(snapshot(cache))).toBe(false);
  });

  it.each([
    [/revision/, 401, {}, /^HUB_UNAUTHORIZED: .*set HF_TOKEN/],
    [
      /resolve/,
      403,
      { 'x-error-message': 'Enable\u001b[31m it' },
      /^HUB_FORBIDDEN: .*licence.*says: Enable \[31m it$/,
    ],
    [/revision/, 404, {}, /^HUB_REPOSITORY_NOT_FOUND/],
    [/resolve/, 404, {}, /^HUB_FILE_NOT_FOUND: .*model\.safetensors/],
    [/revision/, 418, {}, /^HUB_REQUEST_FAILED: .*418/],
  ])('of a server with plain status codes, at %s %d', async (path, status, headers, message) => {
    // Bytes above 127 in headers are Latin-1, control characters are not permitted by Node's server.
    const sent = Object.fromEntries(
      Object.entries(headers).map(([key, value]) => [key, value.replace('\u001b', '\u0085')]),
    );
    onHub(path, faults.status(status, sent));
    const { connection } = await workspace.connect();
    expect(await refusalOf(pull(connection, id))).toMatch(message);
  });

  it('of another host says that the token did not go there', async () => {
    onCdn(faults.status(403));
    const { connection } = await workspace.connect({ HF_TOKEN: 'x' });
    expect(await refusalOf(pull(connection, id))).toMatch(
      /^HUB_REQUEST_FAILED: 127.*answered 403.*token is sent to .* only/,
    );
  });

  it('names patterns that match nothing, and what there is', async () => {
    const { connection } = await workspace.connect();
    expect(await refusalOf(pull(connection, id, ['*.json', '*.gguf', 'x?']))).toMatch(
      /^HUB_NO_FILES: org\/model has no file that matches "\*\.gguf" or "x\?"\. It has: config\.json, model\.safetensors/,
    );
  });
});

import { get } from 'node:http';
import { resolve } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { decodeAudio } from '../../src/data/media/audio.ts';
import { decodeFrames } from '../../src/data/media/frames.ts';
import { makeAskedRun } from '../support/asked-run.ts';
import { ExamplePage, findChromium, noChromium, serveExample } from '../support/chromium.ts';

const chromium = findChromium();
if (chromium === undefined) console.warn(`The browser example is not tested. ${noChromium}`);

describe.skipIf(chromium === undefined)('the browser example', async () => {
  if (chromium === undefined) return;
  const { exported, clips } = await makeAskedRun();
  let page: ExamplePage;
  beforeAll(async () => {
    page = await ExamplePage.open(chromium, exported);
    return () => page.close();
  });

  it('is asked about clips of which the model says different things, by their pictures and sound alone', () => {
    expect(clips).toHaveLength(10);
    expect(new Set(clips.map(({ subtitle }) => subtitle)).size).toBe(1);
    expect(new Set(clips.map(({ text }) => text)).size).toBeGreaterThanOrEqual(6);
  });

  it('answers as predict does, token for token, given the same pixels and samples', async () => {
    for (const { video, subtitle, text, tokens } of clips) {
      const { data, count, height, width } = await decodeFrames(video, 8);
      const frame = { data, dims: [count, height, width, 3] };
      const answer = await page.askWith({ subtitle, frame, audio: await decodeAudio(video) });
      expect(answer).toEqual({ text, tokens });
    }
    expect(page.errors).toEqual([]);
  });

  it('answers as predict does on at least 9 of 10 clips that the browser decodes itself', async () => {
    const answers = [];
    for (const { video, subtitle } of clips) answers.push(await page.ask(video, subtitle));
    const equal = answers.filter(({ tokens }, i) => tokens.join() === clips[i]!.tokens.join());
    expect(equal.length, JSON.stringify({ answers, clips })).toBeGreaterThanOrEqual(9);
    expect(page.errors).toEqual([]);
  });
});

describe('the server of the browser example', () => {
  it('gives what the page needs, and nothing outside', async () => {
    const { address, close } = await serveExample(resolve('configs'));
    onTestFinished(close);
    // Not fetch, which tidies up addresses.
    const status = (path: string) =>
      new Promise<string>((done, fail) => {
        const request = get(address, { path }, (response) => {
          response.resume();
          done(`${response.statusCode} ${response.headers['content-type']}`);
        });
        request.on('error', fail);
      });
    expect(await status('/')).toBe('200 text/html');
    expect(await status('/packages/onnxruntime-web/ort-wasm-simd-threaded.wasm')).toBe(
      '200 application/wasm',
    );
    expect(await status('/model/prefusion-attn.yaml')).toBe('200 application/octet-stream');
    for (const path of [
      '/..%2fserve.mjs',
      '/model/../../package.json',
      '/model/..%2fpackage.json',
      '/%',
      '/model/',
      '/none',
    ]) {
      expect(await status(path), path).toBe('404 text/plain');
    }
    // Still there.
    expect(await status('/clip.mjs')).toBe('200 text/javascript');
  });
});

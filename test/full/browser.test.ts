import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { decodeAudio } from '../../src/data/media/audio.ts';
import { decodeFrames } from '../../src/data/media/frames.ts';
import { runQuickstart } from '../../src/quickstart/run.ts';
import { quickstartScale } from '../../src/quickstart/stages.ts';
import { readLines } from '../e2e/workspace.ts';
import { exportAndAsk } from '../support/asked-run.ts';
import { ExamplePage, findChromium, noChromium } from '../support/chromium.ts';
import { jsonLines } from '../support/json-lines.ts';

/** A folder of `affectgpt quickstart`; without it the quickstart runs here, which takes minutes. */
const { AFFECTGPT_QUICKSTART: given = '' } = process.env;

const chromium = findChromium();
if (chromium === undefined) console.warn(`The browser example is not tested. ${noChromium}`);

describe.skipIf(chromium === undefined)('the browser example with the model of the quickstart', () => {
  it('answers as predict does about clips that the model has never seen', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'affectgpt-browser-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const quickstart = given === '' ? join(folder, 'quickstart') : resolve(given);
    if (given === '') {
      const stream = { write: () => true };
      await runQuickstart({ folder: quickstart, seed: 1, scale: quickstartScale, stream });
    }
    const rows = await readLines(join(quickstart, 'clips', 'manifest.jsonl'));
    const unseen = rows.filter(({ split }) => split === 'test').slice(0, 10);
    const manifest = join(folder, 'ten.jsonl');
    const absolute = unseen.map((row) => ({ ...row, video: join(quickstart, 'clips', String(row.video)) }));
    await writeFile(manifest, jsonLines(absolute));
    const { exported, clips } = await exportAndAsk(join(quickstart, 'all'), manifest, folder);
    expect(clips).toHaveLength(10);
    expect(new Set(clips.map(({ text }) => text)).size).toBeGreaterThan(2);

    const page = await ExamplePage.open(chromium!, exported);
    onTestFinished(() => page.close());
    let equal = 0;
    for (const { video, subtitle, text, tokens } of clips) {
      const { data, count, height, width } = await decodeFrames(video, 8);
      const frame = { data, dims: [count, height, width, 3] };
      const answer = await page.askWith({ subtitle, frame, audio: await decodeAudio(video) });
      expect(answer).toEqual({ text, tokens });
      const decoded = await page.ask(video, subtitle);
      if (decoded.tokens.join() === tokens.join()) equal++;
    }
    console.log(`With the browser's own decoding ${equal} of ${clips.length} answers are those of predict.`);
    expect(equal).toBeGreaterThanOrEqual(9);
    expect(page.errors).toEqual([]);
  });
});

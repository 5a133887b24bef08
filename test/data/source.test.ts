import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { inputModes } from '../../model/modes.ts';
import { FeatureStore } from '../../src/data/feature-store.ts';
import { FeatureExtractor } from '../../src/data/features.ts';
import { promptFormat } from '../../src/data/prompt-format.ts';
import { buildPrompt, questionText } from '../../src/data/prompts.ts';
import { readRecords } from '../../src/data/read-records.ts';
import type { SampleRecord } from '../../src/data/records.ts';
import type { SampleSourceOptions } from '../../src/data/source.ts';
import { SampleSource } from '../../src/data/source.ts';
import { openReference, variantConfig } from '../support/affectgpt-reference.ts';
import { folderForFile } from '../support/temporary-folder.ts';
import { makeClip } from './make-media.ts';
import { tinyTokenizer } from './tiny-tokenizer.ts';

const reference = await openReference();
const tokenizer = tinyTokenizer();
const inputs = 'frame';
const config = variantConfig(reference, reference.golden.variants['attention-attention']!);
const model = { ...config, mode: inputModes[inputs] };

const folder = folderForFile();
let records: SampleRecord[];
const notices: string[] = [];
beforeAll(async () => {
  await makeClip(join(folder, 'a.mp4'), { frames: 9 });
  await makeClip(join(folder, 'b.mp4'), { frames: 4 });
  await makeClip(join(folder, 'silent.mp4'), { frames: 4, sound: false });
  const rows = [
    { name: 'a', video: 'a.mp4', subtitle: 'Well.', labels: ['sad', 'tired'], description: 'He sighs.' },
    { name: 'b', video: 'b.mp4', labels: ['happy'] },
    { name: 'silent', video: 'silent.mp4', labels: ['calm'] },
  ];
  await writeFile(join(folder, 'm.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  records = await readRecords({ manifest: join(folder, 'm.jsonl') });
});

const encode =
  (size: number) =>
  async ({ count }: { count: number }) =>
    ({ dtype: 'float32', shape: [count, size], data: new Float32Array(count * size).fill(count) }) as const;

/** The published prompts, opened by a start token when asked or not. */
const wording = (bosAtInference: boolean) =>
  promptFormat({ inputs, template: null, compat: { bosAtInference, stopSequences: 'published' } });

function options(changes: Partial<SampleSourceOptions> = {}): SampleSourceOptions {
  const notify = (message: string) => void notices.push(message);
  const features = new FeatureExtractor({
    store: new FeatureStore({ folder: join(folder, 'cache'), notify }),
    visual: { identity: 'v', encode: encode(20) },
    audio: { identity: 'a', encode: encode(28) },
    frames: 8,
    audioTail: 'div8',
    faceColors: { stored: 'bgr', encoded: 'bgr' },
    notify,
  });
  return {
    records,
    inputs,
    format: wording(true),
    model,
    tokenizer,
    features,
    maxLength: 1024,
    seed: 1,
    attendFinalEos: false,
    labelType: 'hybird',
    onBadSample: 'fail',
    notify,
    ...changes,
  };
}

describe('SampleSource', () => {
  it('gives batches whose tokens read as prompt, answer and stop', async () => {
    const source = await SampleSource.open(options({ records: records.slice(0, 2) }));
    await source.prepare();
    const batch = await source.loadBatch(['b', 'a'], { epoch: 3, step: 5 });
    expect(batch.inputs.frame!.shape).toEqual([2, 8, 20]);
    expect(batch.inputs.audio!.shape).toEqual([2, 8, 28]);
    expect(batch.inputs.rowKeys).toBeDefined();
    const { question, answer } = source.task('b', 3);
    expect([question, answer]).toEqual([
      questionText('ovlabel'),
      "The character's emotional state is happy.",
    ]);
    const { data, shape } = batch.inputs.inputIds!;
    const ids = [...data.subarray(0, shape[1])];
    for (const slot of ['audio', 'frame'] as const) ids[ids.indexOf(0)] = tokenizer.placeholderIds[slot];
    const text = `<|im_start|>${buildPrompt(inputs, '', question)}${answer}###<|im_end|>`;
    expect(tokenizer.decode(ids)).toBe(text + '<|im_end|>'.repeat(shape[1]! - tokenizer.encode(text).length));
    const targets = [...batch.inputs.targets!.data].slice(0, tokenizer.encode(`${answer}###`).length + 1);
    expect(tokenizer.decode(targets)).toBe(`${answer}###<|im_end|>`);
  });

  it('draws an answer by epoch', async () => {
    const source = await SampleSource.open(options());
    const types = Array.from({ length: 20 }, (_, epoch) => source.task('a', epoch).type);
    expect(new Set(types)).toEqual(new Set(['ovlabel', 'description']));
    expect(Array.from({ length: 20 }, (_, epoch) => source.task('a', epoch).type)).toEqual(types);
  });

  it('prepares all features once; a second run decodes nothing', async () => {
    const only = { records: records.slice(0, 2) };
    const again = options(only);
    await (await SampleSource.open(options(only))).prepare();
    const progress: number[] = [];
    await (await SampleSource.open(again)).prepare((done, total) => progress.push(done, total));
    expect(again.features.decodes).toBe(0);
    expect(progress).toEqual([1, 2, 2, 2]);
  });

  it('stops at a bad clip, or skips it with a notice', async () => {
    const failing = await SampleSource.open(options());
    await expect(failing.prepare()).rejects.toMatchObject({
      code: 'AUDIO_MISSING',
      message: expect.stringMatching(/m\.jsonl, row 3, sample "silent"/),
    });
    notices.length = 0;
    const skipping = await SampleSource.open(options({ onBadSample: 'skip' }));
    await skipping.prepare();
    expect(skipping.names).toEqual(['a', 'b']);
    expect(notices).toEqual([expect.stringContaining('silent.mp4 has no audio track')]);
    expect(skipping.skipped).toEqual([
      { name: 'silent', reasons: [expect.stringContaining('silent.mp4 has no audio track')] },
    ]);
  });

  it('skips no more than the limit allows, faults found early and late together', async () => {
    const gone = { ...records[1]!, name: 'gone', video: join(folder, 'gone.mp4'), origin: 'row 9' };
    const all = [...records, gone];
    const open = (badSampleLimit: number) =>
      SampleSource.open(options({ records: all, onBadSample: 'skip', badSampleLimit }));
    await expect(open(0)).rejects.toMatchObject({ code: 'SAMPLES_SKIPPED_TOO_MANY' });
    // One of four is allowed, rounded up.
    const one = await open(0.1);
    expect(one.skipped.map(({ name }) => name)).toEqual(['gone']);
    await expect(one.prepare()).rejects.toMatchObject({
      code: 'SAMPLES_SKIPPED_TOO_MANY',
      message: expect.stringMatching(
        /^2 of 4 samples .*badSampleLimit 0\.1 allows 1 .*gone\.mp4.*silent\.mp4/,
      ),
    });
    const two = await open(0.5);
    await two.prepare();
    expect(two.names).toEqual(['a', 'b']);
  });

  it('names every sample that is too long, has no answer or no file', async () => {
    const gone: SampleRecord = {
      name: 'gone',
      video: join(folder, 'gone.mp4'),
      labels: ['x'],
      origin: 'row 9',
    };
    const mute: SampleRecord = { name: 'mute', video: join(folder, 'a.mp4'), origin: 'row 10' };
    const long: SampleRecord = {
      ...records[0]!,
      name: 'long',
      subtitle: 'word '.repeat(300),
      origin: 'row 11',
    };
    const all = [...records, gone, mute, long];
    const error = await SampleSource.open(options({ records: all })).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SAMPLES_UNUSABLE', exitCode: 2 });
    expect((error as Error).message).toMatch(
      /^3 of 6 samples.*row 9.*gone\.mp4.*row 10.*no answer.*"long" has \d+ tokens/s,
    );
    const source = await SampleSource.open(options({ records: all, onBadSample: 'skip' }));
    expect(source.names).toEqual(['a', 'b', 'silent']);
    const none = options({ records: [gone], onBadSample: 'skip' });
    await expect(SampleSource.open(none)).rejects.toMatchObject({ code: 'SAMPLES_NONE' });
  });

  it('gives prompts for generation, with bos or without', async () => {
    const source = await SampleSource.open(options({ labelType: null }));
    const question = 'How does he feel?';
    const { inputs: prompt, attentionMask } = await source.loadPrompts(['a', 'b'], question);
    expect(prompt.inputIds!.data[0]).toBe(tokenizer.bosId);
    expect([...attentionMask.data].filter((value) => value === 0)).toHaveLength('Well.'.length);
    const bare = await SampleSource.open(options({ labelType: null, format: wording(false) }));
    const without = await bare.loadPrompts(['a'], question);
    expect(tokenizer.decode([...without.inputs.inputIds!.data].slice(-40))).toMatch(
      /How does he feel\? ###Assistant: $/,
    );
    await expect(source.loadPrompts(['nobody'], question)).rejects.toMatchObject({
      code: 'SAMPLE_UNKNOWN',
    });
  });
});

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeAudio } from '../../src/data/media/audio.ts';
import { decodeFrames } from '../../src/data/media/frames.ts';
import { CLIP_FORMAT, planClips, renderClip, writeClips } from '../../src/quickstart/clips.ts';
import { EMOTIONS } from '../../src/quickstart/emotions.ts';
import { readLines } from '../support/json-lines.ts';
import { folderForFile } from '../support/temporary-folder.ts';

interface Row {
  readonly name: string;
  readonly video: string;
  readonly labels: readonly string[];
  readonly description: string;
}

const plans = planClips(11, { trainSpeakers: 6, testSpeakers: 2 });

describe('clip plans', () => {
  it('depend on the seed alone', () => {
    expect(planClips(11, { trainSpeakers: 6, testSpeakers: 2 })).toEqual(plans);
    expect(planClips(12, { trainSpeakers: 6, testSpeakers: 2 })).not.toEqual(plans);
  });

  it('let every speaker say one sentence in all six emotions, so that neither tells the emotion', () => {
    const emotionsBy = (key: (plan: (typeof plans)[number]) => string) => {
      const groups = new Map<string, string[]>();
      for (const plan of plans) groups.set(key(plan), [...(groups.get(key(plan)) ?? []), plan.emotion]);
      return [...groups.values()].map((emotions) => emotions.sort());
    };
    const all = [...EMOTIONS].sort();
    expect(emotionsBy((plan) => plan.subtitle.text)).toEqual(Array.from({ length: 8 }, () => all));
    expect(emotionsBy((plan) => JSON.stringify(plan.identity))).toEqual(Array.from({ length: 8 }, () => all));
    expect(emotionsBy((plan) => JSON.stringify(plan.voice))).toEqual(Array.from({ length: 8 }, () => all));
  });

  it('shares no speaker, scene or sentence between training and test, and no scene between clips', () => {
    const parts = (split: string) =>
      new Set(
        plans
          .filter((plan) => plan.split === split)
          .flatMap(({ identity, voice, scene, subtitle }) => [
            JSON.stringify(identity),
            JSON.stringify(voice),
            JSON.stringify(scene),
            subtitle.text,
          ]),
      );
    const train = parts('train');
    expect([...parts('test')].filter((part) => train.has(part))).toEqual([]);
    expect(new Set(plans.map(({ scene }) => JSON.stringify(scene))).size).toBe(plans.length);
  });

  it('orders and names clips without regard to emotion', () => {
    const first = plans.slice(0, 6).map(({ emotion }) => emotion);
    expect(first).not.toEqual(EMOTIONS);
    expect(plans.map(({ name }) => name).join()).not.toMatch(/happy|calm|sad|angry|surprised|afraid/);
    expect(plans[0]!.name).toBe('train-0001');
  });
});

describe('written clips', async () => {
  const folder = folderForFile();
  const few = [plans[0]!, plans.at(-1)!];
  const manifest = await writeClips(folder, few);
  const rows = await readLines<Row>(manifest);

  it('have a manifest with paths relative to it', () => {
    expect(rows.map(({ name }) => name)).toEqual(few.map(({ name }) => name));
    expect(Object.keys(rows[0]!)).toEqual(['name', 'video', 'subtitle', 'labels', 'description', 'split']);
    expect(rows[1]).toMatchObject({ split: 'test', video: `videos/${few[1]!.name}.mp4` });
    expect(rows[0]!.labels[0]).toBe(few[0]!.emotion);
    expect(rows[0]!.description).toContain(few[0]!.emotion);
  });

  it('decode to the pictures that were drawn', async () => {
    const { size } = CLIP_FORMAT;
    const decoded = await decodeFrames(join(folder, rows[0]!.video), 8);
    const drawn = renderClip(few[0]!).frames;
    expect([decoded.count, decoded.height, decoded.width]).toEqual([8, size, size]);
    const length = size * size * 3;
    for (const i of [0, 4, 7]) {
      const frame = Math.floor((i * CLIP_FORMAT.frames) / 8);
      let error = 0;
      for (let k = 0; k < length; k++)
        error += Math.abs(decoded.data[i * length + k]! - drawn[frame * length + k]!);
      expect(error / length).toBeLessThan(6);
    }
  });

  it('decode to the voice that was spoken', async () => {
    const decoded = await decodeAudio(join(folder, rows[0]!.video));
    const { wave } = renderClip(few[0]!);
    expect(decoded.length).toBeGreaterThanOrEqual(wave.length);
    expect(decoded.length).toBeLessThan(wave.length + 4096);
    const power = (samples: Float32Array) => samples.reduce((sum, value) => sum + value * value, 0);
    expect(power(decoded) / power(wave)).toBeCloseTo(1, 0);
    let best = 0;
    for (let shift = 0; shift <= 2048; shift += 1) {
      let sum = 0;
      for (let n = 8000; n < 12_000; n++) sum += decoded[n + shift]! * wave[n]!;
      best = Math.max(best, sum);
    }
    expect(best / power(wave.subarray(8000, 12_000))).toBeGreaterThan(0.8);
  });
});

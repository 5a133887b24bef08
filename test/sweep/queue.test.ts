import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { featureSets } from '../../src/sweep/effective.ts';
import type { SweepPoint } from '../../src/sweep/load.ts';
import { PointQueue } from '../../src/sweep/queue.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();

const configOf = (visual: string, audio: string, more: Record<string, unknown> = {}) =>
  parseConfig({
    model: {
      visualEncoder: { type: visual, model: visual },
      audioEncoder: { type: audio, model: audio },
      ...more,
    },
    data: { manifest: 'clips.jsonl' },
    output: 'run',
  });

const pointOf = (id: string, visual: string, audio: string): SweepPoint => ({
  ...{ id, setting: id, cells: {}, seed: 1, given: [] },
  folder: join(folder, id),
  config: configOf(visual, audio),
});

/** What a run does when its features are ready. */
function prepare({ folder: run }: SweepPoint): void {
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, 'config.yaml'), '');
}

describe('features', () => {
  it('are shared by what has the same encoder, frames and samples', () => {
    const keys = (...of: Parameters<typeof configOf>) => featureSets(configOf(...of)).map(({ key }) => key);
    const [face, audio] = keys('clip', 'hubert');
    expect(keys('clip', 'wavlm')[0]).toBe(face);
    expect(keys('clip', 'wavlm')[1]).not.toBe(audio);
    expect(keys('dinov2', 'hubert')).toEqual([expect.not.stringMatching(face!), audio]);
    expect(keys('clip', 'hubert', { frames: 4 })).toEqual([expect.not.stringMatching(face!), audio]);
    expect(keys('clip', 'hubert', { inputs: 'audioonly' })).toEqual([audio]);
    expect(keys('clip', 'hubert', { inputs: 'textonly' })).toEqual([]);
  });
});

describe('the queue', () => {
  it('lets a point wait while another computes features that it needs', () => {
    const [a, b, c, d] = [
      pointOf('a', 'clip', 'hubert'),
      pointOf('b', 'clip', 'wavlm'),
      pointOf('c', 'dinov2', 'wavlm'),
      pointOf('d', 'dinov2', 'hubert'),
    ] as const;
    const all = [a, b, c, d];
    const queue = new PointQueue(all, all);
    expect(queue.take([])).toBe(a);
    // b needs the faces that a computes; c shares nothing with it.
    expect(queue.take([a])).toBe(c);
    expect(queue.take([a, c])).toBeUndefined();
    prepare(a);
    // b still needs the sound that c computes, d the faces.
    expect(queue.take([a, c])).toBeUndefined();
    prepare(c);
    expect(queue.take([a, c])).toBe(b);
    expect(queue.take([a, c])).toBe(d);
    expect(queue.take([])).toBeUndefined();
  });

  it('gives way where the one that computed has failed', () => {
    const [e, f] = [pointOf('e', 'siglip', 'data2vec'), pointOf('f', 'siglip', 'data2vec')];
    const queue = new PointQueue([f!], [e!, f!]);
    expect(queue.take([e!])).toBeUndefined();
    expect(queue.take([])).toBe(f);
  });

  it('knows the features of points that ran before', () => {
    const [g, h, i] = ['g', 'h', 'i'].map((id) => pointOf(id, 'siglip', 'hubert'));
    prepare(g!);
    const queue = new PointQueue([h!, i!], [g!, h!, i!]);
    expect([queue.take([]), queue.take([h!])]).toEqual([h, i]);
  });
});

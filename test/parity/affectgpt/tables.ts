import { audioClipStarts, audioClips, clipCount } from '../../../src/data/media/audio.ts';
import { frameIndices } from '../../../src/data/media/frames.ts';
import type { Comparison } from '../handler.ts';
import { equal, unknownKeys } from './comparisons.ts';
import { type PublishedRate, scheduledRates } from './schedules.ts';

interface Tables {
  readonly frame_indices: readonly {
    readonly frames: number;
    readonly n_frms: number;
    readonly indices: readonly number[];
  }[];
  readonly frame_indices_wrong_count: readonly {
    readonly n_frms: number;
    readonly lengths_up_to_1999_with_wrong_count: number;
    readonly first: readonly (readonly number[])[];
  }[];
  readonly audio_clip_starts: readonly {
    readonly samples: number;
    readonly starts: readonly number[];
    readonly clip_lengths: readonly number[];
  }[];
  readonly lr: readonly {
    readonly name: string;
    readonly arguments: Readonly<Record<string, unknown>>;
    readonly epoch_step_lr: readonly PublishedRate[];
  }[];
}

const keysOf = {
  frame_indices: new Set(['frames', 'n_frms', 'indices']),
  frame_indices_wrong_count: new Set(['n_frms', 'lengths_up_to_1999_with_wrong_count', 'first']),
  audio_clip_starts: new Set(['samples', 'starts', 'clip_lengths']),
  lr: new Set(['name', 'arguments', 'epoch_step_lr']),
};

/** Where the published rule gives one index too many, ours gives as many as asked for. */
function compareCounts({ n_frms: wanted, ...row }: Tables['frame_indices_wrong_count'][number]): Comparison {
  const wrong = row.lengths_up_to_1999_with_wrong_count;
  const lengths = [...Array.from({ length: 1999 }, (_, i) => i + 1), ...row.first.map(([length]) => length!)];
  const own = lengths.filter((length) => frameIndices(length, wanted).length !== wanted).length;
  return equal(
    `tables.json frame_indices_wrong_count n_frms=${wanted}`,
    [own],
    [0],
    wrong === 0
      ? 'lengths with a wrong number of indices'
      : `always ${wanted} indices here; the published rule gives one more at ${wrong} lengths`,
  );
}

/** `tables.json`: frames that are looked at, starts of audio clips, learning rates. */
export function compareTables(tables: Partial<Tables>): Comparison[] {
  const comparisons: Comparison[] = [];
  for (const { frames, n_frms: wanted, indices } of tables.frame_indices ?? []) {
    const label = `tables.json frame_indices frames=${frames} n_frms=${wanted}`;
    comparisons.push(equal(label, frameIndices(frames, wanted), indices));
  }
  comparisons.push(...(tables.frame_indices_wrong_count ?? []).map(compareCounts));
  for (const { samples, starts, clip_lengths: lengths } of tables.audio_clip_starts ?? []) {
    const label = `tables.json audio_clip_starts samples=${samples}`;
    const length = audioClips(new Float32Array(samples), 'div8').length / clipCount;
    comparisons.push(
      equal(`${label} starts`, audioClipStarts(samples, 'div8'), starts),
      equal(`${label} clip_lengths`, [length], lengths),
    );
  }
  for (const [i, { name, arguments: settings, epoch_step_lr: rates }] of (tables.lr ?? []).entries()) {
    comparisons.push(...scheduledRates(`tables.json lr[${i}] ${name}`, name, settings, rates));
  }
  for (const [section, known] of Object.entries(keysOf)) {
    const rows = (tables as Readonly<Record<string, readonly object[]>>)[section] ?? [];
    const others = Object.assign({}, ...rows) as object;
    comparisons.push(...unknownKeys(`tables.json ${section}.`, others, known));
  }
  comparisons.push(...unknownKeys('tables.json ', tables, new Set(Object.keys(keysOf))));
  return comparisons;
}

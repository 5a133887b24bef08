import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../io/atomic.ts';
import { sha256File } from '../io/checksum.ts';
import { readText } from '../io/filesystem.ts';
import { jsonLines } from '../io/jsonl.ts';
import type { KeptParts } from './kept-parts.ts';
import { pretrainAudioEncoder, pretrainVisualEncoder } from './pretrain-encoders.ts';
import { Random } from './random.ts';
import type { QuickstartOptions } from './stages.ts';

/** Share of the training clips that `unfiltered.jsonl` describes as what they are not. */
const wrongShare = 0.25;

type Row = Readonly<Record<string, unknown>> & { readonly labels: readonly string[] };

/**
 * What the quickstart-sized sweeps compare beside what the quickstart itself uses: encoders that were left as they were drawn
 * (`visual-untrained`, `audio-untrained`), and manifests of the same clips with wrong descriptions in them (`unfiltered.jsonl`)
 * and without the clips that have these (`filtered.jsonl`).
 */
export async function makeSweepParts(
  { folder, seed, engine }: QuickstartOptions,
  manifest: string,
  parts: KeptParts,
): Promise<void> {
  for (const [name, what, make] of [
    ['visual-untrained', 'untrained image encoder', pretrainVisualEncoder],
    ['audio-untrained', 'untrained speech encoder', pretrainAudioEncoder],
  ] as const) {
    const place = join('models', name);
    await parts.make({ name: what, settings: { seed }, places: [place] }, async () => {
      await mkdir(join(folder, place), { recursive: true });
      await make(join(folder, place), { engine, seed, steps: 0, batch: 1 });
    });
  }
  const settings = { seed, wrongShare, manifest: await sha256File(manifest) };
  const names = ['unfiltered', 'filtered'] as const;
  const places = names.map((name) => join('clips', `${name}.jsonl`));
  await parts.make({ name: 'manifests with wrong descriptions', settings, places }, async () => {
    const rows = (await readText(manifest))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Row);
    const changed = withWrongDescriptions(rows, seed);
    for (const [i, name] of names.entries()) {
      const text = jsonLines(changed[name]);
      await writeFileAtomic(join(folder, places[i]!), text);
    }
  });
}

/**
 * Gives a quarter of the training clips labels and description of a training clip of another emotion. Test clips stay as they
 * are.
 *
 * @returns all rows with the wrong ones, and those that are right
 */
export function withWrongDescriptions(
  rows: readonly Row[],
  seed: number,
): { readonly unfiltered: Row[]; readonly filtered: Row[] } {
  const random = new Random(seed, 'wrong descriptions');
  const training = rows.filter(({ split }) => split === 'train');
  const filtered: Row[] = [];
  const unfiltered = rows.map((row) => {
    const others = training.filter(({ labels }) => labels[0] !== row.labels[0]);
    if (row.split !== 'train' || others.length === 0 || !random.chance(wrongShare)) {
      filtered.push(row);
      return row;
    }
    const { labels, description } = random.pick(others);
    return { ...row, labels, description };
  });
  return { unfiltered, filtered };
}

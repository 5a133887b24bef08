import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { claimAttempt } from '../../src/sweep/attempts.ts';
import { loadSweep, type SweepPoint } from '../../src/sweep/load.ts';
import { matchesRow } from '../../src/sweep/published.ts';
import { publishedTables } from '../../src/sweep/published-tables.ts';
import { prepareSweep } from '../../src/sweep/snapshot.ts';
import { writeResults } from '../../src/sweep/write-results.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();

async function sweepOf(name: string, text: string) {
  await writeFile(
    join(folder, `${name}.yaml`),
    `base: prefusion-attn.yaml\noutput: ${join(folder, name)}\nmetric: [mer-unibench.mean, mer-unibench.basic]\n${text}\n`,
  );
  const sweep = loadSweep({ config: `${name}.yaml`, folder });
  await prepareSweep(sweep);
  return sweep;
}

/** What a run leaves whose answers were scored. */
async function finish(point: SweepPoint, mean: number, basic: number): Promise<void> {
  await mkdir(join(point.folder, 'mer-unibench'), { recursive: true });
  const means = Object.entries({ mean, basic }).map(([key, score]) => ({ key, score }));
  await writeFile(join(point.folder, 'mer-unibench', 'report.json'), JSON.stringify({ sets: [], means }));
  const claim = await claimAttempt(point.folder, 0, null);
  await claim!.end({ state: 'done', exitCode: 0, seconds: 1 });
}

describe('published ablations', () => {
  it('are those of the paper', () => {
    const means = (name: keyof typeof publishedTables) =>
      publishedTables[name].rows.map((row) => row.means.mean);
    // Tables 5, 8, 6 and 4, Figures 4 (c) and (b).
    expect(means('pre-fusion')).toEqual([72.95, 74.16, 74.77]);
    expect(means('lora-rank')).toEqual([73.3, 74.65, 74.77, 74.92]);
    expect(means('inputs')).toEqual([60.08, 60.47, 59.47, 67.44, 74.77, 73.39, 74.6]);
    expect(means('data-filter')).toEqual([68.91, 69.54, 73.78, 74.05, 74.77]);
    expect(means('visual-encoder')).toEqual([74.77, 74.63, 73.12]);
    expect(means('acoustic-encoder')).toEqual([74.77, 74.39, 74.48]);
    // The mean over nine sets is that of one fine-grained, four basic and four sentiment sets.
    for (const { means: row } of [
      ...publishedTables['data-filter'].rows,
      ...publishedTables['pre-fusion'].rows,
    ]) {
      const { fine, basic, sentiment, mean } = row as Required<typeof row>;
      expect((fine! + 4 * basic! + 4 * sentiment!) / 9).toBeCloseTo(mean, 1);
    }
  });

  it.each(['prefusion', 'encoders', 'lora-rank', 'inputs', 'frames', 'data-filter'])(
    'have a setting of sweep-%s for every row',
    (name) => {
      const sweep = loadSweep({ config: `sweep-${name}`, folder: '/' });
      const settings = sweep.settings.map(({ id, cells }) => {
        const points = sweep.points.filter(({ setting }) => setting === id).map((point) => ({ point }));
        return { id, cells, points };
      });
      for (const table of sweep.file.published as (keyof typeof publishedTables)[]) {
        for (const row of publishedTables[table].rows) {
          expect(
            settings.some((setting) => matchesRow(setting, row)),
            `${table}: ${row.name}`,
          ).toBe(true);
        }
      }
    },
  );

  it('stand beside our means and deviations, with the difference', async () => {
    const sweep = await sweepOf(
      'fusion',
      `grid:
  kind:
    - { label: none, set: { fusion.multi: none, model.inputs: face } }
    - { label: attention, set: { fusion.multi: attention } }
seeds: [1, 2]
published: [pre-fusion]`,
    );
    const scores = [0.73, 0.74, 0.75, 0.76];
    for (const [i, point] of sweep.points.entries()) await finish(point, scores[i]!, 0.68);
    await writeResults(sweep);
    const markdown = await readFile(join(sweep.output, 'results.md'), 'utf8');
    expect(markdown).toContain('### Role of pre-fusion (AffectGPT, ICML 2025, Table 5)');
    const rows = markdown
      .split('## Beside the paper')[1]!
      .split('\n')
      .filter((line) => /^\| (none|attention) /.test(line));
    const cells = rows.map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
    expect(cells).toEqual([
      ['none', 'none', 'mer-unibench.mean', '73.50 ± 0.71', '72.95', '+0.55'],
      ['none', 'none', 'mer-unibench.basic', '68.00 ± 0.00', '66.28', '+1.72'],
      ['attention', 'attention', 'mer-unibench.mean', '75.50 ± 0.71', '74.77', '+0.73'],
      ['attention', 'attention', 'mer-unibench.basic', '68.00 ± 0.00', '68.38', '-0.38'],
    ]);
    expect(markdown).toContain('Published rows without a setting in this sweep: Q-Former.');
    expect(markdown).not.toContain('Trained otherwise');
    const html = await readFile(join(sweep.output, 'results.html'), 'utf8');
    expect(html).toContain('<h3>Role of pre-fusion (AffectGPT, ICML 2025, Table 5)</h3>');
    expect(html).toContain('<td class="number">+0.73</td>');
  });

  it('are laid over the settings that are most like them, and say what is otherwise', async () => {
    const sweep = await sweepOf(
      'rank',
      `set: { model.llm: Qwen/Qwen2.5-0.5B-Instruct }
grid: { lora.rank: [8, 12], model.frames: [4, 8] }
published: [lora-rank]`,
    );
    await writeResults(sweep);
    const markdown = await readFile(join(sweep.output, 'results.md'), 'utf8');
    expect(markdown).toMatch(/\| rank 8 +\| 8, 8 +\| mer-unibench\.mean \| +– \| +74\.65 \| +– \|/);
    expect(markdown).not.toMatch(/\| rank 8 +\| 8, 4 /);
    expect(markdown).toMatch(/Trained otherwise.*: lora\.rank=8,model\.frames=8 \(model\.llm\)\./);
    expect(markdown).toContain('without a setting in this sweep: none; rank 16; rank 32.');
  });

  it('are refused where there is no such table', async () => {
    await expect(
      sweepOf('unknown', 'grid: { lora.rank: [8, 16] }\npublished: [lora-rnk]'),
    ).rejects.toMatchObject({
      ...{ code: 'SWEEP_INVALID', exitCode: 2 },
      message: expect.stringContaining('there is no table "lora-rnk"; did you mean "lora-rank"?'),
    });
  });
});

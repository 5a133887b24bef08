import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadSweep } from '../../src/sweep/load.ts';
import { publishedTables } from '../../src/sweep/published-tables.ts';

/** Every sweep of configs/ with the number of its points; a new one is one line here. */
const expected: Readonly<Record<string, number>> = {
  'sweep-prefusion': 3,
  'sweep-encoders': 9,
  'sweep-encoders-rank': 6,
  'sweep-lora-rank': 4,
  'sweep-inputs': 7,
  'sweep-frames': 12,
  'sweep-data-filter': 5,
  'sweep-mmla-lora-rank': 12,
  'quickstart-sweep-prefusion': 6,
  'quickstart-sweep-encoders': 4,
  'quickstart-sweep-encoders-rank': 8,
  'quickstart-sweep-lora-rank': 4,
  'quickstart-sweep-inputs': 4,
  'quickstart-sweep-frames': 6,
  'quickstart-sweep-data-filter': 6,
};
/** Not of the AffectGPT paper. */
const isOfMmla = (name: string) => name.startsWith('sweep-mmla-');
const load = (name: string) => loadSweep({ config: name, folder: '/' });

describe('the sweeps that come with the package', () => {
  it('are these, each of the paper with its quickstart-sized twin', () => {
    const found = readdirSync('configs').flatMap((file) => /^(.*sweep-.*)\.yaml$/.exec(file)?.[1] ?? []);
    expect(found.sort()).toEqual(Object.keys(expected).sort());
    const full = found.filter((name) => name.startsWith('sweep-') && !isOfMmla(name));
    expect(found.filter((name) => name.startsWith('quickstart-'))).toEqual(
      full.map((name) => `quickstart-${name}`),
    );
  });

  it.each(Object.entries(expected))(
    '%s has %i valid points, says what it is, and lies apart',
    (name, count) => {
      const sweep = load(name);
      expect(sweep.points).toHaveLength(count);
      expect(sweep.output).toBe(`runs/${name}`);
      const comment = readFileSync(`configs/${name}.yaml`, 'utf8').split('\nbase:')[0]!;
      expect(comment.split('\n').every((line) => line.startsWith('# '))).toBe(true);
      expect(comment).toContain(`affectgpt sweep --config ${name}.yaml`);
      if (isOfMmla(name)) {
        expect(sweep.metrics[0]!.name).toBe('validation.best.taskAccuracy');
        for (const { config } of sweep.points) {
          expect(config.data).toMatchObject({ dataset: 'mmla', mmla: { tasks: ['MIntRec'] } });
          expect(config.lora.alpha).toBe(2 * config.lora.rank);
        }
      } else if (name.startsWith('sweep-')) {
        expect(comment).toMatch(/AffectGPT, ICML 2025[^)]*(Table|Figure)s? \d/);
        expect(sweep.metrics[0]!.name).toBe('mer-unibench.mean');
        expect(sweep.file.after[0]).toContain('--checkpoint {run}');
        expect(sweep.file.published.length).toBeGreaterThan(0);
        for (const { config } of sweep.points) {
          expect(config.model.llm).toBe('Qwen/Qwen2.5-7B-Instruct');
          expect(config.train).toMatchObject({ steps: 300000, batchSize: 3, seed: 42 });
        }
      } else {
        expect(comment).toContain(`twin of ${name.replace('quickstart-', '')}.yaml`);
        expect(comment).toContain('affectgpt quickstart --prepare');
        for (const { config } of sweep.points) {
          expect(config.model.llm).toBe('runs/quickstart/models/decoder');
          expect(config.train.steps).toBeLessThanOrEqual(150);
        }
      }
    },
  );

  it('say what their points are where a table has several keys at once', () => {
    const points = load('sweep-prefusion').points.map(({ config }) => [
      config.fusion.multi,
      config.model.inputs,
      config.fusion.queryTokens.multi,
    ]);
    expect(points).toEqual([
      ['none', 'face', 1],
      ['qformer', 'multiface_audio_face_text', 16],
      ['attention', 'multiface_audio_face_text', 1],
    ]);
    const encoders = load('sweep-encoders').points.map(
      ({ config: { model } }) => `${model.visualEncoder.type} ${model.audioEncoder.type}`,
    );
    expect(new Set(encoders).size).toBe(9);
    expect(encoders[0]).toBe('clip hubert');
    const filters = load('sweep-data-filter').points.map(
      ({ config: { data } }) => data.dataset ?? data.manifest,
    );
    expect(filters.at(-1)).toBe('mercaptionplus');
    expect(new Set(filters).size).toBe(5);
  });

  it('have a setting for every row of the tables that they are laid over', () => {
    const tables = new Set(Object.keys(expected).flatMap((name) => load(name).file.published));
    expect([...tables].sort()).toEqual(Object.keys(publishedTables).sort());
  });
});

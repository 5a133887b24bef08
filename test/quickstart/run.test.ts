import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareQuickstart, runQuickstart } from '../../src/quickstart/run.ts';

/** As small as it runs: what it learns is nothing, but every stage and file is there. */
const scale = {
  trainSpeakers: 2,
  testSpeakers: 1,
  visualSteps: 2,
  audioSteps: 2,
  decoderSteps: 2,
  trainSteps: 2,
};

describe('the quickstart, made small', () => {
  let parent: string;
  let folder: string;
  beforeAll(async () => {
    parent = await mkdtemp(join(tmpdir(), 'quickstart-'));
    folder = join(parent, 'run');
  });
  afterAll(() => rm(parent, { recursive: true }));

  it('goes through every stage and writes its page', async () => {
    let output = '';
    const stream = { write: (text: string) => (output += text) };
    const result = await runQuickstart({ folder, seed: 3, scale, stream });
    expect(Object.keys(result.evaluated)).toEqual(['all', 'audio', 'face', 'text']);
    expect(result.trainClips).toBe(12);
    for (const { answers } of Object.values(result.evaluated)) expect(answers).toHaveLength(6);
    expect(new Set(result.evaluated.all.answers.map(({ truth }) => truth)).size).toBe(6);
    for (const { losses } of Object.values(result.trained)) {
      expect(losses).toHaveLength(2);
      expect(losses.every(Number.isFinite)).toBe(true);
    }
    expect(output).toMatch(/Accuracy on 6 held-out synthetic clips/);
    const page = await readFile(join(folder, 'quickstart.html'), 'utf8');
    expect(page).toContain('Everything here is synthetic');
    expect(page.match(/<img src="data:image\/jpeg;base64,.{500}/g)).toHaveLength(18);
    const summary = JSON.parse(await readFile(join(folder, 'result.json'), 'utf8')) as { accuracy: object };
    expect(Object.keys(summary.accuracy)).toEqual(['all', 'audio', 'face', 'text', 'shuffled', 'chance']);
    expect(existsSync(join(folder, 'all', 'checkpoints', 'latest'))).toBe(true);
    // For the sweeps: encoders of the same shape that have learned nothing, and manifests beside the first.
    const bytes = (name: string) => readFile(join(folder, 'models', name, 'model.safetensors'));
    for (const name of ['visual', 'audio']) {
      const [trained, untrained] = [await bytes(name), await bytes(`${name}-untrained`)];
      expect(untrained.length).toBe(trained.length);
      expect(untrained.equals(trained)).toBe(false);
    }
    for (const name of ['filtered', 'unfiltered']) {
      expect(existsSync(join(folder, 'clips', `${name}.jsonl`))).toBe(true);
    }
  }, 120_000);

  it('prepares again only what is missing, damaged or made with other settings', async () => {
    const places = ['visual', 'audio', 'decoder', 'visual-untrained', 'audio-untrained'].map((name) =>
      join(folder, 'models', name, 'model.safetensors'),
    );
    const clip = join(folder, 'clips', 'manifest.jsonl');
    /** What is said, and which of clips and models were written. */
    const prepare = async (settings: Partial<typeof scale> = {}) => {
      const ages = () =>
        Promise.all([clip, ...places].map(async (file) => (await stat(file).catch(() => null))?.mtimeMs));
      const before = await ages();
      let said = '';
      const stream = { write: (text: string) => (said += text) };
      await prepareQuickstart({ folder, seed: 3, scale: { ...scale, ...settings }, stream });
      const after = await ages();
      return { said, written: after.map((age, i) => age !== before[i]) };
    };
    // The quickstart above has made all of it.
    if (!existsSync(join(folder, 'result.json'))) await prepare();
    await writeFile(join(folder, 'result.json'), '{}');

    const again = await prepare();
    expect(again.said.match(/^Kept: /gm)).toHaveLength(7);
    expect(again.written).toEqual(Array(6).fill(false));
    expect(existsSync(join(folder, 'result.json'))).toBe(true);

    const weights = await readFile(places[1]!);
    weights[weights.length - 1]! ^= 1;
    await writeFile(places[1]!, weights);
    await rm(join(folder, 'clips', 'filtered.jsonl'));
    const mended = await prepare({ decoderSteps: 3 });
    expect(mended.written).toEqual([false, false, true, true, false, false]);
    expect(mended.said).toMatch(
      /Made again: speech encoder; models\/audio\/model\.safetensors has changed\./,
    );
    expect(mended.said).toMatch(/Made again: decoder; it was made with other settings\./);
    expect(mended.said).toMatch(/Made again: manifests .*filtered\.jsonl is missing\./);
    expect(existsSync(join(folder, 'result.json'))).toBe(false);
  }, 120_000);

  it('leaves a folder alone that is not its own', async () => {
    const file = join(parent, 'notes.txt');
    await writeFile(file, 'mine');
    const run = runQuickstart({ folder: parent, seed: 1, scale, stream: { write: () => true } });
    await expect(run).rejects.toThrow(/is no quickstart of before/);
    expect(await readFile(file, 'utf8')).toBe('mine');
  });
});

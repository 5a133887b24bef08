import { existsSync } from 'node:fs';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSafetensors } from '../../src/io/safetensors.ts';
import { checkpointFormatVersion, loadCheckpoint, loadWeights } from '../../train/checkpoint.ts';
import { writeChecksums } from '../../train/checkpoint-checksums.ts';
import { fixturePath, readJson } from '../support/fixture.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import {
  digests,
  type FrozenExpectation,
  frozenCheckpoint,
  frozenShapes,
  frozenSteps,
  trainFrozen,
} from './frozen-run.ts';

// Checkpoints that were saved when their format was the newest. They are never made again: whatever the program becomes, it
// has to go on from them.

const fixtureOf = (version: number): string => fixturePath(`checkpoint-format-${version}`);
const versions = Array.from({ length: checkpointFormatVersion }, (_, i) => i + 1);

/** A copy to work on. */
async function copyRun(version: number): Promise<string> {
  const folder = join(await temporaryFolder(), 'run');
  await cp(fixtureOf(version), folder, { recursive: true });
  return folder;
}

interface StoredState {
  dataDigest?: string;
  readonly [key: string]: unknown;
}

/** Changes `state.json` and makes the list of checksums agree. */
async function editState(checkpoint: string, change: (state: StoredState) => void): Promise<void> {
  const state = (await readJson(join(checkpoint, 'state.json'))) as StoredState;
  change(state);
  await writeFile(join(checkpoint, 'state.json'), JSON.stringify(state));
  const { files } = (await readJson(join(checkpoint, 'checksums.json'))) as { files: object };
  await writeChecksums(checkpoint, Object.keys(files));
}

describe.each(versions)('a checkpoint of format %i', async (version) => {
  const expected = (await readJson(join(fixtureOf(version), 'expected.json'))) as FrozenExpectation;
  const stored = frozenCheckpoint(fixtureOf(version));

  /** The steps after the checkpoint are those of the run that saved it. */
  async function expectToGoOn(run: string): Promise<void> {
    const steps = await trainFrozen(run, frozenSteps.whole);
    expect(steps.map(({ step, names }) => [step, names])).toEqual(
      expected.steps.map(({ step, names }) => [step, names]),
    );
    for (const [i, { loss, gradNorm }] of steps.entries()) {
      // Of another processor the last bits.
      expect(Math.abs(loss / expected.steps[i]!.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(gradNorm / expected.steps[i]!.gradNorm - 1)).toBeLessThan(1e-5);
    }
  }

  it('is kept with the tests', () => {
    expect(existsSync(stored)).toBe(true);
    expect(expected.formatVersion).toBe(version);
    expect(expected.steps).toHaveLength(frozenSteps.whole - frozenSteps.saved);
  });

  it('gives every parameter and moment bit for bit, and all of its state', async () => {
    const { parameters, moments, state } = await loadCheckpoint(stored, frozenShapes);
    expect(digests({ ...parameters, ...moments })).toEqual(expected.sha256);
    expect(Object.keys(expected.sha256)).toHaveLength(3 * Object.keys(frozenShapes).length);
    expect(state).toMatchObject({
      step: 6,
      epoch: 2,
      sampler: { index: 4, samples: 7 },
      rng: { seed: 5 },
      samplesSeen: 11,
      config: { 'train.optimizer.lr': 0.01 },
    });
    expect(digests((await loadWeights(stored, frozenShapes)).parameters)).toEqual(digests(parameters));
  });

  it('is gone on from, in the middle of an epoch, as by the program that saved it', async () => {
    const run = await copyRun(version);
    await expectToGoOn(run);
    expect((await readFile(join(run, 'checkpoints', 'latest'), 'utf8')).trim()).toBe('step-000010');
  });

  it('is gone on from without what was added to the format later', async () => {
    const run = await copyRun(version);
    await editState(frozenCheckpoint(run), (state) => {
      expect(state.dataDigest).toBeDefined();
      delete state.dataDigest;
    });
    await expectToGoOn(run);
  });
});

describe('a checkpoint saved today', () => {
  it('has the layout of its format: what is read back is what others find there', async () => {
    const run = join(await temporaryFolder(), 'run');
    await trainFrozen(run, frozenSteps.saved);
    const [now, frozen] = [frozenCheckpoint(run), frozenCheckpoint(fixtureOf(checkpointFormatVersion))];
    const names = (await readdir(frozen)).sort();
    expect((await readdir(now)).sort()).toEqual(names);
    for (const name of names.filter((file) => file.endsWith('.safetensors'))) {
      const layout = async (folder: string) =>
        [...(await openSafetensors(join(folder, name))).entries.values()].map((entry) => [
          entry.name,
          entry.dtype,
          entry.shape,
        ]);
      expect(await layout(now), name).toEqual(await layout(frozen));
    }
    const json = async (folder: string, name: string) => (await readJson(join(folder, name))) as object;
    expect(await json(now, 'adapter_config.json')).toEqual(await json(frozen, 'adapter_config.json'));
    const { seconds: _, ...state } = (await json(frozen, 'state.json')) as { seconds: number };
    expect(await json(now, 'state.json')).toMatchObject(state);
  });
});

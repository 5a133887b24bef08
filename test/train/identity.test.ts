import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { checkIdentity, identityHash, runIdentity } from '../../train/identity.ts';

const identity = (...set: string[]) => runIdentity(loadConfig({ config: 'prefusion-attn', set }).config);

describe('runIdentity', () => {
  const original = identity();

  it.each([
    'train.steps=7',
    'train.checkpoint.every=7',
    'train.log.every=7',
    'engine.threads=1',
    'generation.seed=7',
    'output=elsewhere',
    'data.featureCache=elsewhere',
  ])('leaves out what may change: %s', (assignment) => {
    expect(identity(assignment)).toEqual(original);
    expect(identityHash(identity(assignment))).toBe(identityHash(original));
  });

  it.each([
    ['train.optimizer.lr=0.5', 'train.optimizer.lr was 0.00001 and is now 0.5'],
    ['lora.targets=[q_proj]', 'lora.targets was ["q_proj","k_proj"'],
    ['model.llm=other', 'model.llm was "Qwen/Qwen2.5-7B-Instruct" and is now "other"'],
    ['train.clipNorm=1', 'train.clipNorm was null and is now 1'],
    ['train.batchSize=4', 'train.batchSize x train.accumulation was 3 and is now 4'],
    ['compat=fixed', 'compat.'],
  ])('holds what may not: %s', (assignment, told) => {
    const changed = identity(assignment);
    expect(identityHash(changed)).not.toBe(identityHash(original));
    expect(() => checkIdentity(original, changed, 'runs/a')).toThrow(told);
  });

  it('lets the samples of a step be divided differently', () => {
    expect(identity('train.batchSize=1', 'train.accumulation=3')).toEqual(original);
  });

  it('lets runs go on that were saved before a setting existed which is not used', () => {
    const { 'data.template': template, ...older } = original;
    expect(template).toBe(null);
    expect(() => checkIdentity(older, original, 'runs/a')).not.toThrow();
    expect(() => checkIdentity(older, { ...original, 'data.template': 'x' }, 'runs/a')).toThrow(
      'data.template was absent and is now "x"',
    );
  });

  describe('under another number of ranks', () => {
    const perRank = (batchSize: number, ...set: string[]) => identity(`train.batchSize=${batchSize}`, ...set);
    const check =
      (saved: [number, number], current: [number, number], ...set: string[]) =>
      () =>
        checkIdentity(perRank(saved[0], ...set), perRank(current[0], ...set), 'runs/a', {
          saved: saved[1],
          current: current[1],
        });

    it('lets a run go on with as many samples in a step, or with the same settings', () => {
      expect(check([3, 2], [6, 1])).not.toThrow();
      expect(check([3, 2], [2, 3], 'train.lengthGrouping=50')).not.toThrow();
      expect(check([3, 2], [3, 1])).not.toThrow();
      expect(check([3, 2], [3, 4])).not.toThrow();
    });

    it('refuses other samples in a step that other settings make', () => {
      expect(check([3, 2], [4, 1])).toThrow('train.batchSize x train.accumulation was 3 and is now 4');
      expect(check([3, 2], [4, 2])).toThrow('was 3 and is now 4');
    });

    it('refuses other samples in a step where their order depends on it', () => {
      expect(check([3, 2], [3, 1], 'train.lengthGrouping=50')).toThrow(
        'train.batchSize x train.accumulation x ranks was 6 and is now 3, on which the order of samples depends',
      );
    });
  });

  it('does not depend on the order of keys', () => {
    const reversed = Object.fromEntries(Object.entries(original).reverse());
    expect(identityHash(reversed)).toBe(identityHash(original));
    expect(() => checkIdentity(original, reversed, 'runs/a')).not.toThrow();
  });
});

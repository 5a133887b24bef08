import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { isEveryRanks } from '../../src/collective/collective.ts';
import type { SampleSource } from '../../src/data/source.ts';
import type { OpenSamples } from '../../src/runtime/samples.ts';
import type { Interrupt } from '../../train/interrupts.ts';
import { prepareFeatures } from '../../train/prepare-features.ts';
import { localRanks } from '../support/local-ranks.ts';

type Prepare = Pick<SampleSource, 'prepare' | 'prepareShare'>;

/** Samples whose features are whatever `work` does; `order` is what was asked for. */
function samplesOf(folder: string | null, work: Partial<Prepare>) {
  const order: string[] = [];
  const samples = {
    source: {
      names: ['a', 'b'],
      prepare: async (...args: Parameters<Prepare['prepare']>) => {
        order.push('all');
        await work.prepare?.(...args);
      },
      prepareShare: async (...args: Parameters<Prepare['prepareShare']>) => {
        order.push(`share ${args[0].rank} of ${args[0].size}`);
        await work.prepareShare?.(...args);
      },
    },
    store: { folder, counts: { computed: 1, fromDisk: 1 } },
    releaseEncoders: async () => void order.push('released'),
  } as unknown as OpenSamples;
  return { samples, order };
}

describe('the features of ranks', () => {
  it('are computed in parts where a folder keeps them, then read by all', async () => {
    const all = localRanks(2).map((collective) => ({ collective, ...samplesOf('cache', {}) }));
    const said: string[] = [];
    await Promise.all(
      all.map(({ samples, collective }) =>
        prepareFeatures(samples, (text) => said.push(text), undefined, collective),
      ),
    );
    expect(all.map(({ order }) => order)).toEqual([
      ['share 0 of 2', 'all', 'released'],
      ['share 1 of 2', 'all', 'released'],
    ]);
    expect(said[0]).toMatch(/^Features: 2 computed, in /);
  });

  it('are computed by each where nothing keeps them', async () => {
    const all = localRanks(2).map((collective) => ({ collective, ...samplesOf(null, {}) }));
    await Promise.all(
      all.map(({ samples, collective }) => prepareFeatures(samples, () => {}, undefined, collective)),
    );
    for (const { order } of all) expect(order).toEqual(['all', 'released']);
  });

  it('are given up by all for a signal to one', async () => {
    const interrupts: Interrupt[] = [{ requested: undefined }, { requested: 'SIGUSR2' }];
    // Rank 0 would go on for long.
    const prepareShare: Prepare['prepareShare'] = async (_, __, isStopped) => {
      for (let i = 0; i < 1000 && !isStopped(); i++) await setTimeout(5);
    };
    const results = await Promise.allSettled(
      localRanks(2).map((collective) =>
        prepareFeatures(
          samplesOf('cache', { prepareShare }).samples,
          () => {},
          interrupts[collective.rank],
          collective,
        ),
      ),
    );
    for (const result of results) {
      const { reason } = result as PromiseRejectedResult;
      expect(reason).toMatchObject({ code: 'STOPPED', exitCode: 75 });
      expect(isEveryRanks(reason)).toBe(true);
    }
  });

  it('fail at once on the rank where they fail', async () => {
    const ranks = localRanks(2);
    // Rank 0 is at work until it is ended from outside.
    const works: Prepare['prepareShare'][] = [
      () => new Promise(() => {}),
      async () => {
        throw new Error('disk');
      },
    ];
    const [, failing] = ranks.map((collective, rank) =>
      prepareFeatures(
        samplesOf('cache', { prepareShare: works[rank]! }).samples,
        () => {},
        undefined,
        collective,
      ),
    );
    await expect(Promise.race([failing, setTimeout(5000)])).rejects.toThrow('disk');
  });
});

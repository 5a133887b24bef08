import type { Mutant } from '../mutant.ts';

const tests = ['test/train/ranks.test.ts'];

/** What several processes that train together have to do alike. */
export const rankMutants: readonly Mutant[] = [
  {
    name: 'rank-repeats-first-share',
    breaks: 'Every rank computes the micro-batches of the first one.',
    file: 'train/ranks.ts',
    find: 'i % size === rank);',
    replace: 'i % size === Math.min(0, rank));',
    tests,
  },
  {
    name: 'rank-weighs-by-own-tokens',
    breaks: 'Each rank divides its loss by its own supervised tokens, not by those of the whole step.',
    file: 'train/ranks.ts',
    find: 'await collective.allReduce(counts);',
    replace: 'await collective.allReduce(counts.slice());',
    tests,
  },
  {
    name: 'idle-rank-adds-old-gradients',
    breaks: 'A rank without a sample of a step adds the gradients of its last one.',
    file: 'train/step.ts',
    find: 'hasSums ? await this.#sums(state) : undefined',
    replace: 'await this.#sums(state)',
    tests,
  },
  {
    name: 'ranks-keep-own-gradients',
    breaks: 'Gradients are added up over ranks, and each updates with its own.',
    file: 'train/step.ts',
    find: 'await this.#collective.allReduce(losses, flat);',
    replace: 'await this.#collective.allReduce(losses, flat.slice());',
    tests,
  },
  {
    name: 'ranks-begin-apart',
    breaks: 'Ranks begin with parameters of their own.',
    file: 'train/run-start.ts',
    find: 'await shareParameters(collective, task.initialParameters)',
    replace: 'task.initialParameters',
    tests,
  },
  {
    name: 'signal-stops-one-rank',
    breaks: 'A signal to one rank is not one to all.',
    file: 'train/loop.ts',
    find: 'const { isDone, isStoppedEarly, signal } = await agreeOnNext(this.#collective, {',
    replace: 'const { isDone, isStoppedEarly, signal } = await agreeOnNext(single, {',
    tests,
  },
  {
    name: 'drift-seen-late',
    breaks: 'Ranks that round differently are only noticed at the first checkpoint.',
    file: 'train/loop.ts',
    find: 'if (isFirst) await this.#checkRanks();',
    replace: '',
    tests,
  },
];

import { describe, expect, it } from 'vitest';
import { broadcastText, gatherNumbers, single } from '../../src/collective/collective.ts';
import { launchedRanks, openCollective } from '../../src/collective/launch.ts';
import { MpiCollective } from '../../src/collective/mpi.ts';
import { loadMpi, type MpiLibrary } from '../../src/collective/mpi-library.ts';
import { localRanks } from '../support/local-ranks.ts';

describe('one process', () => {
  it('exchanges nothing and changes nothing', async () => {
    const numbers = Float32Array.of(1, 2);
    await single.allReduce(numbers);
    await single.broadcast(numbers);
    await single.barrier();
    expect([...numbers]).toEqual([1, 2]);
    expect(await broadcastText(single, 'text')).toBe('text');
    expect(await gatherNumbers(single, 3)).toEqual([3]);
  });
});

describe('ranks', () => {
  it('get the text of rank 0, whatever its length, and the numbers of all', async () => {
    const ranks = localRanks(3);
    const texts = await Promise.all(
      ranks.map((one) => broadcastText(one, ['the first, ü', 'other', ''][one.rank]!)),
    );
    expect(texts).toEqual(Array(3).fill('the first, ü'));
    const numbers = await Promise.all(ranks.map((one) => gatherNumbers(one, 10 + one.rank)));
    expect(numbers).toEqual(Array(3).fill([10, 11, 12]));
  });
});

describe('what a launcher has started', () => {
  it.each([
    [1, {}],
    [2, { OMPI_COMM_WORLD_SIZE: '2' }],
    [1, { OMPI_COMM_WORLD_SIZE: '1', SLURM_STEP_NUM_TASKS: '4' }],
    [4, { PMIX_RANK: '3', SLURM_STEP_NUM_TASKS: '4' }],
    // A batch script with four tasks, which calls the program itself.
    [1, { SLURM_NTASKS: '4', SLURM_PROCID: '0' }],
    [1, { SLURM_STEP_NUM_TASKS: '1' }],
  ])('is %i processes by %j', (size, environment) => {
    expect(launchedRanks(environment)).toBe(size);
  });

  it.each([
    { PMI_SIZE: '2', PMI_RANK: '0' },
    { SLURM_STEP_NUM_TASKS: '2', SLURM_PROCID: '1' },
  ])('is refused where Open MPI does not learn of it: %j', (environment) => {
    expect(() => launchedRanks(environment)).toThrow(
      expect.objectContaining({ code: 'COLLECTIVE_NOT_OPEN_MPI', exitCode: 4 }),
    );
  });

  it('is this process alone without any variable', async () => {
    expect(await openCollective({}, () => {})).toBe(single);
  });
});

describe('the library of Open MPI', () => {
  it('is named where it is not found', () => {
    expect(() => loadMpi(['libmpi-of-nobody.so'])).toThrow(
      expect.objectContaining({
        code: 'COLLECTIVE_LIBRARY_MISSING',
        message: expect.stringContaining('libmpi-of-nobody.so'),
      }),
    );
  });

  it.runIf(process.platform === 'linux')('is not any other library', () => {
    expect(() => loadMpi(['libm.so.6'])).toThrow(
      expect.objectContaining({
        code: 'COLLECTIVE_NOT_OPEN_MPI',
        message: expect.stringContaining('libm.so.6'),
      }),
    );
  });
});

/** The library as rank 0 of two sees it; `come` is what rank 1 sends when it comes. */
function rankZero(come?: readonly number[]) {
  const called: string[] = [];
  const library: MpiLibrary = {
    handles: { world: 1n, float: 2n, double: 3n, byte: 4n, sum: 5n },
    call: (name, ...args) => {
      called.push(name);
      if (name === 'MPI_Comm_size') (args[1] as number[])[0] = 2;
      if (name === 'MPI_Iprobe') (args[3] as number[])[0] = come === undefined ? 0 : 1;
      if (name === 'MPI_Recv') (args[0] as Float64Array).set(come!);
    },
  };
  return { library, called };
}

describe('a meeting of ranks', () => {
  const notify = () => {};

  it('lets all go on when all have come to the same place', async () => {
    // All-reduce (1) of two names of 64 numbers.
    const { library, called } = rankZero([1, 128]);
    const opened = await MpiCollective.open({ size: 2, notify, library });
    expect(called).toEqual([
      ...['MPI_Init', 'MPI_Comm_rank', 'MPI_Comm_size', 'MPI_Iprobe', 'MPI_Recv'],
      ...['MPI_Send', 'MPI_Reduce', 'MPI_Bcast'],
    ]);
    expect(opened.describe(0)).toMatch(/^rank 0 on \S+$/);
  });

  it('ends with the names of those who do not come', async () => {
    const { library } = rankZero();
    const opening = MpiCollective.open({ size: 2, notify, library, timeoutSeconds: 0.01 });
    await expect(opening).rejects.toMatchObject({
      code: 'RANKS_MISSING',
      message: expect.stringMatching(/for rank 1\. .*The last checkpoint is whole/),
    });
  });

  it('ends where one is at another place', async () => {
    const { library, called } = rankZero([3, 0]);
    await expect(MpiCollective.open({ size: 2, notify, library })).rejects.toMatchObject({
      code: 'RANKS_APART',
      message: expect.stringContaining('at barrier of 0 numbers instead of allReduce of 128'),
    });
    expect(called).not.toContain('MPI_Reduce');
  });

  it('does not begin where Open MPI connects fewer than were started', async () => {
    const { library } = rankZero();
    await expect(MpiCollective.open({ size: 4, notify, library })).rejects.toMatchObject({
      code: 'COLLECTIVE_APART',
      message: expect.stringContaining('4 processes were started together, but Open MPI connects 2'),
    });
  });
});

import { hostname } from 'node:os';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { EngineError } from '../errors.ts';
import type { Collective, Numbers } from './collective.ts';
import { inPlace, loadMpi, type MpiLibrary } from './mpi-library.ts';

export interface MpiOptions {
  /** Processes that were started. */
  readonly size: number;
  /** Told of ranks that are waited for, for long. */
  readonly notify: (message: string) => void;
  /** How long rank 0 waits for another rank before it ends all. */
  readonly timeoutSeconds?: number;
  readonly library?: MpiLibrary;
}

/** The first step of a large model compiles it; nothing that ranks do alone takes longer than that. */
const defaultTimeoutSeconds = 30 * 60;
/**
 * Numbers, or bytes, that are exchanged at a time. Smaller pieces suit caches, but at each of them ranks wait for each other,
 * which costs most where other programs are at work.
 */
const chunkLength = 2 ** 22;
const hostBytes = 64;

/** What ranks meet for. They compare it: exchanging different things would mix up memory. */
const kinds = { allReduce: 1, broadcast: 2, barrier: 3 } as const;

const tags = { come: 1, go: 2 } as const;

/**
 * Ranks connected by Open MPI. Before each exchange the ranks meet: all tell rank 0 that they have come, and it tells
 * them to go on. Waiting for a slow rank so takes no processor, lets signals through, and can say who is missing;
 * the exchange itself then blocks, but only for as long as it takes.
 *
 * Sums are made on rank 0 and sent from there: all ranks hold the same bits by construction, whatever the order in which
 * Open MPI adds.
 */
export class MpiCollective implements Collective {
  readonly rank: number;
  readonly size: number;
  readonly #mpi: MpiLibrary;
  readonly #options: MpiOptions;
  #hosts: readonly string[] = [];
  /** One meeting after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(options: MpiOptions, mpi: MpiLibrary) {
    this.#options = options;
    this.#mpi = mpi;
    mpi.call('MPI_Init', null, null);
    const rank = [0];
    const size = [0];
    mpi.call('MPI_Comm_rank', mpi.handles.world, rank);
    mpi.call('MPI_Comm_size', mpi.handles.world, size);
    this.rank = rank[0]!;
    this.size = size[0]!;
  }

  /**
   * @throws EngineError `COLLECTIVE_APART` where the processes did not find each other, and those of `loadMpi`
   */
  static async open(options: MpiOptions): Promise<MpiCollective> {
    const opened = new MpiCollective(options, options.library ?? loadMpi());
    if (opened.size !== options.size) {
      throw new EngineError(
        'COLLECTIVE_APART',
        `${options.size} processes were started together, but Open MPI connects ${opened.size} of them. Under Slurm start with srun --mpi=pmix; elsewhere use the mpirun that belongs to the library.`,
      );
    }
    const names = new Float64Array(opened.size * hostBytes);
    names.set(Buffer.from(hostname()).subarray(0, hostBytes), opened.rank * hostBytes);
    await opened.allReduce(names);
    opened.#hosts = Array.from({ length: opened.size }, (_, rank) =>
      Buffer.from(names.subarray(rank * hostBytes, (rank + 1) * hostBytes))
        .toString()
        .replace(/\0+$/, ''),
    );
    return opened;
  }

  describe(rank: number): string {
    const host = this.#hosts[rank];
    return host === undefined ? `rank ${rank}` : `rank ${rank} on ${host}`;
  }

  allReduce(...arrays: readonly Numbers[]): Promise<void> {
    const { sum, world } = this.#mpi.handles;
    return this.#together('allReduce', arrays, (part, type) => {
      const [send, receive] = this.rank === 0 ? [inPlace, part] : [part, null];
      this.#mpi.call('MPI_Reduce', send, receive, part.length, type, sum, 0, world);
      this.#mpi.call('MPI_Bcast', part, part.length, type, 0, world);
    });
  }

  broadcast(...arrays: readonly (Numbers | Uint8Array)[]): Promise<void> {
    const { world } = this.#mpi.handles;
    return this.#together('broadcast', arrays, (part, type) =>
      this.#mpi.call('MPI_Bcast', part, part.length, type, 0, world),
    );
  }

  barrier(): Promise<void> {
    return this.#together('barrier', [], () => {});
  }

  async close(): Promise<void> {
    await this.barrier();
    this.#mpi.call('MPI_Finalize');
  }

  abort(exitCode: number): never {
    this.#mpi.call('MPI_Abort', this.#mpi.handles.world, exitCode);
    return process.exit(exitCode);
  }

  /** Meets, then exchanges all arrays, piece by piece. */
  #together<A extends Numbers | Uint8Array>(
    kind: keyof typeof kinds,
    arrays: readonly A[],
    exchange: (part: A, type: bigint) => void,
  ): Promise<void> {
    const { float, double, byte } = this.#mpi.handles;
    const total = arrays.reduce((sum, array) => sum + array.length, 0);
    const result = this.#last.then(async () => {
      await this.#meet(kind, total);
      for (const array of arrays) {
        const type = array instanceof Float32Array ? float : array instanceof Float64Array ? double : byte;
        for (let begin = 0; begin < array.length; begin += chunkLength) {
          if (begin > 0) await setImmediate();
          exchange(array.subarray(begin, begin + chunkLength) as A, type);
        }
      }
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async #meet(kind: keyof typeof kinds, total: number): Promise<void> {
    const mine = Float64Array.of(kinds[kind], total);
    if (this.rank > 0) {
      this.#send(mine, 0, tags.come);
      await this.#arrivalOf([0], tags.go);
      this.#receive(0, tags.go);
      return;
    }
    const others = Array.from({ length: this.size - 1 }, (_, i) => i + 1);
    await this.#arrivalOf(others, tags.come);
    for (const rank of others) {
      const theirs = this.#receive(rank, tags.come);
      if (theirs.join() === mine.join()) continue;
      const name = (code: number | undefined) =>
        Object.entries(kinds).find(([, value]) => value === code)?.[0];
      throw new EngineError(
        'RANKS_APART',
        `${this.describe(rank)} is at another place of the program than rank 0: at ${name(theirs[0])} of ${theirs[1]} numbers instead of ${kind} of ${total}. All ranks need the same version of affectgpt.`,
      );
    }
    for (const rank of others) this.#send(mine, rank, tags.go);
  }

  /** Waits until there is a message of each of these ranks. @throws EngineError `RANKS_MISSING` on rank 0 */
  async #arrivalOf(ranks: readonly number[], tag: number): Promise<void> {
    const { timeoutSeconds = defaultTimeoutSeconds, notify } = this.#options;
    const begun = performance.now();
    let told = 0;
    let missing = ranks;
    for (;;) {
      missing = missing.filter((rank) => !this.#hasMessage(rank, tag));
      if (missing.length === 0) return;
      const waited = (performance.now() - begun) / 1000;
      if (waited > timeoutSeconds * (told + 1)) {
        told++;
        const who = missing.map((rank) => this.describe(rank)).join(', ');
        const long = `for ${Math.round(waited)} seconds`;
        if (this.rank === 0) {
          throw new EngineError(
            'RANKS_MISSING',
            `Rank 0 has waited ${long} for ${who}. The process hangs or its machine is out of reach. The last checkpoint is whole: start again to go on from there.`,
          );
        }
        // It may be validating, or writing.
        notify(`${this.describe(this.rank)}: has waited ${long} for ${who}.`);
      }
      await (waited < 0.002 ? setImmediate() : setTimeout(waited < 1 ? 1 : 20));
    }
  }

  #hasMessage(rank: number, tag: number): boolean {
    const flag = [0];
    this.#mpi.call('MPI_Iprobe', rank, tag, this.#mpi.handles.world, flag, null);
    return flag[0] !== 0;
  }

  #send(values: Float64Array, rank: number, tag: number): void {
    const { double, world } = this.#mpi.handles;
    this.#mpi.call('MPI_Send', values, values.length, double, rank, tag, world);
  }

  #receive(rank: number, tag: number): Float64Array {
    const { double, world } = this.#mpi.handles;
    const values = new Float64Array(2);
    this.#mpi.call('MPI_Recv', values, values.length, double, rank, tag, world, null);
    return values;
  }
}

/** Numbers that ranks add up: small counts exactly in float64, gradients in float32. */
export type Numbers = Float32Array | Float64Array;

/**
 * The processes that train one model together. Every rank calls the same methods in the same order; each call returns
 * when all ranks have come to it.
 */
export interface Collective {
  /** This process, from 0. */
  readonly rank: number;
  /** Number of processes. */
  readonly size: number;
  /** A rank for messages: its number and where it runs. */
  describe(rank: number): string;
  /** Replaces each number by its sum over all ranks: the same bits on every one. Lengths are the same everywhere. */
  allReduce(...arrays: readonly Numbers[]): Promise<void>;
  /** Replaces the contents by those of rank 0. Lengths are the same everywhere. */
  broadcast(...arrays: readonly (Numbers | Uint8Array)[]): Promise<void>;
  barrier(): Promise<void>;
  /** Leaves in good order, once all ranks do. Nothing can be exchanged afterwards. */
  close(): Promise<void>;
  /** Ends this process and all the others. */
  abort(exitCode: number): never;
}

/** A process alone: nothing is exchanged and nothing waits. */
export const single: Collective = {
  rank: 0,
  size: 1,
  describe: () => 'the only process',
  allReduce: async () => {},
  broadcast: async () => {},
  barrier: async () => {},
  close: async () => {},
  abort: (exitCode) => process.exit(exitCode),
};

/** @returns the text of rank 0, on every rank */
export async function broadcastText(collective: Collective, text: string): Promise<string> {
  if (collective.size === 1) return text;
  const bytes = new TextEncoder().encode(text);
  const length = Float64Array.of(bytes.length);
  await collective.broadcast(length);
  const received = collective.rank === 0 ? bytes : new Uint8Array(length[0]!);
  await collective.broadcast(received);
  return new TextDecoder().decode(received);
}

/**
 * One number of each rank, by rank, on every rank.
 * @param value must be finite
 */
export async function gatherNumbers(collective: Collective, value: number): Promise<number[]> {
  const values = new Float64Array(collective.size);
  values[collective.rank] = value;
  await collective.allReduce(values);
  return [...values];
}

const agreed = new WeakSet<Error>();

/**
 * Marks an error that every rank comes to by the same exchanged numbers: rank 0 tells it, and all leave in good order.
 * Any other error is of one rank, and takes the others with it.
 */
export function everyRanks<E extends Error>(error: E): E {
  agreed.add(error);
  return error;
}

export const isEveryRanks = (error: unknown): boolean => error instanceof Error && agreed.has(error);

import { broadcastText, type Collective, everyRanks, gatherNumbers } from '../src/collective/collective.ts';
import type { HostTensor, HostTensorMap } from '../src/engine/types.ts';
import { CheckError, InputError } from '../src/errors.ts';
import { sha256 } from '../src/io/checksum.ts';
import type { CheckpointState } from './checkpoint.ts';
import type { InterruptSignal } from './interrupts.ts';
import type { ResumedRun } from './resume.ts';
import { flopsOf, type TaskBatch } from './task.ts';

/** The micro-batches of a step that are of this rank: every `size`-th. The last step of an epoch may have none for it. */
export const shareOf = <T>({ rank, size }: Collective, microBatches: readonly T[]): readonly T[] =>
  microBatches.filter((_, i) => i % size === rank);

/** What a text, or numbers, are known by when ranks compare: 48 bits, which float64 holds exactly. */
const fingerprint = (content: string | Uint8Array): number =>
  Number.parseInt(sha256(content).slice(0, 12), 16);

/** Ranks that do not have the number of rank 0. */
async function differingRanks(collective: Collective, value: number): Promise<string[]> {
  const values = await gatherNumbers(collective, value);
  return values.flatMap((theirs, rank) => (theirs === values[0] ? [] : [collective.describe(rank)]));
}

/**
 * Sees to it that all ranks are about to do the same.
 *
 * @param facts what has to be equal everywhere, by what it is called
 * @throws InputError `RANKS_DIFFER` naming the ranks and what differs from rank 0
 */
export async function checkSameTerms(
  collective: Collective,
  facts: Readonly<Record<string, string>>,
): Promise<void> {
  if (collective.size === 1) return;
  const faults: string[] = [];
  for (const [what, value] of Object.entries(facts)) {
    const ranks = await differingRanks(collective, fingerprint(value));
    if (ranks.length > 0) faults.push(`${what} of ${ranks.join(', ')}`);
  }
  if (faults.length === 0) return;
  throw everyRanks(
    new InputError(
      'RANKS_DIFFER',
      `Ranks do not agree on what to train; other than those of rank 0 are: ${faults.join('; ')}. Start all with the same configuration, data and version of affectgpt.`,
    ),
  );
}

/**
 * Compares the parameters of all ranks bit for bit.
 * @throws CheckError `RANKS_DRIFTED`
 */
export async function checkSameParameters(
  collective: Collective,
  step: number,
  read: () => Promise<HostTensorMap>,
): Promise<void> {
  if (collective.size === 1) return;
  const hashes = Object.entries(await read()).map(
    ([name, { data }]) => `${name} ${sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))}`,
  );
  const ranks = await differingRanks(collective, fingerprint(hashes.join('\n')));
  if (ranks.length === 0) return;
  throw everyRanks(
    new CheckError(
      'RANKS_DRIFTED',
      `After step ${step} the parameters of ${ranks.join(', ')} are not those of rank 0, bit for bit, though all made the same update of the same gradients: the engine rounds otherwise there (another processor, device or version), or memory is faulty. Nothing after the last checkpoint is saved. Use machines of one kind.`,
    ),
  );
}

async function broadcastTensors(collective: Collective, tensors: readonly HostTensor[]): Promise<void> {
  await collective.broadcast(...tensors.map(({ data }) => data as Float32Array));
}

/** Float32 tensors as rank 0 has them, on every rank; names and shapes are the same everywhere. */
export async function shareParameters(
  collective: Collective,
  tensors: HostTensorMap,
): Promise<HostTensorMap> {
  if (collective.size === 1) return tensors;
  const shared = Object.entries(tensors).map(([name, { shape, data }]): [string, HostTensor] => [
    name,
    { dtype: 'float32', shape, data: data.slice() },
  ]);
  await broadcastTensors(
    collective,
    shared.map(([, tensor]) => tensor),
  );
  return Object.fromEntries(shared);
}

/**
 * What rank 0 goes on from, on every rank: the others need not reach the run folder.
 * @param resumed of rank 0; undefined there for a new run, and on all others
 */
export async function shareResumed(
  collective: Collective,
  resumed: ResumedRun | undefined,
): Promise<ResumedRun | undefined> {
  if (collective.size === 1) return resumed;
  const groups = ['parameters', 'moments'] as const;
  const header = resumed && {
    folder: resumed.folder,
    state: resumed.checkpoint.state,
    shapes: groups.map((group) =>
      Object.entries(resumed.checkpoint[group]).map(([name, { shape }]) => [name, [...shape]] as const),
    ),
  };
  const told = JSON.parse(await broadcastText(collective, JSON.stringify(header ?? null))) as {
    folder: string;
    state: CheckpointState;
    shapes: [string, number[]][][];
  } | null;
  if (told === null) return undefined;
  const tensors = told.shapes.map((entries, i) =>
    Object.fromEntries(
      entries.map(([name, shape]): [string, HostTensor] => [
        name,
        resumed?.checkpoint[groups[i]!][name] ?? {
          dtype: 'float32',
          shape,
          data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
        },
      ]),
    ),
  );
  for (const group of tensors) await broadcastTensors(collective, Object.values(group));
  const [parameters, moments] = tensors as [HostTensorMap, HostTensorMap];
  return { folder: told.folder, checkpoint: { state: told.state, parameters, moments } };
}

/** What a step learns from, all ranks together. */
export interface StepCounts {
  readonly supervisedTokens: number;
  readonly tokens: number;
  readonly flops: number | undefined;
}

/** @param batches of this rank */
export async function countTogether(
  collective: Collective,
  batches: readonly TaskBatch[],
): Promise<StepCounts> {
  const sum = (key: 'supervisedTokens' | 'tokens') => batches.reduce((total, batch) => total + batch[key], 0);
  // What is not counted on one rank is not known in sum.
  const counts = Float64Array.of(sum('supervisedTokens'), sum('tokens'), flopsOf(batches) ?? Number.NaN);
  await collective.allReduce(counts);
  const [supervisedTokens, tokens, flops] = counts as unknown as [number, number, number];
  return { supervisedTokens, tokens, flops: Number.isNaN(flops) ? undefined : flops };
}

const signals = ['SIGINT', 'SIGTERM', 'SIGUSR2'] as const satisfies readonly InterruptSignal[];

/**
 * A signal to any rank is one to all.
 * @returns whether no rank works any more, or all are to stop
 */
export async function agreeOnSignal(
  collective: Collective,
  signal: InterruptSignal | undefined,
  isWorking: boolean,
): Promise<{ readonly signal: InterruptSignal | undefined; readonly isOver: boolean }> {
  const votes = Float64Array.from([isWorking, ...signals.map((name) => name === signal)], Number);
  await collective.allReduce(votes);
  const common = signals.find((_, i) => votes[1 + i]! > 0);
  return { signal: common, isOver: votes[0] === 0 || common !== undefined };
}

/** How ranks stand between two steps. */
export interface Standing {
  /** A signal that came to this rank; then to any. */
  readonly signal: InterruptSignal | undefined;
  /** Whether nothing remains to be done, and whether validations have ended the run: of rank 0, which validates. */
  readonly isDone: boolean;
  readonly isStoppedEarly: boolean;
}

/** What all ranks do next: a signal to any of them is one to all, after the same step. */
export async function agreeOnNext(collective: Collective, standing: Standing): Promise<Standing> {
  if (collective.size === 1) return standing;
  const { signal, isDone, isStoppedEarly } = standing;
  const isLeader = collective.rank === 0;
  const votes = Float64Array.from(
    [isLeader && isDone, isLeader && isStoppedEarly, ...signals.map((name) => name === signal)],
    Number,
  );
  await collective.allReduce(votes);
  const said = [...votes].map((count) => count > 0);
  return {
    isDone: said[0]!,
    isStoppedEarly: said[1]!,
    signal: signals.find((_, i) => said[2 + i]),
  };
}

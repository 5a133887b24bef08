import { Random } from '../../src/quickstart/random.ts';
import type { Fault, TraceLine } from './fault.ts';
import { type Operation, operationName } from './operations.ts';

/** One process of a run: it is killed by its fault, or ends by itself. */
export interface PlannedLife {
  readonly fault?: Fault;
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** A training that is killed, once or more often, and then resumed until it is done. */
export interface Point {
  /** From 1; the same for the same seed and program. */
  readonly number: number;
  readonly group: PointGroup;
  readonly title: string;
  /** Before the last one, which has no fault. */
  readonly lives: readonly PlannedLife[];
}

const pointGroups = [
  'write',
  'step',
  'features',
  'accumulation',
  'epoch',
  'twice',
  'cleaning',
  'more steps',
] as const;
export type PointGroup = (typeof pointGroups)[number];

/** A boundary of the reference run: an operation that has a name, and how often that name came before. */
interface Boundary {
  readonly name: string;
  readonly occurrence: number;
  readonly kind: Operation['kind'];
}

function boundaries(folder: string, operations: readonly Operation[]): Boundary[] {
  const counts = new Map<string, number>();
  const found = operations.map((operation) => {
    const name = operationName(folder, operation);
    const occurrence = (counts.get(name) ?? 0) + 1;
    counts.set(name, occurrence);
    return { name, occurrence, kind: operation.kind };
  });
  // How often the status is written depends on a clock.
  return found.filter(({ name, occurrence }) => occurrence <= 2 || !/status\.json|^sync run$/.test(name));
}

/** Boundaries that differ by the step or the sample alone are of one kind. */
const kindOfBoundary = (name: string): string =>
  name
    .replaceAll(/step-\d+/g, 'step-*')
    .replaceAll(/features\/[0-9a-f]{2}(\/[0-9a-f]+)?/g, (_, file) => (file ? 'features/*/*' : 'features/*'))
    // What is in a folder is forced to the disk once more, in one go, before the folder gets its name.
    .replace(/^sync (.*step-\*\.partial)\/[^/]+(?<!\.partial)$/, 'sync $1/*');

function byKind(found: readonly Boundary[]): Map<string, Boundary[]> {
  const kinds = new Map<string, Boundary[]>();
  for (const boundary of found) {
    const kind = kindOfBoundary(boundary.name);
    kinds.set(kind, [...(kinds.get(kind) ?? []), boundary]);
  }
  // Features are computed side by side: their order is none to number by.
  for (const same of kinds.values()) {
    if (same[0]!.name.includes('features/')) same.sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  return kinds;
}

type Phase = 'before' | 'half' | 'after';
const at = ({ name, occurrence }: Boundary, phase: Phase): Fault => ({
  at: 'operation',
  name,
  occurrence,
  phase,
});
const title = ({ name, occurrence }: Boundary, phase: Phase): string => {
  const short = name.replaceAll(/([0-9a-f]{8})[0-9a-f]{56}/g, '$1');
  return `${phase === 'half' ? 'half-way through' : phase} ${short}${occurrence > 1 ? ` (no. ${occurrence})` : ''}`;
};

/** Writes and removals may be stopped half-way; all else happens or does not. */
const canBeHalf = ({ kind }: Boundary): boolean => kind === 'write' || kind === 'remove';

/** What a resumed run did, after the fault that came before it. */
export interface ResumedRecording {
  readonly fault: Fault;
  readonly operations: readonly Operation[];
  readonly folder: string;
}

export interface PlanInputs {
  readonly seed: number;
  readonly steps: number;
  readonly reference: {
    readonly folder: string;
    readonly operations: readonly Operation[];
    readonly trace: readonly TraceLine[];
  };
  /** Recordings of resumed runs: what they clean up is where they are killed again. */
  readonly resumed: readonly ResumedRecording[];
  /** Every boundary before, half-way and after, not one of each kind. */
  readonly all?: boolean;
}

export interface Plan {
  readonly points: readonly Point[];
  /** Boundaries of the uninterrupted run, and kinds of them. */
  readonly boundaries: number;
  readonly kinds: number;
}

type Unnumbered = Omit<Point, 'number'>;

function writePoints(found: readonly Boundary[], random: Random, all: boolean): Unnumbered[] {
  if (all) {
    return found.flatMap((boundary) =>
      (['before', 'half', 'after'] as const)
        .filter((phase) => phase !== 'half' || canBeHalf(boundary))
        .map((phase) => ({
          group: 'write' as const,
          title: title(boundary, phase),
          lives: [{ fault: at(boundary, phase) }],
        })),
    );
  }
  return [...byKind(found).values()].map((same) => {
    const boundary = random.pick(same);
    const phase = canBeHalf(boundary) ? 'half' : random.pick(['before', 'after'] as const);
    return { group: 'write', title: title(boundary, phase), lives: [{ fault: at(boundary, phase) }] };
  });
}

/** Milliseconds that each step took, and that passed before the next one began. */
function durations(trace: readonly TraceLine[]) {
  const [computing, pause] = [new Map<number, number>(), new Map<number, number>()];
  let begin = 0;
  let last: { step: number; end: number } | undefined;
  for (const line of trace) {
    if (line.event === 'begin') {
      begin = line.milliseconds;
      if (last !== undefined) pause.set(last.step, begin - last.end);
    }
    if (line.event === 'end') {
      computing.set(line.step, line.milliseconds - begin);
      last = { step: line.step, end: line.milliseconds };
    }
  }
  return { computing, pause };
}

function timedPoints({ reference: { trace }, steps }: PlanInputs, random: Random): Unnumbered[] {
  const { computing, pause } = durations(trace);
  // The last step leaves too little time to be killed in.
  const early = Array.from({ length: steps - 2 }, (_, i) => i + 1);
  const microBatches = new Map<number, number>();
  const epochs = new Map<number, number>();
  for (const line of trace) {
    if (line.event !== 'batch') continue;
    microBatches.set(line.step, (microBatches.get(line.step) ?? 0) + 1);
    epochs.set(line.step, line.epoch);
  }
  const timed = (
    group: PointGroup,
    step: number,
    moment: 'begin' | 'end' | 'second micro-batch',
    length: number,
    words: string,
  ): Unnumbered => {
    const part = random.uniform(0.05, 0.95);
    return {
      group,
      title: `${Math.round(part * 100)} % into ${words} ${step}`,
      lives: [{ fault: { at: 'step', step, moment, milliseconds: part * length } }],
    };
  };
  const some = (count: number, candidates: readonly number[], make: (step: number) => Unnumbered) =>
    random.shuffle(candidates).slice(0, count).map(make);
  const forward = (step: number) =>
    timed('step', step, 'begin', computing.get(step)!, 'the computation of step');
  const between = (step: number) =>
    timed('step', step, 'end', pause.get(step)!, 'the pause after the computation of step');
  const second = (step: number) => {
    const words = 'the second micro-batch of step';
    return timed('accumulation', step, 'second micro-batch', computing.get(step)! / 2, words);
  };
  const epochEnd = (step: number) => {
    const words = 'the pause after the last of an epoch, step';
    return timed('epoch', step, 'end', pause.get(step)!, words);
  };
  const epochEnds = early.filter((step) => epochs.get(step) !== epochs.get(step + 1));
  const accumulated = early.filter((step) => microBatches.get(step)! > 1);
  return [
    forward(1),
    ...some(3, early.slice(1), forward),
    ...some(3, early, between),
    ...some(3, accumulated, second),
    ...some(2, epochEnds, epochEnd),
  ];
}

function featurePoints(random: Random): Unnumbered[] {
  // Each sample has two files to be read; the first takes longest, as the encoders are loaded.
  return [1, 4, 9].map((count) => {
    const milliseconds = Number(random.uniform(1, 60).toFixed(2));
    return {
      group: 'features',
      title: `${milliseconds} ms after the features of file ${count} were asked for`,
      lives: [{ fault: { at: 'features', count, milliseconds } }],
    };
  });
}

/** Kills of a run that was resumed after a kill: in its own steps and writes, and while it cleans up. */
function secondPoints({ resumed, reference }: PlanInputs, random: Random): Unnumbered[] {
  const usual = new Set(byKind(boundaries(reference.folder, reference.operations)).keys());
  const points: Unnumbered[] = [];
  const cleaned = new Set<string>();
  for (const { fault, operations, folder } of resumed) {
    const found = boundaries(folder, operations);
    const firstStep = found.findIndex(({ name }) => name === 'write run/metrics.jsonl');
    const second = (group: PointGroup, boundary: Boundary): Unnumbered => {
      const phase = canBeHalf(boundary) ? 'half' : random.pick(['before', 'after'] as const);
      const before = fault.at === 'operation' ? fault.name.replace(/^.*\//, '') : '';
      return {
        group,
        title: `a kill in ${before}, then ${title(boundary, phase)}`,
        lives: [{ fault }, { fault: at(boundary, phase) }],
      };
    };
    for (const [kind, same] of byKind(found.slice(0, firstStep))) {
      // What an uninterrupted run does as well is killed there.
      const isTidying = !usual.has(kind) || /^remove | run\/events$/.test(kind);
      if (!isTidying || cleaned.has(kind)) continue;
      cleaned.add(kind);
      points.push(second('cleaning', random.pick(same)));
    }
    const later = [...byKind(found.slice(firstStep)).values()];
    points.push(
      ...random
        .shuffle(later)
        .slice(0, 4)
        .map((same) => second('twice', random.pick(same))),
    );
  }
  return points;
}

function moreStepsPoints({ steps }: PlanInputs): Unnumbered[] {
  const fewer = (until: number) => ({ settings: { 'train.steps': until } });
  const half = steps / 2;
  return [
    {
      group: 'more steps',
      title: `done at ${half} steps, within an epoch, then continued to ${steps}`,
      lives: [fewer(half)],
    },
    {
      group: 'more steps',
      title: `done at ${half - 1} steps, at the end of an epoch, then continued to ${steps}`,
      lives: [fewer(half - 1)],
    },
    {
      group: 'more steps',
      title: `killed on the way to ${half} steps, then continued to ${steps}`,
      lives: [
        {
          ...fewer(half),
          fault: { at: 'operation', name: 'write run/metrics.jsonl', occurrence: half - 1, phase: 'after' },
        },
      ],
    },
  ];
}

/** All points of a seed. */
export function planPoints(inputs: PlanInputs): Plan {
  const { reference, seed, all = false } = inputs;
  const found = boundaries(reference.folder, reference.operations);
  const unnumbered = [
    ...writePoints(found, new Random(seed, 'faults', 'write'), all),
    ...timedPoints(inputs, new Random(seed, 'faults', 'timed')),
    ...featurePoints(new Random(seed, 'faults', 'features')),
    ...secondPoints(inputs, new Random(seed, 'faults', 'second')),
    ...moreStepsPoints(inputs),
  ];
  return {
    points: unnumbered.map((point, i) => ({ number: i + 1, ...point })),
    boundaries: found.length,
    kinds: byKind(found).size,
  };
}

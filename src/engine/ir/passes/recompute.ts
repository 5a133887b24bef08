import { EngineError } from '../../../errors.ts';
import type { Recomputation } from '../../types.ts';
import { valueBytes } from '../liveness.ts';
import type { SymbolicGraph, SymbolicNode, SymbolicValue } from '../symbolic.ts';

/** Values that `outputs` need, themselves included. */
function ancestors(graph: SymbolicGraph, outputs: readonly number[]): Set<number> {
  const needed = new Set(outputs);
  for (const { inputs, output } of graph.nodes.toReversed()) {
    if (needed.has(output)) for (const input of inputs) needed.add(input);
  }
  return needed;
}

/** The forward nodes in their order, and where each value is made and used last among them. */
class Forward {
  readonly nodes: readonly SymbolicNode[];
  /** Bytes of the values that are made up to a position and used behind it. */
  readonly #crossing: Float64Array;

  constructor(graph: SymbolicGraph, result: number) {
    const needed = ancestors(graph, [result]);
    this.nodes = graph.nodes.filter(({ output }) => needed.has(output));
    // What is made from nothing can be made anywhere.
    const made = new Map(
      this.nodes.flatMap(({ inputs, output }, position) =>
        inputs.length === 0 ? [] : [[output, position] as const],
      ),
    );
    const lastUse = new Map<number, number>();
    this.nodes.forEach(({ inputs }, position) => {
      for (const input of inputs) if (made.has(input)) lastUse.set(input, position);
    });
    const changes = new Float64Array(this.nodes.length + 1);
    for (const [value, last] of lastUse) {
      const bytes = valueBytes(graph.values[value]!);
      changes[made.get(value)!]! += bytes;
      changes[last]! -= bytes;
    }
    let now = 0;
    this.#crossing = changes.map((change) => {
      now += change;
      return now;
    });
  }

  /** Positions of the nodes that read one of `values`. */
  uses(values: ReadonlySet<number>): number[] {
    return this.nodes.flatMap(({ inputs }, position) =>
      inputs.some((input) => values.has(input)) ? [position] : [],
    );
  }

  /** The position from `first` to `last` behind which the fewest bytes are needed; the first of several. */
  cheapestCut(first: number, last: number): number {
    let best = first;
    for (let position = first + 1; position <= last; position++) {
      if (this.#crossing[position]! < this.#crossing[best]!) best = position;
    }
    return best;
  }
}

/** Named values by segment, in the order in which the forward pass first uses them. */
function segmentParameters(graph: SymbolicGraph, segmentOf: Recomputation['segmentOf']) {
  const segments = new Map<string, Set<number>>();
  for (const [name, value] of [...graph.weights, ...graph.inputs]) {
    const segment = segmentOf(name);
    if (segment === undefined) continue;
    const values = segments.get(segment) ?? new Set();
    segments.set(segment, values.add(value));
  }
  return segments;
}

/**
 * The ends of the segments among the forward nodes: segment i is behind `cuts[i]` and up to `cuts[i + 1]`. Each cut lies
 * between the last use of a parameter of one segment and the first use of one of the next, where the least crosses it.
 * The last segment counts as what follows: its backward pass begins as soon as the result is there, so that nothing is
 * won by computing it again.
 */
function findCuts(graph: SymbolicGraph, forward: Forward, segmentOf: Recomputation['segmentOf']): number[] {
  const parameters = segmentParameters(graph, segmentOf);
  const ranges = [...parameters.values()]
    .map((values) => forward.uses(values))
    .filter((uses) => uses.length > 0)
    .map((uses) => ({ first: uses[0]!, last: uses.at(-1)! }))
    .sort((a, b) => a.first - b.first);
  if (ranges.length === 0) return [];
  const overlap = ranges.findIndex(({ first }, i) => i > 0 && first <= ranges[i - 1]!.last);
  if (overlap > 0) {
    throw new EngineError(
      'RECOMPUTE_SEGMENTS',
      `Nothing can be recomputed in "${graph.name}": its segments do not run one after the other (segment ${overlap - 1} and ${overlap}).`,
    );
  }
  const [begin, end] = [ranges[0]!.first, ranges.at(-1)!.last];
  // What lies before the first one ends with what only it uses.
  const named = new Set([...graph.weights.values(), ...graph.inputs.values()]);
  const inside = new Set(forward.nodes.slice(begin, end + 1).flatMap(({ inputs }) => inputs));
  const outside = forward.uses(new Set([...named].filter((value) => !inside.has(value))));
  const before = outside.filter((position) => position < begin).at(-1) ?? 0;
  return [
    forward.cheapestCut(Math.min(before, begin - 1), begin - 1),
    ...ranges.slice(1).map(({ first }, i) => forward.cheapestCut(ranges[i]!.last, first - 1)),
  ];
}

/**
 * Forward values of each segment but the last that the backward pass needs are computed once more from the segment's
 * inputs right before they are needed there, so that they need not be kept. Values stay the same, bit for bit: whatever is random is a
 * function of its inputs.
 *
 * @param graph with forward and backward pass, in this order; already optimised
 * @throws EngineError `RECOMPUTE_SEGMENTS` where segments overlap
 */
export function recomputeSegments(graph: SymbolicGraph, { segmentOf, result }: Recomputation): SymbolicGraph {
  const loss = graph.outputs.get(result);
  if (loss === undefined) return graph;
  const forward = new Forward(graph, loss);
  const cuts = findCuts(graph, forward, segmentOf);
  if (cuts.length < 2) return graph;
  return new Recomputer(graph, { forward, loss, cuts, segmentOf }).run();
}

class Recomputer {
  readonly #graph: SymbolicGraph;
  readonly #values: SymbolicValue[];
  readonly #forward: Forward;
  readonly #loss: number;
  /** Segment of each forward value that is made within one. */
  readonly #segment = new Map<number, number>();
  /** Forward values that stay: what one segment gives to others, and what is no segment's. */
  readonly #kept = new Set<number>();
  /** Values that nobody can mistake for computed ones: they are where they are. */
  readonly #parameters: ReadonlySet<number>;
  /** Values behind the last segment, and the gradients that follow from them. */
  readonly #gradients = new Set<number>();

  constructor(
    graph: SymbolicGraph,
    options: {
      readonly forward: Forward;
      readonly loss: number;
      readonly cuts: readonly number[];
      readonly segmentOf: Recomputation['segmentOf'];
    },
  ) {
    const { forward, loss, cuts, segmentOf } = options;
    this.#graph = graph;
    this.#loss = loss;
    this.#values = [...graph.values];
    this.#forward = forward;
    this.#parameters = new Set(
      [...graph.weights, ...graph.inputs].flatMap(([name, value]) =>
        segmentOf(name) === undefined ? [] : [value],
      ),
    );
    forward.nodes.forEach(({ output, inputs }, position) => {
      const segment = cuts.findLastIndex((cut) => position > cut);
      const isWithin = segment >= 0 && segment < cuts.length - 1;
      if (isWithin) this.#segment.set(output, segment);
      else if (segment >= 0) this.#gradients.add(output);
      for (const input of inputs) {
        if (this.#segment.get(input) !== (isWithin ? segment : undefined)) this.#kept.add(input);
      }
    });
    for (const value of graph.outputs.values()) this.#kept.add(value);
  }

  run(): SymbolicGraph {
    const forward = new Set(this.#forward.nodes);
    const copies = new Map<number, number>();
    const done = new Set<number>();
    const nodes: SymbolicNode[] = [];
    let latest: number | undefined;
    for (const node of this.#graph.nodes) {
      if (forward.has(node)) {
        nodes.push(node);
        continue;
      }
      for (const input of node.inputs) {
        const segment = this.#segment.get(input);
        if (segment === undefined || this.#kept.has(input) || done.has(segment)) continue;
        done.add(segment);
        nodes.push(...this.#again(segment, latest ?? this.#loss, copies));
      }
      nodes.push({ ...node, inputs: node.inputs.map((input) => copies.get(input) ?? input) });
      if (node.inputs.some((input) => this.#gradients.has(input))) {
        this.#gradients.add(node.output);
        latest = node.output;
      }
    }
    return { ...this.#graph, values: this.#values, nodes };
  }

  /** Nodes that compute what the backward pass needs of a segment, once `after` is there; `copies` learns their results. */
  #again(segment: number, after: number, copies: Map<number, number>): SymbolicNode[] {
    const isForward = new Set(this.#forward.nodes.map(({ output }) => output));
    const wanted = new Set<number>();
    for (const { inputs, output } of this.#graph.nodes) {
      if (isForward.has(output)) continue;
      for (const input of inputs) {
        if (this.#segment.get(input) === segment && !this.#kept.has(input)) wanted.add(input);
      }
    }
    const own = this.#forward.nodes.filter(({ output }) => this.#segment.get(output) === segment);
    for (const { inputs, output } of own.toReversed()) {
      if (!wanted.has(output) || this.#kept.has(output)) continue;
      for (const input of inputs) if (this.#segment.get(input) === segment) wanted.add(input);
    }
    const nodes: SymbolicNode[] = [];
    const fenced = new Map<number, number>();
    const make = (node: Omit<SymbolicNode, 'output'>, like: number): number => {
      const output = this.#values.push(this.#values[like]!) - 1;
      nodes.push({ ...node, output });
      return output;
    };
    const fence = (value: number): number => {
      if (this.#parameters.has(value) || this.#graph.constants.has(value) || this.#isConstant(value)) {
        return value;
      }
      const known = fenced.get(value);
      if (known !== undefined) return known;
      const barrier = make({ op: 'Barrier', inputs: [value, after], attributes: {}, sizes: {} }, value);
      fenced.set(value, barrier);
      return barrier;
    };
    for (const node of own) {
      if (!wanted.has(node.output) || this.#kept.has(node.output)) continue;
      // One fence is enough to make a copy of its own, and one that waits; more of them only keep compilers from fusing.
      const copied = node.inputs.map((input) => copies.get(input) ?? fenced.get(input));
      const isFenced = copied.some((input) => input !== undefined);
      const inputs = node.inputs.map((input, i) => copied[i] ?? (isFenced ? input : fence(input)));
      copies.set(node.output, make({ ...node, inputs }, node.output));
    }
    return nodes;
  }

  #constantValues: Set<number> | undefined;

  /** Made from nothing, as uniform values are. */
  #isConstant(value: number): boolean {
    this.#constantValues ??= new Set(
      this.#graph.nodes.filter(({ inputs }) => inputs.length === 0).map(({ output }) => output),
    );
    return this.#constantValues.has(value);
  }
}

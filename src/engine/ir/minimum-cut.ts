/** A directed network whose edges carry at most their capacity (Dinic 1970). Vertices are numbered from 0. */
export class FlowNetwork {
  readonly #heads: number[] = [];
  readonly #capacities: number[] = [];
  readonly #edgesOf: number[][];

  constructor(vertices: number) {
    this.#edgesOf = Array.from({ length: vertices }, () => []);
  }

  addEdge(from: number, to: number, capacity: number): void {
    this.#edgesOf[from]!.push(this.#heads.length);
    this.#heads.push(to);
    this.#capacities.push(capacity);
    this.#edgesOf[to]!.push(this.#heads.length);
    this.#heads.push(from);
    this.#capacities.push(0);
  }

  /**
   * Sends as much as possible from `source` to `sink`.
   * @returns whether each vertex lies on the sink's side of the minimum cut that is nearest to the sink
   */
  cutNearSink(source: number, sink: number): boolean[] {
    for (let level = this.#levels(source); level[sink]! >= 0; level = this.#levels(source)) {
      const next = new Int32Array(this.#edgesOf.length);
      while (this.#augment(source, sink, level, next));
    }
    // Whoever can still send to the sink: edge and reverse edge are neighbours in the lists.
    const reaches = this.#edgesOf.map(() => false);
    reaches[sink] = true;
    const queue = [sink];
    for (let vertex = queue.pop(); vertex !== undefined; vertex = queue.pop()) {
      for (const edge of this.#edgesOf[vertex]!) {
        const from = this.#heads[edge]!;
        if (reaches[from] || this.#capacities[edge ^ 1]! <= 0) continue;
        reaches[from] = true;
        queue.push(from);
      }
    }
    return reaches;
  }

  /** Distance of each vertex from `source` over edges that can carry more; -1 where there is no way. */
  #levels(source: number): Int32Array {
    const level = new Int32Array(this.#edgesOf.length).fill(-1);
    level[source] = 0;
    const queue = [source];
    for (const vertex of queue) {
      for (const edge of this.#edgesOf[vertex]!) {
        const to = this.#heads[edge]!;
        if (level[to]! >= 0 || this.#capacities[edge]! <= 0) continue;
        level[to] = level[vertex]! + 1;
        queue.push(to);
      }
    }
    return level;
  }

  /** Fills one path of the levels; without recursion, for paths are as long as models are deep. */
  #augment(source: number, sink: number, level: Int32Array, next: Int32Array): boolean {
    const path: number[] = [];
    let vertex = source;
    while (vertex !== sink) {
      const edges = this.#edgesOf[vertex]!;
      const edge = edges[next[vertex]!];
      if (edge === undefined) {
        const last = path.pop();
        if (last === undefined) return false;
        vertex = this.#heads[last ^ 1]!;
        next[vertex]!++;
        continue;
      }
      const to = this.#heads[edge]!;
      if (this.#capacities[edge]! > 0 && level[to] === level[vertex]! + 1) {
        path.push(edge);
        vertex = to;
      } else {
        next[vertex]!++;
      }
    }
    const amount = Math.min(...path.map((edge) => this.#capacities[edge]!));
    for (const edge of path) {
      this.#capacities[edge]! -= amount;
      this.#capacities[edge ^ 1]! += amount;
    }
    return true;
  }
}

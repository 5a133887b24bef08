import { describe, expect, it } from 'vitest';
import { FlowNetwork } from '../../src/engine/ir/minimum-cut.ts';

describe('a minimum cut', () => {
  it('separates source and sink at the least capacity', () => {
    // 0 -> 1 -> 3 carries 2, 0 -> 2 -> 3 carries 1: cut at 1 -> 3 and 0 -> 2.
    const network = new FlowNetwork(4);
    network.addEdge(0, 1, 5);
    network.addEdge(1, 3, 2);
    network.addEdge(0, 2, 1);
    network.addEdge(2, 3, 5);
    expect(network.cutNearSink(0, 3)).toEqual([false, false, true, true]);
  });

  it('is, of several, the one nearest to the sink', () => {
    const network = new FlowNetwork(4);
    for (const vertex of [0, 1, 2]) network.addEdge(vertex, vertex + 1, 3);
    expect(network.cutNearSink(0, 3)).toEqual([false, false, false, true]);
  });

  it('sends flow back where a first path was in the way', () => {
    // The short path 0-1-4-5 blocks; 3 units get through only with 1-4 left to 1-2.
    const network = new FlowNetwork(6);
    network.addEdge(0, 1, 2);
    network.addEdge(0, 3, 1);
    network.addEdge(1, 4, 1);
    network.addEdge(1, 2, 1);
    network.addEdge(3, 4, 1);
    network.addEdge(2, 5, 1);
    network.addEdge(4, 5, 1);
    expect(network.cutNearSink(0, 5)).toEqual([false, false, false, false, false, true]);
  });
});

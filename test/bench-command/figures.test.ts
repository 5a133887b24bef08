import { describe, expect, it } from 'vitest';
import { clipFlops, hubertFlops } from '../../src/bench/encoder-flops.ts';
import { summarise } from '../../src/bench/machine.ts';
import { betweenOperators, profileLines, profileTable } from '../../src/bench/profile.ts';
import { benchResult, gflopsPerSecond } from '../../src/bench/result.ts';
import { measureRoof, roofOf } from '../../src/bench/roof.ts';
import { trainStepFlops } from '../../src/bench/train-step.ts';
import { createEngine } from '../../src/engine/engines.ts';

describe('operations of a model', () => {
  it('of a training step, by hand', () => {
    // Entries of the frozen matrices of a layer, forward and backward to the input.
    const frozen = 256 * 256 + 128 * 256 + 128 * 256 + 256 * 256 + 3 * 1024 * 256;
    // Widths in and out of the seven adapters of a layer, rank 16; three products each.
    const adapters = 16 * (6 * 256 + 1024) + 16 * (2 * 256 + 2 * 128 + 2 * 1024 + 256);
    // The first layer's queries, keys and values need no gradient of their input.
    const spared = 2 * (256 * 256 + 2 * 128 * 256) + 2 * 16 * 3 * 256;
    const perToken = 2 * (2 * 2 * frozen + 3 * 2 * adapters) - spared;
    const attention = 2 * 6 * 2 * 256 * 3 * 128 ** 2;
    const logits = 2 * 2 * 256 * 1024 * 120;
    // Of the last layer, output and feed-forward part are computed for the 120 learnt tokens alone.
    const last = 2 * 2 * (256 * 256 + 3 * 1024 * 256) + 3 * 2 * 16 * (2 * 256 + 3 * (256 + 1024));
    const left = last * (384 - 120);
    expect(trainStepFlops('s')).toBe(perToken * 384 - left + attention + logits);
    expect(trainStepFlops('s')).toBe(2_742_878_208);
  });

  it('of the encoders, by hand', () => {
    const shape = { hidden_size: 8, intermediate_size: 16, num_attention_heads: 2 };
    const vision = { ...shape, num_hidden_layers: 1, image_size: 4, patch_size: 2 };
    // 4 patches of 12 values; 5 tokens; a projection to 4.
    const layer = (rows: number, tokens: number) =>
      4 * 2 * rows * 8 * 8 + 2 * 2 * rows * 8 * 16 + 2 * 2 * rows * 8 * tokens;
    const image = 2 * 4 * 12 * 8 + layer(5, 5) + 2 * 8 * 4;
    expect(clipFlops({ projection_dim: 4, vision_config: vision }, 3)).toBe(3 * image);
    const speech = {
      ...{ ...shape, num_hidden_layers: 3, conv_dim: [4], conv_kernel: [3], conv_stride: [2] },
      ...{ num_conv_pos_embeddings: 3, num_conv_pos_embedding_groups: 2 },
    };
    // 9 samples give 4 positions; 3 taps, then 4 channels to 8, then 3 taps of 4 channels a group.
    const clip = 2 * 4 * 3 * 4 + 2 * 4 * 4 * 8 + 2 * 4 * 4 * 3 * 8 + 3 * layer(4, 4);
    expect(hubertFlops(speech, 2, 9)).toBe(2 * clip);
  });
});

describe('rates', () => {
  it('are billions of operations a second', () => {
    expect(gflopsPerSecond(3e9, 1500)).toBe(2);
    expect(roofOf(1000, 3, 100)).toBe(60);
    expect(summarise([5, 1, 9, 3])).toEqual({ median_ms: 5, min_ms: 1 });
  });

  it('of a large product are measured in the engine itself', async () => {
    const engine = await createEngine({ type: 'onnxruntime', threads: 1 });
    const roof = await measureRoof(engine, 64);
    expect(roof).toBeGreaterThan(0);
    expect(Number.isFinite(roof)).toBe(true);
  });

  it('stand in a result beside the share of the roof', async () => {
    const times = [30, 10, 20];
    const one = {
      ...{ bench: 'encode', size: 'clip-large', firstMs: 99.6, tokens: null, flops: 4e9 },
      run: async () => ({ ms: times.pop()! }),
      dispose: async () => {},
    };
    const engine = { name: 'xla', precision: 'bf16' } as const;
    const result = await benchResult(one, engine, { threads: 2, runs: 3 }, async () => 400);
    expect(result).toMatchObject({ engine: 'xla', dtype: 'bfloat16', median_ms: 20, min_ms: 10 });
    expect(result).toMatchObject({ gflops_per_s: 200, roof_gflops_per_s: 400, roof_share: 0.5 });
    expect(result).toMatchObject({ first_ms: 100, tokens_per_s: null });
  });
});

describe('a profile', () => {
  const profile = {
    runs: 2,
    milliseconds: 100,
    rows: [
      { op: 'MatMul', calls: 3, milliseconds: 60, flops: 12e9 },
      { op: 'Add', calls: 5, milliseconds: 29.96 },
      { op: 'Neg', calls: 1, milliseconds: 0.04 },
    ],
  };

  it('adds up, with what no operator accounts for', () => {
    const lines = profileLines(profile, 400);
    expect(lines[0]).toEqual({
      ...{ op: 'MatMul', calls: 3, ms: 60, share: 0.6 },
      ...{ gflops_per_s: 200, roof_share: 0.5 },
    });
    expect(lines.at(-1)).toEqual({ op: betweenOperators, calls: 1, ms: 10, share: 0.1 });
    expect(lines.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });

  it('shows small operators as one row', () => {
    const table = profileTable('step', profile, 400);
    expect(table).toContain('| MatMul ');
    expect(table).toContain('| 1 others');
    expect(table).not.toContain('Neg');
  });
});

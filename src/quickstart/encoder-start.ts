import type { HostTensor, HostTensorMap } from '../engine/types.ts';

/**
 * A better start for a small image tower than random numbers, so that pretext training needs minutes and not hours:
 * patches are first described by the low frequencies of a cosine transform (brightness, then colour), positions by
 * sines and cosines of row and column, and every linear layer keeps the size of what passes through it. Everything
 * stays trainable.
 *
 * @param tensors fresh weights under Hugging Face's names for `CLIPVisionModelWithProjection`
 */
export function startVisualTower(tensors: HostTensorMap): HostTensorMap {
  const replaced = Object.entries(tensors).map(([name, tensor]): [string, HostTensor] => {
    if (name.endsWith('embeddings.patch_embedding.weight'))
      return [name, { ...tensor, data: patchFilters(tensor) }];
    if (name.endsWith('embeddings.position_embedding.weight')) {
      return [name, { ...tensor, data: gridPositions(tensor) }];
    }
    const isMatrix = tensor.shape.length === 2;
    return [name, isMatrix ? { ...tensor, data: rescaled(tensor, 0.6) } : tensor];
  });
  return Object.fromEntries(replaced);
}

/** The two-dimensional cosines of one patch, lowest first; three quarters for brightness, the rest for two colours. */
function patchFilters({ shape }: HostTensor): Float32Array {
  const [filters, channels, side] = shape as [number, number, number, number];
  const orders = Array.from(
    { length: side * side },
    (_, i) => [Math.floor(i / side), i % side] as const,
  ).sort(([a, b], [c, d]) => a + b - (c + d) || a - c);
  const bright = Math.ceil(filters * 0.75);
  const colours = [
    [1, 1, 1],
    [1, 0, -1],
    [-0.5, 1, -0.5],
  ] as const;
  const data = new Float32Array(filters * channels * side * side);
  for (let filter = 0; filter < filters; filter++) {
    const rest = filter - bright;
    const colour = colours[rest < 0 ? 0 : 1 + (rest % 2)]!;
    const [row, column] = orders[rest < 0 ? filter : rest >> 1]!;
    const wave = (order: number, at: number) => Math.cos((order * (at + 0.5) * Math.PI) / side);
    // A cosine product has the norm side / 2 (twice as much for each order 0).
    const norm = (side / 2) * (row === 0 ? Math.SQRT2 : 1) * (column === 0 ? Math.SQRT2 : 1);
    for (let channel = 0; channel < channels; channel++) {
      const weight = (0.17 * (colour[channel] ?? 0)) / norm;
      const begin = (filter * channels + channel) * side * side;
      for (let y = 0; y < side; y++) {
        for (let x = 0; x < side; x++) data[begin + y * side + x] = weight * wave(row, y) * wave(column, x);
      }
    }
  }
  return data;
}

/** Row 0 belongs to the class token and stays as drawn; the others tell row and column of their patch. */
function gridPositions({ shape, data: drawn }: HostTensor): Float32Array {
  const [rows, width] = shape as [number, number];
  const side = Math.round(Math.sqrt(rows - 1));
  const data = Float32Array.from(drawn);
  const quarter = Math.floor(width / 4);
  for (let patch = 0; patch < rows - 1; patch++) {
    const places = [Math.floor(patch / side), patch % side];
    for (let k = 0; k < 4 * quarter; k++) {
      const frequency = ((Math.PI / side) * 8 * ((k % quarter) + 1)) / quarter / 2;
      const angle = places[k < 2 * quarter ? 0 : 1]! * frequency;
      data[(patch + 1) * width + k] =
        0.5 * (Math.floor(k / quarter) % 2 === 0 ? Math.sin(angle) : Math.cos(angle));
    }
  }
  return data;
}

/** The same directions at the deviation `gain / sqrt(inputs)`. */
function rescaled({ shape, data }: HostTensor, gain: number): Float32Array {
  let squares = 0;
  for (const value of data) squares += value * value;
  const factor = gain / Math.sqrt(shape[1]!) / Math.max(1e-12, Math.sqrt(squares / data.length));
  return Float32Array.from(data, (value) => value * factor);
}

import type { HostTensor, HostTensorMap } from '../../engine/types.ts';

/** Images or clips that go through an encoder together; bounds the memory of activations. */
const encodeBatch = 8;

/** Rows `from` to `to` of a tensor; rows past its end are zeros. */
function rows({ dtype, shape, data }: HostTensor, from: number, to: number): HostTensor {
  const size = data.length / shape[0]!;
  const present = data.subarray(from * size, to * size);
  const wanted = (to - from) * size;
  if (present.length === wanted) return { dtype, shape: [to - from, ...shape.slice(1)], data: present };
  const padded = new (data.constructor as Float32ArrayConstructor)(wanted);
  padded.set(present);
  return { dtype, shape: [to - from, ...shape.slice(1)], data: padded };
}

/**
 * Runs prepared inputs in pieces and joins the features.
 * @param inputs the first axis of each counts images or clips
 * @param run features `[piece, ...]` of a piece
 * @param fixedBatch size that every piece must have; the last one is filled up with zeros, whose features are dropped
 */
export async function encodeInPieces(
  inputs: HostTensorMap,
  run: (piece: HostTensorMap) => Promise<HostTensor>,
  fixedBatch?: number,
): Promise<HostTensor> {
  const count = Object.values(inputs)[0]!.shape[0]!;
  const size = fixedBatch ?? encodeBatch;
  const pieces: HostTensor[] = [];
  for (let from = 0; from < count; from += size) {
    const to = fixedBatch === undefined ? Math.min(from + size, count) : from + size;
    const piece = Object.entries(inputs).map(([name, tensor]) => [name, rows(tensor, from, to)]);
    pieces.push(rows(await run(Object.fromEntries(piece)), 0, Math.min(to, count) - from));
  }
  const data = new Float32Array(pieces.reduce((length, piece) => length + piece.data.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    data.set(piece.data, offset);
    offset += piece.data.length;
  }
  return { dtype: 'float32', shape: [count, ...pieces[0]!.shape.slice(1)], data };
}

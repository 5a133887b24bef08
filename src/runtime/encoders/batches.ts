import { bucketOf } from '../../engine/size-buckets.ts';
import type { HostTensor, HostTensorMap } from '../../engine/types.ts';

/** Images or clips that go through an encoder together; bounds the memory of activations. */
const encodeBatch = 8;

/** How many images or clips go through an encoder next, of those that are left. */
export type PieceSize = (left: number) => number;

/** For encoders that take any number. */
export const anyPiece: PieceSize = (left) => Math.min(left, encodeBatch);

/** For an engine with `fixedSizes`: 1, 2, 4 or 8, of which a run needs one or two (8 frames, 8 clips, a single image). */
export const fixedPiece: PieceSize = (left) => bucketOf(anyPiece(left), { least: 1, perDoubling: 1 });

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
 * @param pieceSize where it is more than what is left, zeros fill the piece up, and their features are dropped
 */
export async function encodeInPieces(
  inputs: HostTensorMap,
  run: (piece: HostTensorMap) => Promise<HostTensor>,
  pieceSize: PieceSize,
): Promise<HostTensor> {
  const count = Object.values(inputs)[0]!.shape[0]!;
  const pieces: HostTensor[] = [];
  for (let from = 0, to = 0; from < count; from = to) {
    to = from + pieceSize(count - from);
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

import type { Frames } from '../../../encoders/encoder.ts';
import { InputError } from '../../errors.ts';
import { openNpy, readNpyRows } from '../../io/npy.ts';
import { checkMediaFile } from './ffmpeg.ts';
import { frameIndices, frameSize } from './frames.ts';
import { resizeBilinear } from './resize.ts';

/** Order of the three bytes of a pixel. */
export type ColorOrder = 'bgr' | 'rgb';

/** Exchanges first and third byte of every pixel where the orders differ. */
export function reorderColors(frames: Frames, from: ColorOrder, to: ColorOrder): Frames {
  if (from === to) return frames;
  const data = frames.data.slice();
  for (let i = 0; i < data.length; i += 3) {
    data[i] = frames.data[i + 2]!;
    data[i + 2] = frames.data[i]!;
  }
  return { ...frames, data };
}

/**
 * Reads stored face crops: npy uint8 `[frames, height, width, 3]`, chosen by `frameIndices` and stretched to 224x224 as
 * OpenCV does. Only the chosen ones are read.
 *
 * @param stored colour order in the file (the published crops are `bgr`)
 * @param wanted colour order of the result
 * @throws InputError `MEDIA_MISSING`, `MEDIA_EMPTY`, `FACES_SHAPE`, `FACES_NONE` and those of `openNpy`
 */
export async function loadFaces(
  file: string,
  {
    frames,
    stored,
    wanted,
  }: { readonly frames: number; readonly stored: ColorOrder; readonly wanted: ColorOrder },
): Promise<Frames> {
  await checkMediaFile(file);
  const npy = await openNpy(file);
  const [count = 0, height = 0, width = 0, channels] = npy.shape;
  if (npy.dtype !== 'uint8' || npy.shape.length !== 4 || channels !== 3 || height === 0 || width === 0) {
    throw new InputError(
      'FACES_SHAPE',
      `${file} holds ${npy.dtype} of shape [${npy.shape.join(', ')}]; face crops are uint8 [frames, height, width, 3].`,
    );
  }
  if (count === 0) {
    throw new InputError('FACES_NONE', `${file} holds no face crops.`);
  }
  const rows = await readNpyRows(npy, frameIndices(count, frames));
  const crops: Frames = { data: rows.data as Uint8Array, count: frames, height, width };
  return reorderColors(resizeBilinear(crops, frameSize, frameSize), stored, wanted);
}

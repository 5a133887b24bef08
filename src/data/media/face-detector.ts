import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Frames } from '../../../encoders/encoder.ts';
import { prepareWasm } from '../../engine/eager/wasm.ts';
import { withBackend } from '../../engine/trace/trace.ts';
import type { MediaRunOptions } from './ffmpeg.ts';
import { countFrames, decodeFramesAt, frameIndices, frameSize } from './frames.ts';
import { probeMedia } from './probe.ts';
import { resizeBilinear } from './resize.ts';

/** A rectangle in pixels. */
export interface FaceBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Finds faces in pictures. */
export interface FaceDetector {
  /** Program, version and settings: part of the cache key. */
  readonly identity: string;
  /** The main face of each picture (RGB), undefined where there is none. */
  detect(frames: Frames): Promise<(FaceBox | undefined)[]>;
}

/** Longer edge of the pictures in which faces are looked for. */
const detectionEdge = 640;
const minConfidence = 0.3;
/** Edge of the crop relative to the longer edge of the box: forehead and chin are in. */
const margin = 1.3;

const packageName = '@vladmandic/face-api';

/** The part of the optional package that is used here. */
interface FaceApi {
  readonly nets: { readonly ssdMobilenetv1: FaceNet };
  readonly NetInput: new (pictures: readonly tf.Tensor3D[]) => object;
}

interface FaceNet {
  loadFromDisk(folder: string): Promise<void>;
  /**
   * Boxes `[candidates, 4]` (top, left, bottom, right as fractions of the picture padded to a square at its right or
   * lower edge) and scores `[candidates]` of each picture.
   */
  forwardInput(input: object): {
    readonly boxes: readonly tf.Tensor[];
    readonly scores: readonly tf.Tensor[];
  };
}

/**
 * The face detector of the optional package `@vladmandic/face-api` (SSD MobileNet v1, its weights are in the package), or
 * undefined where it is not installed. It runs on the tfjs of this project, on its wasm backend; each picture is
 * one synchronous call, so that nothing else meets that backend.
 */
export async function loadFaceDetector(): Promise<FaceDetector | undefined> {
  const require = createRequire(import.meta.url);
  let manifest: string;
  try {
    manifest = require.resolve(`${packageName}/package.json`);
  } catch {
    return undefined;
  }
  const { version } = require(manifest) as { version: string };
  // A plain require of '@tensorflow/tfjs' inside, hence the same copy as ours.
  const api = require(join(dirname(manifest), 'dist', 'face-api.node-wasm.js')) as FaceApi;
  await prepareWasm();
  // Loading needs some backend to be chosen.
  withBackend('wasm', () => undefined);
  await api.nets.ssdMobilenetv1.loadFromDisk(join(dirname(manifest), 'model'));
  return {
    identity: `${packageName}@${version} ssdMobilenetv1 ${minConfidence} ${detectionEdge} ${margin}`,
    async detect(frames) {
      return Array.from({ length: frames.count }, (_, i) =>
        withBackend('wasm', () => {
          let face: FaceBox | undefined;
          tf.tidy(() => {
            face = mainFace(api, frames, i);
          });
          return face;
        }),
      );
    },
  };
}

/** The face of a picture with the largest area times confidence. */
function mainFace(api: FaceApi, { data, height, width }: Frames, index: number): FaceBox | undefined {
  const bytes = data.subarray(index * height * width * 3, (index + 1) * height * width * 3);
  const picture = tf.tensor3d(Int32Array.from(bytes), [height, width, 3], 'int32');
  const output = api.nets.ssdMobilenetv1.forwardInput(new api.NetInput([picture]));
  const corners = output.boxes[0]!.dataSync();
  const scores = output.scores[0]!.dataSync();
  const square = Math.max(height, width);
  const within = (fraction: number, limit: number): number => Math.min(Math.max(fraction * square, 0), limit);
  let best: FaceBox | undefined;
  let bestWeight = 0;
  scores.forEach((score, i) => {
    const [top, left, bottom, right] = corners.slice(4 * i, 4 * i + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    const [x, y] = [within(left, width), within(top, height)];
    const box = { x, y, width: within(right, width) - x, height: within(bottom, height) - y };
    const weight = score * box.width * box.height;
    if (score >= minConfidence && weight > bestWeight) {
      best = box;
      bestWeight = weight;
    }
  });
  return best;
}

/** The square around a box that fits into a picture, enlarged by the margin, in whole pixels. */
export function cropSquare(
  box: FaceBox,
  height: number,
  width: number,
): { x: number; y: number; edge: number } {
  const edge = Math.max(1, Math.min(Math.round(margin * Math.max(box.width, box.height)), height, width));
  const place = (from: number, size: number, limit: number): number =>
    Math.min(Math.max(Math.round(from + size / 2 - edge / 2), 0), limit - edge);
  return { x: place(box.x, box.width, width), y: place(box.y, box.height, height), edge };
}

function crop(frames: Frames, index: number, box: FaceBox): Uint8Array {
  const { x, y, edge } = cropSquare(box, frames.height, frames.width);
  const data = new Uint8Array(edge * edge * 3);
  for (let row = 0; row < edge; row++) {
    const from = ((index * frames.height + y + row) * frames.width + x) * 3;
    data.set(frames.data.subarray(from, from + edge * 3), row * edge * 3);
  }
  return resizeBilinear({ data, count: 1, height: edge, width: edge }, frameSize, frameSize).data;
}

/**
 * Faces of a video, `[frames, 224, 224, 3]` RGB: of the frames that `frameIndices` chooses, the square around the main
 * face. A frame without a face takes the crop of the nearest frame that has one.
 *
 * @returns undefined where no chosen frame shows a face
 * @throws InputError as `decodeFrames`
 */
export async function detectFaces(
  file: string,
  frames: number,
  detector: FaceDetector,
  options: MediaRunOptions = {},
): Promise<Frames | undefined> {
  const probe = await probeMedia(file, options);
  const count = await countFrames(file, probe, options);
  const { width = frameSize, height = frameSize } = probe.video ?? {};
  const scale = Math.min(1, detectionEdge / Math.max(width, height));
  const size = {
    width: Math.max(2, Math.round(width * scale)),
    height: Math.max(2, Math.round(height * scale)),
  };
  const pictures = await decodeFramesAt(file, probe, frameIndices(count, frames), size, options);
  const boxes = await detector.detect(pictures);
  const withFace = boxes.flatMap((box, i) => (box === undefined ? [] : [i]));
  if (withFace.length === 0) return undefined;
  const data = new Uint8Array(frames * frameSize * frameSize * 3);
  for (let i = 0; i < frames; i++) {
    const nearest = withFace.reduce((best, at) => (Math.abs(at - i) < Math.abs(best - i) ? at : best));
    data.set(crop(pictures, nearest, boxes[nearest]!), i * frameSize * frameSize * 3);
  }
  return { data, count: frames, height: frameSize, width: frameSize };
}

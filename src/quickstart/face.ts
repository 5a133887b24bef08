import { drawHead } from './face-drawing.ts';
import type { Random, Split } from './random.ts';
import { Noise, striped } from './random.ts';
import { Canvas, type Colour, ellipse } from './raster.ts';

/** Who is seen. Lengths are in head units: 1 is half the height of a head of `faceLength` 1. */
export interface FaceIdentity {
  readonly skin: Colour;
  readonly hair: Colour;
  readonly iris: Colour;
  readonly lips: Colour;
  readonly clothes: Colour;
  readonly hairStyle: 'bald' | 'short' | 'fringe' | 'long';
  readonly glasses: boolean;
  readonly faceWidth: number;
  readonly faceLength: number;
  /** Exponent of the head's superellipse: 2 is round, 3 is square. */
  readonly jaw: number;
  readonly eyeDistance: number;
  readonly eyeSize: number;
  readonly eyeHeight: number;
  readonly browThickness: number;
  /** Where the brows rest, so that their height alone does not tell what they do. */
  readonly browRest: number;
  readonly noseLength: number;
  readonly mouthWidth: number;
  readonly mouthHeight: number;
}

/** Where and how someone is seen. */
export interface Scene {
  readonly background: readonly [Colour, Colour];
  readonly pattern: 'plain' | 'stripes' | 'discs';
  readonly patternSize: number;
  /** Centre of the head and half its height, as fractions of the picture's side. */
  readonly x: number;
  readonly y: number;
  readonly scale: number;
  /** Radians. */
  readonly rotation: number;
  readonly lightAngle: number;
  /** Difference of brightness across the picture, as a fraction of the mean. */
  readonly lightContrast: number;
  readonly brightness: number;
  readonly tint: Colour;
  readonly noiseSeed: number;
}

/** What a face does in one frame: what pretext training regresses, and all that tells one emotion from another. */
export interface FaceAction {
  /** -1 lowered .. 1 raised. */
  readonly browHeight: number;
  /** -1 inner ends up .. 1 inner ends down. */
  readonly browAngle: number;
  /** 0 shut .. 0.6 at rest .. 1.1 wide. */
  readonly eyeOpenness: number;
  /** -1 corners turned down .. 1 smile. */
  readonly mouthCurve: number;
  /** 0 shut .. 1 wide open. */
  readonly mouthOpenness: number;
  /** Head pose: -1 left, up or tilted left .. 1 right, down or tilted right. */
  readonly headYaw: number;
  readonly headPitch: number;
  readonly headRoll: number;
}

export const FACE_ACTIONS = [
  'browHeight',
  'browAngle',
  'eyeOpenness',
  'mouthCurve',
  'mouthOpenness',
  'headYaw',
  'headPitch',
  'headRoll',
] as const satisfies readonly (keyof FaceAction)[];

const SKINS: readonly Colour[] = [
  [250, 220, 196],
  [232, 190, 160],
  [205, 156, 122],
  [160, 112, 80],
  [112, 76, 54],
];
const HAIRS: readonly Colour[] = [
  [28, 24, 24],
  [78, 52, 36],
  [140, 92, 50],
  [206, 168, 100],
  [150, 150, 152],
  [150, 60, 36],
];

/** Draws somebody; training and test draw from different stripes of every range. */
export function drawIdentity(random: Random, split: Split): FaceIdentity {
  const range = (low: number, high: number) => striped(random, split, low, high);
  const skin = between(SKINS, range(0, SKINS.length - 1));
  const warmth = range(-14, 14);
  return {
    skin: [skin[0] + warmth, skin[1], skin[2] - warmth],
    hair: between(HAIRS, range(0, HAIRS.length - 1)),
    iris: [range(40, 110), range(60, 140), range(50, 170)],
    lips: [skin[0] * 0.85 + range(0, 22), skin[1] * range(0.5, 0.68), skin[2] * range(0.52, 0.72)],
    clothes: [range(30, 220), range(30, 220), range(30, 220)],
    hairStyle: random.pick(['bald', 'short', 'short', 'fringe', 'long', 'long'] as const),
    glasses: random.chance(0.15),
    faceWidth: range(0.7, 0.88),
    faceLength: range(0.94, 1.1),
    jaw: range(2, 2.7),
    eyeDistance: range(0.29, 0.38),
    eyeSize: range(0.16, 0.2),
    eyeHeight: range(-0.2, -0.08),
    browThickness: range(0.04, 0.065),
    browRest: range(0.24, 0.28),
    noseLength: range(0.22, 0.34),
    mouthWidth: range(0.3, 0.38),
    mouthHeight: range(0.45, 0.52),
  };
}

/** Draws a place, a camera and a light. */
export function drawScene(random: Random, split: Split): Scene {
  const range = (low: number, high: number) => striped(random, split, low, high);
  const wall: Colour = [range(50, 210), range(50, 210), range(50, 210)];
  return {
    background: [wall, [wall[0] + range(-45, 45), wall[1] + range(-45, 45), wall[2] + range(-45, 45)]],
    pattern: random.pick(['plain', 'stripes', 'discs'] as const),
    patternSize: range(0.08, 0.25),
    x: range(0.465, 0.535),
    y: range(0.45, 0.51),
    scale: range(0.37, 0.415),
    rotation: range(-0.07, 0.07),
    lightAngle: range(0, 2 * Math.PI),
    lightContrast: range(0.05, 0.5),
    brightness: range(0.75, 1.12),
    tint: [range(0.88, 1.1), range(0.92, 1.05), range(0.85, 1.12)],
    noiseSeed: random.integer(2 ** 31),
  };
}

/** Draws one person in one scene, frame after frame; everything that does not move is prepared once. */
export class FaceRenderer {
  readonly canvas: Canvas;
  readonly #identity: FaceIdentity;
  readonly #scene: Scene;
  readonly #background: Uint8ClampedArray;
  readonly #light: Float32Array;

  /** `size`: side of the square picture in pixels. */
  constructor(identity: FaceIdentity, scene: Scene, size = 224) {
    this.canvas = new Canvas(size, size);
    this.#identity = identity;
    this.#scene = scene;
    drawBackground(this.canvas, identity, scene);
    this.#background = this.canvas.pixels.slice();
    this.#light = lightMap(scene, size);
  }

  /** Returns the picture [size, size, 3] as red, green, blue; the buffer is reused by the next call. */
  draw(action: FaceAction): Uint8ClampedArray {
    const { canvas } = this;
    const { pixels } = canvas;
    pixels.set(this.#background);
    drawHead(canvas, this.#identity, this.#scene, action);
    const [red, green, blue] = this.#scene.tint;
    const light = this.#light;
    for (let i = 0, at = 0; i < light.length; i++, at += 3) {
      const gain = light[i]!;
      pixels[at] = pixels[at]! * gain * red;
      pixels[at + 1] = pixels[at + 1]! * gain * green;
      pixels[at + 2] = pixels[at + 2]! * gain * blue;
    }
    return pixels;
  }
}

function drawBackground(canvas: Canvas, identity: FaceIdentity, scene: Scene): void {
  const size = canvas.width;
  const [first, second] = scene.background;
  canvas.fillPolygon([0, 0, size, 0, size, size, 0, size], first);
  const step = scene.patternSize * size;
  if (scene.pattern === 'stripes') {
    for (let x = scene.x * step; x < size; x += 2 * step) {
      canvas.fillPolygon([x, 0, x + step, 0, x + step + scene.rotation * size, size, x, size], second);
    }
  } else if (scene.pattern === 'discs') {
    for (let x = 0; x < size; x += 2 * step) {
      for (let y = (x / step) % 2 === 0 ? 0 : step; y < size; y += 2 * step) {
        canvas.fillPolygon(ellipse(x, y, step * 0.6, step * 0.6, 12), second);
      }
    }
  }
  const shoulders = ellipse(
    scene.x,
    scene.y + scene.scale * 2.05,
    scene.scale * 1.5,
    scene.scale * 1,
    24,
    2.6,
  );
  canvas.fillPolygon(
    shoulders.map((value) => value * size),
    identity.clothes,
  );
}

/** Brightness per pixel: a ramp across the picture and the sensor's fixed pattern. */
function lightMap(scene: Scene, size: number): Float32Array {
  const map = new Float32Array(size * size);
  const dx = Math.cos(scene.lightAngle) / size;
  const dy = Math.sin(scene.lightAngle) / size;
  const noise = new Noise(scene.noiseSeed);
  for (let y = 0, i = 0; y < size; y++) {
    for (let x = 0; x < size; x++, i++) {
      const across = (x - size / 2) * dx + (y - size / 2) * dy;
      map[i] = scene.brightness * (1 + scene.lightContrast * across) * (1 + noise.next() / 64);
    }
  }
  return map;
}

function between(colours: readonly Colour[], position: number): Colour {
  const index = Math.min(colours.length - 2, Math.floor(position));
  const part = position - index;
  const from = colours[index]!;
  const to = colours[index + 1]!;
  return [
    from[0] + part * (to[0] - from[0]),
    from[1] + part * (to[1] - from[1]),
    from[2] + part * (to[2] - from[2]),
  ];
}

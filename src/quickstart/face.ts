import type { Random, Split } from './random.ts';
import { Noise, striped } from './random.ts';
import { Canvas, type Colour, curve, ellipse, reversed, stroke } from './raster.ts';

/** Who is seen. Lengths are in head units: 1 is half the height of a head of `faceLength` 1. */
export interface FaceIdentity {
  readonly skin: Colour;
  readonly hair: Colour;
  readonly iris: Colour;
  readonly lips: Colour;
  readonly clothes: Colour;
  readonly hairStyle: 'bald' | 'short' | 'fringe' | 'long';
  readonly beard: 'none' | 'full' | 'moustache';
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
    beard: random.pick(['none', 'none', 'none', 'full', 'moustache'] as const),
    glasses: random.chance(0.25),
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
  return {
    background: [
      [range(20, 235), range(20, 235), range(20, 235)],
      [range(20, 235), range(20, 235), range(20, 235)],
    ],
    pattern: random.pick(['plain', 'stripes', 'discs'] as const),
    patternSize: range(0.08, 0.25),
    x: range(0.45, 0.55),
    y: range(0.44, 0.52),
    scale: range(0.36, 0.42),
    rotation: range(-0.1, 0.1),
    lightAngle: range(0, 2 * Math.PI),
    lightContrast: range(0.05, 0.7),
    brightness: range(0.65, 1.15),
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

function drawHead(canvas: Canvas, identity: FaceIdentity, scene: Scene, action: FaceAction): void {
  const size = canvas.width;
  const scale = scene.scale * size;
  const angle = scene.rotation + 0.12 * action.headRoll;
  const cosine = Math.cos(angle) * scale;
  const sine = Math.sin(angle) * scale;
  const centreX = (scene.x + 0.025 * action.headYaw) * size;
  const centreY = (scene.y + 0.03 * action.headPitch) * size;
  const fill = (points: readonly number[], colour: Colour): void => {
    const placed = new Array<number>(points.length);
    for (let i = 0; i < points.length; i += 2) {
      placed[i] = centreX + cosine * points[i]! - sine * points[i + 1]!;
      placed[i + 1] = centreY + sine * points[i]! + cosine * points[i + 1]!;
    }
    canvas.fillPolygon(placed, colour);
  };
  const { skin, hair, faceWidth: width, faceLength: length } = identity;
  const shade = darker(skin, 0.82);
  // Turning the head moves what lies on its front against its outline.
  const x = 0.12 * action.headYaw;
  const y = 0.09 * action.headPitch;

  if (identity.hairStyle === 'long') fill(ellipse(0, 0.1, width * 1.22, length * 1.12, 28, 2.6), hair);
  fill([-0.28, 0.7, 0.28, 0.7, 0.32, 1.3, -0.32, 1.3], shade);
  for (const side of [-1, 1]) fill(ellipse(side * width, 0.02, 0.1, 0.17, 12), shade);
  fill(ellipse(0, 0, width, length, 36, identity.jaw), skin);
  if (identity.beard === 'full') drawBeard(fill, identity, x, y);
  drawHair(fill, identity, y);
  drawNose(fill, identity, x, y, shade);
  drawMouth(fill, identity, action, x, y);
  for (const side of [-1, 1] as const) {
    drawEye(fill, identity, action, side, x, y);
    drawBrow(fill, identity, action, side, x, y);
  }
}

type Fill = (points: readonly number[], colour: Colour) => void;

function drawHair(fill: Fill, identity: FaceIdentity, y: number): void {
  const { hairStyle: style, faceWidth: width, faceLength: length, hair } = identity;
  if (style === 'bald') return;
  const line = (style === 'fringe' ? -0.5 : -0.68) * length + 0.4 * y;
  const top = ellipse(0, -0.04, width * 1.06, length * 1.08, 36, identity.jaw).slice(36);
  const middle = style === 'fringe' ? line + 0.04 : line - 0.1;
  fill([...top, ...curve([width * 0.98, line + 0.25], [0, middle], [-width * 0.98, line + 0.25])], hair);
}

function drawBeard(fill: Fill, identity: FaceIdentity, x: number, y: number): void {
  const { faceWidth: width, faceLength: length } = identity;
  const lower = ellipse(0, 0, width, length, 36, identity.jaw).slice(2, 36);
  fill([...lower, ...curve([-width * 0.96, 0.2], [x, 0.3 + y], [width * 0.96, 0.2])], identity.hair);
}

function drawNose(fill: Fill, identity: FaceIdentity, x: number, y: number, shade: Colour): void {
  const top = identity.eyeHeight + y + 0.04;
  const tip = top + identity.noseLength;
  fill(stroke(curve([x * 1.1, top], [x * 1.35 + 0.03, (top + tip) / 2], [x * 1.5, tip]), 0.03, 0.3), shade);
  fill(
    stroke(curve([x * 1.5 - 0.09, tip], [x * 1.5, tip + 0.03], [x * 1.5 + 0.09, tip], 5), 0.025, 0.5),
    shade,
  );
}

function drawMouth(fill: Fill, identity: FaceIdentity, action: FaceAction, x: number, y: number): void {
  const bend = clamp(action.mouthCurve, -1.2, 1.2);
  const open = clamp(action.mouthOpenness, 0, 1.2);
  const half = identity.mouthWidth * (1 + 0.28 * Math.max(0, bend) - 0.22 * open);
  const centre = identity.mouthHeight + y;
  const corner = centre - 0.2 * bend;
  const left: [number, number] = [x - half, corner];
  const right: [number, number] = [x + half, corner];
  const upper = centre + 0.06 * bend - 0.1 * open;
  const lower = centre + 0.09 * bend + 0.02 + 0.3 * open;
  if (identity.beard !== 'none') {
    fill(
      stroke(curve([x - 0.3, upper + 0.02], [x, upper - 0.1], [x + 0.3, upper + 0.02]), 0.05, 0.5),
      identity.hair,
    );
  }
  const above = curve(left, [x, upper], right);
  const below = curve(left, [x, lower], right);
  if (open > 0.06) {
    fill([...above, ...reversed(below)], [70, 24, 28]);
    if (open > 0.15) {
      const teeth = curve(left, [x, upper + 0.09], right);
      fill([...above, ...reversed(teeth)], [238, 234, 226]);
    }
  }
  fill(stroke(above, 0.045, 0.4), identity.lips);
  fill(stroke(below, 0.05, 0.35), identity.lips);
}

function drawEye(
  fill: Fill,
  identity: FaceIdentity,
  action: FaceAction,
  side: -1 | 1,
  x: number,
  y: number,
): void {
  const open = clamp(action.eyeOpenness, 0, 1.25);
  const half = identity.eyeSize;
  const cx = side * identity.eyeDistance + x;
  const cy = identity.eyeHeight + y;
  const upper = cy - half * 0.85 * open;
  const lower = cy + half * 0.55 * open;
  const above = curve([cx - half, cy], [cx, upper], [cx + half, cy]);
  if (open > 0.08) {
    const below = curve([cx - half, cy], [cx, lower], [cx + half, cy]);
    fill([...above, ...reversed(below)], [244, 244, 240]);
    const centre = cy - half * 0.12;
    for (const [radius, colour] of [
      [half * 0.52, identity.iris],
      [half * 0.26, [16, 14, 16]],
    ] as const) {
      const disc = ellipse(cx + 0.25 * x, centre, radius, radius, 14);
      for (let i = 1; i < disc.length; i += 2) disc[i] = clamp(disc[i]!, upper, lower);
      fill(disc, colour);
    }
  }
  fill(stroke(above, 0.022, 0.5), darker(identity.skin, 0.35));
  if (identity.glasses) {
    const ring = ellipse(cx, cy, half * 1.45, half * 1.3, 20);
    fill([...ring, ring[0]!, ring[1]!, ...ellipse(cx, cy, half * 1.3, half * 1.15, 20)], [30, 28, 30]);
  }
}

function drawBrow(
  fill: Fill,
  identity: FaceIdentity,
  action: FaceAction,
  side: -1 | 1,
  x: number,
  y: number,
): void {
  const height = clamp(action.browHeight, -1.2, 1.3);
  const angle = clamp(action.browAngle, -1.2, 1.2);
  const rest = identity.eyeHeight + y - identity.browRest;
  const middle = rest - (height > 0 ? 0.19 : 0.12) * height;
  const inner: [number, number] = [side * (identity.eyeDistance - 0.17) + x, middle + 0.12 * angle + 0.01];
  const outer: [number, number] = [side * (identity.eyeDistance + 0.17) + x, middle - 0.08 * angle + 0.03];
  const arch: [number, number] = [
    side * identity.eyeDistance + x,
    middle - 0.02 - 0.03 * Math.max(0, height),
  ];
  const colour = identity.hairStyle === 'bald' ? darker(identity.skin, 0.35) : darker(identity.hair, 0.5);
  fill(stroke(curve(inner, arch, outer, 7), identity.browThickness, 0.5), colour);
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

function darker(colour: Colour, factor: number): Colour {
  return [colour[0] * factor, colour[1] * factor, colour[2] * factor];
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

import type { FaceAction, FaceIdentity, Scene } from './face.ts';
import { type Canvas, type Colour, curve, ellipse, reversed, stroke } from './raster.ts';

/** Draws neck, head, hair and features in head units: 1 is half the height of a head, y points down. */
export function drawHead(canvas: Canvas, identity: FaceIdentity, scene: Scene, action: FaceAction): void {
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
    const ring = ellipse(cx, cy, half * 1.5, half * 1.35, 20);
    fill([...ring, ring[0]!, ring[1]!, ...ellipse(cx, cy, half * 1.41, half * 1.26, 20)], [30, 28, 30]);
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

function darker(colour: Colour, factor: number): Colour {
  return [colour[0] * factor, colour[1] * factor, colour[2] * factor];
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

import { describe, expect, it } from 'vitest';
import { drawIdentity, drawScene, type FaceAction, FaceRenderer } from '../../src/quickstart/face.ts';
import { animateFace, drawAction } from '../../src/quickstart/face-motion.ts';
import { drawFaceExamples } from '../../src/quickstart/pretext.ts';
import { Random, striped } from '../../src/quickstart/random.ts';
import { Canvas, curve, ellipse, stroke } from '../../src/quickstart/raster.ts';

const calm: FaceAction = {
  browHeight: 0,
  browAngle: 0,
  eyeOpenness: 0.6,
  mouthCurve: 0,
  mouthOpenness: 0,
  headYaw: 0,
  headPitch: 0,
  headRoll: 0,
};

function inkOf(canvas: Canvas): number {
  let sum = 0;
  for (let i = 0; i < canvas.pixels.length; i += 3) sum += canvas.pixels[i]! / 255;
  return sum;
}

describe('seeded draws', () => {
  it('repeats a stream and keeps streams apart', () => {
    const draws = (...stream: (string | number)[]) => {
      const random = new Random(3, ...stream);
      return [random.uniform(), random.normal(), random.integer(100)];
    };
    expect(draws('a', 1)).toEqual(draws('a', 1));
    expect(draws('a', 1)).not.toEqual(draws('a', 2));
  });

  it('never gives training and test the same part of a range', () => {
    const stripes = (split: 'train' | 'test') => {
      const random = new Random(1, split);
      return new Set(Array.from({ length: 400 }, () => Math.floor(striped(random, split, 0, 8))));
    };
    expect([...stripes('train')].sort()).toEqual([0, 2, 4, 6]);
    expect([...stripes('test')].sort()).toEqual([1, 3, 5, 7]);
  });
});

describe('canvas', () => {
  it('covers exactly the area of a polygon, fractions of pixels included', () => {
    const canvas = new Canvas(20, 20);
    canvas.fillPolygon([2.25, 3, 12.75, 3, 12.75, 9, 2.25, 9], [255, 255, 255]);
    expect(inkOf(canvas)).toBeCloseTo(10.5 * 6, 0);
    expect(canvas.pixels[(5 * 20 + 2) * 3]! / 255).toBeCloseTo(0.75, 2);
    expect(canvas.pixels[(5 * 20 + 13) * 3]).toBe(0);
  });

  it('clips what lies outside', () => {
    const canvas = new Canvas(10, 10);
    canvas.fillPolygon([-50, -50, 50, -50, 50, 50, -50, 50], [255, 255, 255]);
    expect(inkOf(canvas)).toBe(100);
  });

  it('fills ellipses, rings and strokes with their area', () => {
    const area = (points: number[]) => {
      const canvas = new Canvas(100, 100);
      canvas.fillPolygon(points, [255, 255, 255]);
      return inkOf(canvas);
    };
    const disc = ellipse(50, 50, 30, 20, 64);
    expect(area(disc) / (Math.PI * 600)).toBeCloseTo(1, 1);
    expect(area([...disc, disc[0]!, disc[1]!, ...ellipse(50, 50, 15, 10, 64)]) / (Math.PI * 450)).toBeCloseTo(
      1,
      1,
    );
    expect(area(stroke(curve([10, 50], [50, 50], [90, 50]), 2)) / 320).toBeCloseTo(1, 1);
  });
});

describe('faces', () => {
  const random = new Random(5, 'face');
  const renderer = new FaceRenderer(drawIdentity(random, 'train'), {
    ...drawScene(random, 'train'),
    x: 0.5,
    y: 0.48,
    rotation: 0,
    scale: 0.4,
  });
  const draw = (change: Partial<FaceAction>) => Uint8Array.from(renderer.draw({ ...calm, ...change }));
  const changedRows = (change: Partial<FaceAction>): [number, number] => {
    const before = draw({});
    const after = draw(change);
    const rows = Array.from({ length: 224 }, (_, y) => y).filter((y) =>
      before.subarray(y * 672, y * 672 + 672).some((value, i) => value !== after[y * 672 + i]),
    );
    return [rows[0] ?? -1, rows.at(-1) ?? -1];
  };

  it('draws the same twice', () => {
    expect(draw({ mouthCurve: 0.5 })).toEqual(draw({ mouthCurve: 0.5 }));
  });

  it('changes the mouth below and the brows above the middle of the face, and nothing else', () => {
    const middle = 0.5 * 224;
    expect(changedRows({ mouthCurve: 0.8 })[0]).toBeGreaterThan(middle);
    expect(changedRows({ mouthOpenness: 0.8 })[0]).toBeGreaterThan(middle);
    expect(changedRows({ browHeight: 0.8 })[1]).toBeLessThan(middle);
    expect(changedRows({ browHeight: 0.8 })[0]).toBeGreaterThan(0);
  });

  it('shows an expression more clearly as it builds up, whatever else moves', () => {
    const expression = {
      browHeight: 0,
      browAngle: 0,
      eyeOpenness: 0.6,
      mouthCurve: 1,
      mouthOpenness: 0,
      nod: 0.3,
      shake: 0,
      tremble: 0,
    };
    const motion = animateFace(expression, new Random(1, 'm'), 17, 8);
    expect(motion).toHaveLength(17);
    expect(motion.at(-1)!.mouthCurve).toBeCloseTo(1, 6);
    expect(motion[0]!.mouthCurve).toBeLessThan(0.95);
    expect(new Set(motion.map((action) => action.headPitch)).size).toBeGreaterThan(10);
  });
});

describe('pretext faces', () => {
  it('targets are about centred and independent of each other', () => {
    const examples = Array.from({ length: 300 }, (_, i) => drawAction(new Random(2, i)));
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const brow = examples.map((e) => e.browHeight);
    const mouth = examples.map((e) => e.mouthCurve);
    const covariance = mean(brow.map((b, i) => (b - mean(brow)) * (mouth[i]! - mean(mouth))));
    expect(Math.abs(mean(brow))).toBeLessThan(0.15);
    expect(Math.abs(covariance)).toBeLessThan(0.06);
  });

  it('gives pictures of the size asked for, centred at difficulty 0', () => {
    const easy = drawFaceExamples(new Random(4, 'p'), 1, 56, () => 0)[0]!;
    expect(easy.pixels).toHaveLength(56 * 56 * 3);
    expect(easy.targets.slice(5).map(Math.abs)).toEqual([0, 0, 0]);
    const hard = drawFaceExamples(new Random(4, 'p'), 1, 56, () => 1)[0]!;
    expect(hard.targets.slice(0, 5)).toEqual(easy.targets.slice(0, 5));
    expect(hard.targets.slice(5).map(Math.abs)).not.toEqual([0, 0, 0]);
  });
});

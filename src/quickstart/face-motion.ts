import { FACE_ACTIONS, type FaceAction } from './face.ts';
import type { Random } from './random.ts';

/** How a face moves through one clip. Frequencies in hertz, amplitudes in units of the action. */
export interface FaceExpression {
  readonly browHeight: number;
  readonly browAngle: number;
  readonly eyeOpenness: number;
  readonly mouthCurve: number;
  readonly mouthOpenness: number;
  /** Head: rhythmic nodding (pitch), shaking (yaw) and trembling (roll). */
  readonly nod: number;
  readonly shake: number;
  readonly tremble: number;
}

export const FACE_EXPRESSION = [
  'browHeight',
  'browAngle',
  'eyeOpenness',
  'mouthCurve',
  'mouthOpenness',
  'nod',
  'shake',
  'tremble',
] as const satisfies readonly (keyof FaceExpression)[];

/** What is left to chance in every clip, whatever the emotion. */
interface Habits {
  readonly onset: number;
  readonly rise: number;
  readonly pose: readonly [number, number, number];
  readonly nodRate: number;
  readonly shakeRate: number;
  readonly speechRate: number;
  readonly speechDepth: number;
  readonly blinkAt: number;
  readonly phases: readonly number[];
}

/**
 * One action per frame. The expression builds up from a half-shown one, the head moves about a random pose, the
 * eyes blink and the mouth moves as if speaking. The mouth keeps its own rhythm instead of following the voice:
 * a face in step with the voice would tell fast from slow speech, and clips that are to differ only in the voice
 * would differ in the face too.
 */
export function animateFace(
  expression: FaceExpression,
  random: Random,
  frames: number,
  framesPerSecond: number,
): FaceAction[] {
  const habits = drawHabits(random, frames / framesPerSecond);
  return Array.from({ length: frames }, (_, frame) => actionAt(expression, habits, frame / framesPerSecond));
}

/** A face doing anything at all: every action uniform over its range, independent of the others. */
export function drawAction(random: Random): FaceAction {
  return {
    browHeight: random.uniform(-1.1, 1.2),
    browAngle: random.uniform(-1, 1),
    eyeOpenness: random.chance(0.06) ? random.uniform(0, 0.2) : random.uniform(0.2, 1.2),
    mouthCurve: random.uniform(-1.1, 1.1),
    mouthOpenness: Math.max(0, random.uniform(-0.2, 1.1)),
    headYaw: random.uniform(-0.8, 0.8),
    headPitch: random.uniform(-0.8, 0.8),
    headRoll: random.uniform(-0.8, 0.8),
  };
}

/** The action as numbers of comparable size, in the order of `FACE_ACTIONS`. */
export function actionVector(action: FaceAction): number[] {
  return FACE_ACTIONS.map((key) =>
    key === 'eyeOpenness' || key === 'mouthOpenness' ? 2 * action[key] - 1 : action[key],
  );
}

function drawHabits(random: Random, seconds: number): Habits {
  return {
    onset: random.uniform(0.5, 0.9),
    rise: random.uniform(0.1, 0.4),
    pose: [random.normal(0, 0.2), random.normal(0, 0.2), random.normal(0, 0.2)],
    nodRate: random.uniform(0.7, 1.6),
    shakeRate: random.uniform(0.7, 1.6),
    speechRate: random.uniform(2, 4),
    speechDepth: random.uniform(0.05, 0.25),
    blinkAt: random.chance(0.5) ? random.uniform(0.2, seconds) : -1,
    phases: Array.from({ length: 5 }, () => random.uniform(0, 2 * Math.PI)),
  };
}

function actionAt(expression: FaceExpression, habits: Habits, time: number): FaceAction {
  const wave = (rate: number, phase: number) => Math.sin(2 * Math.PI * rate * time + habits.phases[phase]!);
  const strength = habits.onset + (1 - habits.onset) * Math.min(1, time / habits.rise);
  const speech = habits.speechDepth * (0.5 + 0.5 * wave(habits.speechRate, 0));
  const blinking = Math.abs(time - habits.blinkAt) < 0.07;
  const [yaw, pitch, roll] = habits.pose;
  return {
    browHeight: strength * expression.browHeight + 0.06 * wave(1.1, 1),
    browAngle: strength * expression.browAngle,
    eyeOpenness: blinking ? 0.05 : 0.6 + strength * (expression.eyeOpenness - 0.6),
    mouthCurve: strength * expression.mouthCurve,
    mouthOpenness: Math.max(0, strength * expression.mouthOpenness + speech - 0.08),
    headYaw: yaw + expression.shake * wave(habits.shakeRate, 2),
    headPitch: pitch + expression.nod * wave(habits.nodRate, 3),
    headRoll: roll + expression.tremble * wave(3.1, 4),
  };
}

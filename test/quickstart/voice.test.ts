import { describe, expect, it } from 'vitest';
import { drawVoiceExample, VOICE_TARGETS } from '../../src/quickstart/pretext.ts';
import { Random } from '../../src/quickstart/random.ts';
import { type Prosody, SAMPLE_RATE, synthesise, type VoiceIdentity } from '../../src/quickstart/voice.ts';

const voice: VoiceIdentity = {
  basePitch: 120,
  formantScale: 1,
  bandwidthScale: 1,
  openQuotient: 0.6,
  jitter: 0.002,
};
const plain: Prosody = {
  pitchLevel: 0,
  pitchRange: 0,
  pitchSlope: 0,
  energy: 0.7,
  tempo: 4,
  tremor: 0,
  breathiness: 0,
};
const quiet = { gain: -6, noise: -60 };
const speak = (change: Partial<Prosody>, seed = 1) =>
  synthesise(voice, { ...plain, ...change }, quiet, 'I looked for the table.', 2, new Random(seed, 'speech'));

/** Pitch of the loudest 64 ms by autocorrelation. */
function measurePitch(wave: Float32Array): number {
  const length = 1024;
  let best = 0;
  let loudest = 0;
  for (let start = 0; start + 2 * length < wave.length; start += 256) {
    let energy = 0;
    for (let n = 0; n < length; n++) energy += wave[start + n]! ** 2;
    if (energy > loudest) [loudest, best] = [energy, start];
  }
  let lag = 0;
  let highest = 0;
  for (let candidate = 40; candidate < 250; candidate++) {
    let sum = 0;
    for (let n = 0; n < length; n++) sum += wave[best + n]! * wave[best + n + candidate]!;
    if (sum > highest) [highest, lag] = [sum, candidate];
  }
  return SAMPLE_RATE / lag;
}

/** Share of the energy in differences of neighbours: grows with high frequencies. */
function brightness(wave: Float32Array): number {
  let change = 0;
  let sum = 0;
  for (let n = 1; n < wave.length; n++) {
    change += (wave[n]! - wave[n - 1]!) ** 2;
    sum += wave[n]! ** 2;
  }
  return change / sum;
}

const runs = (flags: Float32Array): number =>
  flags.reduce((count, flag, i) => count + (flag === 1 && (flags[i - 1] ?? 0) === 0 ? 1 : 0), 0);

describe('synthesised voice', () => {
  it('is the same for the same seed and stays within full scale', () => {
    const first = speak({});
    expect(first.wave).toEqual(speak({}).wave);
    expect(first.wave).not.toEqual(speak({}, 2).wave);
    expect(first.wave).toHaveLength(32_000);
    expect(first.wave.every((value) => Math.abs(value) <= 1)).toBe(true);
  });

  it('has the pitch asked for, and its track says so', () => {
    expect(Math.abs(12 * Math.log2(measurePitch(speak({}).wave) / 120))).toBeLessThan(0.7);
    const { wave, tracks } = speak({ pitchLevel: 7 });
    expect(Math.abs(12 * Math.log2(measurePitch(wave) / 120) - 7)).toBeLessThan(0.7);
    const voiced = [...tracks.pitch].filter((_, i) => tracks.voiced[i] === 1);
    for (const pitch of voiced) expect(pitch).toBeCloseTo(12 * Math.log2(120 / 55) + 7, 4);
  });

  it('says more syllables at a higher tempo', () => {
    const slow = runs(speak({ tempo: 2.5 }).tracks.voiced);
    const fast = runs(speak({ tempo: 6 }).tracks.voiced);
    expect(fast).toBeGreaterThan(1.5 * slow);
  });

  it('is louder and brighter with more energy', () => {
    const power = (wave: Float32Array) => wave.reduce((sum, value) => sum + value * value, 0);
    const soft = speak({ energy: 0.2 }).wave;
    const loud = speak({ energy: 0.9 }).wave;
    expect(power(loud)).toBeGreaterThan(5 * power(soft));
    expect(brightness(loud)).toBeGreaterThan(2 * brightness(soft));
  });

  it('trembles in pitch and breathes noise', () => {
    const spread = (change: Partial<Prosody>) => {
      const { tracks } = speak(change);
      const voiced = [...tracks.pitch].filter((_, i) => tracks.voiced[i] === 1);
      return Math.max(...voiced) - Math.min(...voiced);
    };
    expect(spread({ tremor: 1.5 })).toBeGreaterThan(2.5);
    expect(spread({})).toBeLessThan(0.1);
    expect(brightness(speak({ breathiness: 0.7 }).wave)).toBeGreaterThan(1.3 * brightness(speak({}).wave));
  });

  it('is silent before and after, by the level track', () => {
    const { level } = speak({}).tracks;
    expect(level[0]).toBeLessThan(-30);
    expect(level.at(-1)).toBeLessThan(-30);
    expect(Math.max(...level)).toBe(0);
  });
});

describe('pretext voices', () => {
  it('gives targets of comparable size', () => {
    const examples = Array.from({ length: 40 }, (_, i) => drawVoiceExample(new Random(1, i), 0.5));
    for (const { targets } of examples) {
      expect(targets).toHaveLength(VOICE_TARGETS.length);
      for (const target of targets) expect(Math.abs(target)).toBeLessThan(2);
    }
    VOICE_TARGETS.forEach((_, k) => {
      const values = examples.map(({ targets }) => targets[k]!);
      expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(0.8);
    });
  });
});

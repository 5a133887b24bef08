import type { Random, Split } from './random.ts';
import { Noise, striped } from './random.ts';
import { glottalPulse, Resonator, SAMPLE_RATE } from './vocal-tract.ts';

export { SAMPLE_RATE } from './vocal-tract.ts';

/** Samples between two frames of the tracks: a HuBERT feature extractor makes one vector every 320 samples. */
const TRACK_HOP = 320;

/** Who is heard. */
export interface VoiceIdentity {
  /** Resting pitch in hertz. */
  readonly basePitch: number;
  /** Factor on all formant frequencies: a short vocal tract is above 1. */
  readonly formantScale: number;
  /** Factor on the formants' bandwidths: above 1 sounds duller. */
  readonly bandwidthScale: number;
  /** Share of each pulse during which the glottis is open. */
  readonly openQuotient: number;
  /** Cycle to cycle variation of the pitch, as a fraction. */
  readonly jitter: number;
}

/** Where someone is heard: levels in dB, relative to full scale and to the voice. */
export interface Recording {
  readonly gain: number;
  readonly noise: number;
}

/** How something is said, relative to the speaker's own way: all that tells one emotion from another. */
export interface Prosody {
  /** Semitones above the speaker's resting pitch. */
  readonly pitchLevel: number;
  /** Depth of the melody from syllable to syllable in semitones. */
  readonly pitchRange: number;
  /** Semitones gained from the first to the last syllable. */
  readonly pitchSlope: number;
  /** 0 murmured .. 1 shouted: sets loudness and, as in a real voice, how bright the sound is. */
  readonly energy: number;
  /** Syllables per second. */
  readonly tempo: number;
  /** Depth of a 5 to 8 Hz trembling in semitones. */
  readonly tremor: number;
  /** 0 clear .. 1 whispered. */
  readonly breathiness: number;
}

export const PROSODY = [
  'pitchLevel',
  'pitchRange',
  'pitchSlope',
  'energy',
  'tempo',
  'tremor',
  'breathiness',
] as const satisfies readonly (keyof Prosody)[];

/** Every 20 ms of a voice: what pretext training regresses. */
export interface VoiceTracks {
  /** Semitones above 55 Hz where voiced, else 0. */
  readonly pitch: Float32Array;
  /** 1 where voiced, else 0. */
  readonly voiced: Float32Array;
  /** Level of the sound in dB relative to its own loudest frame, at least -50. */
  readonly level: Float32Array;
}

export interface Utterance {
  /** 16 kHz mono, within -1..1. */
  readonly wave: Float32Array;
  readonly tracks: VoiceTracks;
}

/** Draws somebody's voice; training and test draw from different stripes of every range. */
export function drawVoice(random: Random, split: Split): VoiceIdentity {
  const range = (low: number, high: number) => striped(random, split, low, high);
  // High voices come from short vocal tracts, loosely.
  const height = range(0, 1);
  return {
    basePitch: 90 * 2 ** (1.2 * height),
    formantScale: 0.9 + 0.2 * height + range(-0.05, 0.05),
    bandwidthScale: range(0.8, 1.4),
    openQuotient: range(0.45, 0.7),
    jitter: range(0.002, 0.012),
  };
}

export function drawRecording(random: Random, split: Split): Recording {
  return { gain: striped(random, split, -14, -2), noise: striped(random, split, -48, -28) };
}

/** A way of speaking with every parameter uniform over its range, independent of the others. */
export function drawProsody(random: Random): Prosody {
  return {
    pitchLevel: random.uniform(-5, 8),
    pitchRange: random.uniform(0, 5.5),
    pitchSlope: random.uniform(-4, 4),
    energy: random.uniform(0, 1),
    tempo: random.uniform(2, 6.6),
    tremor: random.chance(0.4) ? random.uniform(0, 0.2) : random.uniform(0.2, 2.2),
    breathiness: random.uniform(0, 0.75),
  };
}

/** First three formants of the vowels in hertz; a fourth lies at 3500. */
const VOWELS: Readonly<Record<string, readonly [number, number, number]>> = {
  a: [750, 1250, 2550],
  e: [530, 1850, 2500],
  i: [300, 2250, 2950],
  o: [500, 900, 2450],
  u: [330, 950, 2300],
};
const BANDWIDTHS = [80, 110, 160, 240] as const;
const NEUTRAL = [500, 1500, 2500, 3500] as const;
/** Samples between two values of pitch and loudness, and between two settings of the formant filters. */
const CONTROL = 20;
const BLOCK = 80;

interface Syllable {
  readonly start: number;
  readonly end: number;
  /** Seconds of consonant before the vowel. */
  readonly consonant: number;
  readonly sound: 'hiss' | 'hum' | 'burst' | 'none';
  readonly formants: readonly [number, number, number];
  readonly accent: number;
}

/**
 * Speaks the vowels and consonant kinds of `text`, over and over until the time is up, by a glottal pulse train
 * through four resonators. How often the text comes round depends on the tempo and never on the text's meaning.
 */
export function synthesise(
  voice: VoiceIdentity,
  prosody: Prosody,
  recording: Recording,
  text: string,
  seconds: number,
  random: Random,
): Utterance {
  const samples = Math.round(seconds * SAMPLE_RATE);
  const begin = random.uniform(0.03, 0.15);
  const end = seconds - random.uniform(0.03, 0.15);
  const syllables = planSyllables(prosody, text, begin, end, random);
  const tremorRate = random.uniform(5, 8);
  const tremorPhase = random.uniform(0, 2 * Math.PI);
  const wave = new Float32Array(samples);
  const frames = Math.ceil(samples / TRACK_HOP);
  const tracks = {
    pitch: new Float32Array(frames),
    voiced: new Float32Array(frames),
    level: new Float32Array(frames),
  };

  const energy = Math.min(1.1, Math.max(0, prosody.energy));
  const breath = Math.min(1, Math.max(0, prosody.breathiness));
  const tremor = Math.max(0, prosody.tremor);
  // A murmured voice loses its upper partials: one pole, closing from 3.5 kHz to 350 Hz.
  const tilt = 1 - Math.exp((-2 * Math.PI * 350 * 10 ** energy) / SAMPLE_RATE);
  const noise = new Noise(random.integer(2 ** 31));
  const filters = [0, 1, 2, 3].map(() => new Resonator());
  const formants = [500, 1500, 2500, 3500];
  let current = 0;
  let phase = 0;
  let period = 1;
  let source = 0;
  let amplitude = 0;
  let previous = 0;
  let pitch = voice.basePitch;
  let target = 0;
  let vowel = false;
  let hiss = false;

  for (let n = 0; n < samples; n++) {
    if (n % CONTROL === 0) {
      const time = n / SAMPLE_RATE;
      while (current + 1 < syllables.length && time >= syllables[current]!.end) current++;
      const syllable = syllables[current];
      const within = syllable !== undefined && time >= syllable.start && time < syllable.end;
      const into = within ? time - syllable.start : 0;
      vowel = within && into >= syllable.consonant;
      hiss = within && !vowel && (syllable.sound === 'hiss' || syllable.sound === 'burst');
      const shiver = Math.sin(2 * Math.PI * tremorRate * time + tremorPhase);
      const progress = (time - begin) / (end - begin) - 0.5;
      const arc = within ? syllable.accent * Math.sin((Math.PI * into) / (syllable.end - syllable.start)) : 0;
      const melody = prosody.pitchSlope * progress + prosody.pitchRange * arc;
      pitch = voice.basePitch * 2 ** ((prosody.pitchLevel + melody + tremor * shiver) / 12);
      target = within ? loudness(syllable, into) * (1 + 0.25 * Math.min(1.5, tremor) * shiver) : 0;
      if (n % BLOCK === 0) {
        for (let k = 0; k < 4; k++) {
          const wanted = voice.formantScale * ((within ? syllable.formants : NEUTRAL)[k] ?? NEUTRAL[k]!);
          formants[k] = formants[k]! + 0.35 * (wanted - formants[k]!);
          filters[k]!.tune(formants[k]!, BANDWIDTHS[k]! * voice.bandwidthScale * (1 + 0.5 * breath));
        }
      }
      if (n % TRACK_HOP === 0) {
        const voiced = vowel || (within && syllable.sound === 'hum');
        tracks.voiced[n / TRACK_HOP] = voiced ? 1 : 0;
        tracks.pitch[n / TRACK_HOP] = voiced ? 12 * Math.log2(pitch / 55) : 0;
      }
    }

    phase += (pitch * period) / SAMPLE_RATE;
    if (phase >= 1) {
      phase -= 1;
      period = 1 + voice.jitter * 1.7 * noise.next();
    }
    amplitude += 0.006 * (target - amplitude);
    if (hiss) {
      source = 0.5 * noise.next();
      const sound = amplitude * source;
      wave[n] = 0.25 * (sound - previous);
      previous = sound;
      for (const filter of filters) filter.step(0);
    } else {
      const pulse = glottalPulse(phase, voice.openQuotient);
      source += tilt * (pulse * (1 - 0.8 * breath) + 0.35 * breath * noise.next() - source);
      let sound = amplitude * source;
      for (const filter of filters) sound = filter.step(sound);
      // Effort flattens the spectrum: the louder, the more of it is carried by its upper half.
      wave[n] = sound - 0.9 * energy * previous;
      previous = sound;
    }
  }
  record(wave, energy, recording, noise);
  measureLevel(wave, tracks.level);
  return { wave, tracks };
}

function planSyllables(
  prosody: Prosody,
  text: string,
  begin: number,
  end: number,
  random: Random,
): Syllable[] {
  const units = [...text.toLowerCase().matchAll(/([^aeiou\s]*)\s*([aeiou])/g)];
  const tempo = Math.min(8, Math.max(1.6, prosody.tempo));
  const syllables: Syllable[] = [];
  let time = begin;
  for (let index = 0; time < end - 0.5 / tempo; index++) {
    const unit = units[index % Math.max(1, units.length)];
    const length = (1 / tempo) * random.uniform(0.85, 1.15);
    const sound = consonantSound(unit?.[1] ?? '');
    syllables.push({
      start: time,
      end: Math.min(end, time + length * 0.94),
      consonant: sound === 'none' ? 0 : Math.min(0.09, 0.3 * length),
      sound,
      formants: VOWELS[unit?.[2] ?? 'a']!,
      accent: (index % 2 === 0 ? 1 : -0.6) * random.uniform(0.6, 1.2),
    });
    time += length;
  }
  return syllables;
}

function consonantSound(letters: string): Syllable['sound'] {
  const last = letters.replace(/[^a-z]/g, '').at(-1);
  if (last === undefined) return 'none';
  if ('szfhcx'.includes(last)) return 'hiss';
  if ('mnlrwyvj'.includes(last)) return 'hum';
  return 'burst';
}

/** Envelope of a syllable: closed in a stop's first half, soft in a nasal, full in the vowel. */
function loudness(syllable: Syllable, into: number): number {
  if (into < syllable.consonant) {
    if (syllable.sound === 'burst') return into < 0.6 * syllable.consonant ? 0 : 1;
    return syllable.sound === 'hum' ? 0.35 : 0.6;
  }
  const left = (syllable.end - syllable.start - into) / 0.06;
  return Math.min(1, left);
}

/** Sets the level by the speaker's energy and the microphone's gain, and adds the room's noise. */
function record(wave: Float32Array, energy: number, recording: Recording, noise: Noise): void {
  let peak = 1e-9;
  for (const value of wave) peak = Math.max(peak, Math.abs(value));
  const level = 10 ** ((recording.gain - 16 * (1 - Math.min(1, energy))) / 20);
  const floor = 10 ** ((recording.gain + recording.noise - 8) / 20);
  for (let n = 0; n < wave.length; n++) {
    const value = (level * wave[n]!) / peak + floor * noise.next();
    wave[n] = Math.max(-1, Math.min(1, value));
  }
}

function measureLevel(wave: Float32Array, level: Float32Array): void {
  let loudest = Number.NEGATIVE_INFINITY;
  for (let frame = 0; frame < level.length; frame++) {
    let sum = 0;
    let count = 0;
    for (let n = frame * TRACK_HOP; n < Math.min(wave.length, (frame + 1) * TRACK_HOP); n++, count++) {
      sum += wave[n]! * wave[n]!;
    }
    level[frame] = 10 * Math.log10(sum / count + 1e-9);
    loudest = Math.max(loudest, level[frame]!);
  }
  for (let frame = 0; frame < level.length; frame++) level[frame] = Math.max(-50, level[frame]! - loudest);
}

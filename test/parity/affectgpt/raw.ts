import { createHash } from 'node:crypto';
import { preprocessWaveforms } from '../../../encoders/waveform-preprocessing.ts';
import { fusionTensorShapes } from '../../../fusion/parameters.ts';
import { type AffectGptLossInputs, affectGptLoss, lossInputSpecs } from '../../../model/affectgpt.ts';
import { Parameters } from '../../../src/engine/parameters.ts';
import type { Engine, HostTensor, HostTensorMap } from '../../../src/engine/types.ts';
import type { AffectGptReference } from '../../support/affectgpt-reference.ts';
import { missed, reasonOf } from '../compare.ts';
import type { Comparison } from '../handler.ts';
import { close, closeList, equal, loss, notCompared, type Rules, sameNames, unknown } from './comparisons.ts';
import { endToEndBatch, endToEndModel, endToEndParameters } from './end-to-end.ts';
import { publishedPolicy, type RawMedia } from './media.ts';

/** Frames or faces of a sample where no stored features tell. */
const usualFrames = 8;

/** `0`, `2_stereo` or `batch210`: the recordings that were encoded together, in that order. */
function samplesOf(name: string): number[] | undefined {
  const match = /^(?:batch(\d+)|(\d+)(?:_\w+)?)$/.exec(name);
  if (match === null) return undefined;
  return match[1] === undefined ? [Number(match[2])] : Array.from(match[1], Number);
}

/** Mean and population variance. */
function moments(values: ArrayLike<number>): { mean: number; variance: number } {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean) ** 2;
  return { mean, variance: squares / values.length };
}

/** Rows of a tensor along its first axis. */
function rowsOf({ shape, data }: Pick<HostTensor, 'shape' | 'data'>): HostTensor['data'][] {
  const size = data.length / shape[0]!;
  return Array.from({ length: shape[0]! }, (_, i) => data.subarray(i * size, (i + 1) * size));
}

type Facts = Readonly<Record<string, unknown>>;
/** Our value of a field of stored facts; undefined for a field that is not known. */
type Field = (key: string) => readonly number[] | undefined;

/** Rounding of a mean in fp32, relative to the root mean square of what is averaged. */
const meanRounding = 1e-6;

const numbersOf = (value: unknown): number[] => [value].flat(3) as number[];

/**
 * Compares the fields of one entry of `raw`; shapes have to be equal, all else is floats.
 * @param values what means are taken of
 */
function compareFields(
  label: string,
  facts: Facts,
  field: Field,
  values: ArrayLike<number>,
  rules: Rules,
): Comparison[] {
  const { mean, variance } = moments(values);
  const least = meanRounding * Math.sqrt(mean ** 2 + variance);
  return Object.entries(facts).map(([key, value]) => {
    const name = `${label}.${key}`;
    const actual = field(key);
    if (actual === undefined) return unknown(name);
    const expected = numbersOf(value);
    if (key === 'shape') return equal(name, actual, expected);
    return closeList(name, actual, expected, rules, /means?$/.test(key) ? least : 0);
  });
}

/** Statistics of prepared pictures, and single rows such as `frame0_channel0_row0_first8`. */
function pixelField({ shape, data }: HostTensor): Field {
  return (key) => {
    if (key === 'shape') return shape;
    if (key === 'mean') return [moments(data).mean];
    if (key === 'std') return [Math.sqrt(moments(data).variance)];
    const match = /^frame(\d+)_channel(\d+)_row(\d+)_(first|last)(\d+)$/.exec(key);
    if (match === null) return undefined;
    const [frame, channel, row, count] = [1, 2, 3, 5].map((group) => Number(match[group])) as number[];
    const [, channels, height, width] = shape as [number, number, number, number];
    const begin = ((frame! * channels + channel!) * height + row!) * width;
    const pixels = Array.from(data.subarray(begin, begin + width));
    return match[4] === 'first' ? pixels.slice(0, count) : pixels.slice(-count!);
  };
}

/** Statistics of clips, before or after they are prepared. */
function clipField(clips: HostTensor, shape: readonly number[]): Field {
  const rows = rowsOf(clips);
  return (key) => {
    const all = moments(clips.data);
    switch (key) {
      case 'shape':
        return shape;
      case 'mean':
        return [all.mean];
      case 'var':
        return [all.variance];
      case 'means':
      case 'clip_means':
        return rows.map((row) => moments(row).mean);
      case 'clip_vars':
        return rows.map((row) => moments(row).variance);
      case 'abs_sum':
        return [Array.from(clips.data).reduce((sum, value) => sum + Math.abs(value), 0)];
      case 'first4_of_each_clip':
        return rows.flatMap((row) => Array.from(row.subarray(0, 4)));
      default:
        return undefined;
    }
  };
}

/** One tensor of `out/` in `raw.safetensors`; undefined where its name is not known. */
async function compareOutput(
  media: RawMedia,
  name: string,
  expected: HostTensor,
  label: string,
  rules: Rules,
): Promise<Comparison | undefined> {
  const part = /^face_(\d+)_resized_uint8_frame(\d+)_rows_(\d+)_to_(\d+)$/.exec(name);
  if (part !== null) {
    const [sample, frame, first, last] = part.slice(1).map(Number) as [number, number, number, number];
    const faces = media.faces(sample, Math.max(usualFrames, frame + 1));
    const row = faces.width * 3;
    const begin = frame * faces.height * row;
    return equal(label, faces.data.subarray(begin + first * row, begin + (last + 1) * row), expected.data);
  }
  const [, type, rest] = /^([a-z0-9]+)_(.+)$/.exec(name) ?? [];
  if (type === undefined || rest === undefined) return undefined;
  const face = /^face_(\d+)$/.exec(rest);
  if (rest === 'frames') return close(label, await media.encodeFrames(media.frames(), type), expected, rules);
  if (face !== null) {
    const faces = media.faces(Number(face[1]), expected.shape[1]!);
    return close(label, await media.encodeFrames(faces, type), expected, rules);
  }
  const samples = samplesOf(rest);
  if (samples === undefined) return undefined;
  return close(label, await media.encodeWaves(samples, type), expected, rules);
}

/** Bytes by channel, as `[3, frames, height, width]`. */
function byChannel(pixels: Uint8Array): Uint8Array {
  const plane = pixels.length / 3;
  const planar = new Uint8Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) planar[(i % 3) * plane + Math.floor(i / 3)] = pixels[i]!;
  return planar;
}

/** Loss of a batch of raw media: encoders, fusion and decoder in one. */
async function endToEndLoss(
  reference: AffectGptReference,
  media: RawMedia,
  tensors: HostTensorMap,
  engine: Engine,
): Promise<number> {
  const config = endToEndModel(reference, tensors);
  const inputs = await endToEndBatch(reference, media, tensors, config);
  const compiled = await engine.compile(
    ({ inputs: given, weights }) => {
      const { lossSum } = affectGptLoss(
        config,
        new Parameters(weights),
        given as unknown as AffectGptLossInputs,
      );
      return { outputs: { lossSum } };
    },
    {
      name: 'end to end',
      inputs: lossInputSpecs(config, false),
      weights: { ...reference.frozen, ...reference.adapter, ...endToEndParameters(tensors) },
    },
  );
  try {
    return (await compiled.run(inputs)).lossSum!.data[0]! / inputs.targets!.data.length;
  } finally {
    await compiled.dispose();
  }
}

/** One entry of `raw` in `golden.json`. */
async function compareFact(
  reference: AffectGptReference,
  media: RawMedia,
  tensors: HostTensorMap,
  key: string,
  value: unknown,
  engine: Engine,
  rules: Rules,
): Promise<Comparison[]> {
  const label = `golden.json raw.${key}`;
  const match = (pattern: RegExp): string[] | undefined => pattern.exec(key)?.slice(1);
  const [pixelType] = match(/^([a-z0-9]+)_pixel_values$/) ?? [];
  if (pixelType !== undefined) {
    const pixels = media.pixels(media.frames(), pixelType);
    return compareFields(label, value as Facts, pixelField(pixels), pixels.data, rules);
  }
  const [faces] = match(/^face_(\d+)_resized_sha256_cthw_uint8$/) ?? [];
  if (faces !== undefined) {
    const pixels = byChannel(media.faces(Number(faces), usualFrames).data);
    return [equal(label, [createHash('sha256').update(pixels).digest('hex')], [value], 'of all bytes')];
  }
  const [wave, when] = match(/^wave_(\d+)_clips_(before|after_mel)$/) ?? [];
  if (wave !== undefined) {
    const { data, count, samples } = media.clips([Number(wave)]);
    const clips: HostTensor =
      when === 'before'
        ? { dtype: 'float32', shape: [count, samples], data }
        : preprocessWaveforms({ data, count, samples }, publishedPolicy(1), false);
    return compareFields(label, value as Facts, clipField(clips, [count, 1, samples]), clips.data, rules);
  }
  const [audioType, recordings] = match(/^([a-z0-9]+)_input_(.+)$/) ?? [];
  const together = recordings === undefined ? undefined : samplesOf(recordings);
  if (together !== undefined) {
    const sound = media.sound(together, audioType);
    return compareFields(label, value as Facts, clipField(sound, sound.shape), sound.data, rules);
  }
  if (key === 'end_to_end_loss_encoders_eval') {
    return [loss(label, await endToEndLoss(reference, media, tensors, engine), Number(value), rules)];
  }
  if (key === 'after_model_train') {
    const reason =
      'dropout and masking of frozen encoders make features a matter of chance; not offered here';
    return [notCompared(label, reason)];
  }
  return [unknown(label)];
}

const inputNames = /^(frames_uint8|face_npy_\d+|wave_int16_\d+|e2e\/(input_ids|labels|attention_masks))$/;
/** Compared with the generated answers. */
const promptNames = /^gen\d+\/inputs_embeds$/;

/** Everything that starts from raw frames, faces and waves: preprocessing, features, and the loss of the whole. */
export async function compareRaw(
  reference: AffectGptReference,
  media: RawMedia,
  tensors: HostTensorMap,
  engine: Engine,
  rules: Rules,
): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  const guarded = async (label: string, run: () => Promise<Comparison[]>): Promise<void> => {
    comparisons.push(...(await run().catch((error: unknown) => [missed(label, undefined, reasonOf(error))])));
  };
  for (const [key, value] of Object.entries((reference.golden.raw ?? {}) as Facts)) {
    await guarded(`golden.json raw.${key}`, () =>
      compareFact(reference, media, tensors, key, value, engine, rules),
    );
  }
  for (const [name, tensor] of Object.entries(tensors)) {
    const label = `raw.safetensors ${name}`;
    if (name.startsWith('out/')) {
      await guarded(label, async () => {
        const output = name.slice('out/'.length);
        return [(await compareOutput(media, output, tensor, label, rules)) ?? unknown(label)];
      });
    } else if (
      !inputNames.test(name) &&
      !promptNames.test(name) &&
      !name.startsWith('param/') &&
      !media.isWeight(name)
    ) {
      comparisons.push(unknown(label));
    }
  }
  const stored = endToEndParameters(tensors);
  if (Object.keys(stored).length > 0) {
    await guarded('raw.safetensors param/', async () => {
      const shapes = fusionTensorShapes(endToEndModel(reference, tensors).fusion);
      const shown = (entries: Iterable<readonly [string, readonly number[]]>): string[] =>
        [...entries].map(([name, shape]) => `${name} [${shape}]`);
      return [
        sameNames(
          'raw.safetensors param/',
          shown(Object.entries(shapes)),
          shown(Object.entries(stored).map(([name, { shape }]) => [name, shape] as const)),
          'names and shapes of all tensors outside the language model',
        ),
      ];
    });
  }
  return comparisons;
}

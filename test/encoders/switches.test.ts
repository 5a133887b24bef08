import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { createEncoder } from '../../encoders/registry.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { maxAbsDifference } from '../support/fixture.ts';
import references from './references/switches.json' with { type: 'json' };

/** A model whose weights follow from their names, and what Hugging Face's class makes of the formula's input. */
interface Case {
  readonly what: string;
  readonly type: string;
  readonly config: object;
  /** Height and width of images; sound has 1,000 samples. */
  readonly size?: readonly number[];
  readonly features: readonly number[];
}

const cases: readonly Case[] = references.cases;

/** The weights that the references were made with, which depend on the published name and the shape. */
function weightByFormula(name: string, shape: readonly number[]): tf.Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const phase = Array.from(name).reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 1000;
  const wave = (i: number): number => Math.sin(0.013 * i * i + 0.7 * i + phase);
  const isVector = shape.length === 1;
  const isScale =
    (isVector && (name.endsWith('weight') || name.includes('lambda'))) ||
    name.endsWith('weight_g') ||
    name.includes('const');
  const value = (i: number): number => {
    if (isScale) return 1 + 0.3 * wave(i);
    return isVector ? 0.3 * wave(i) : (1.2 / Math.sqrt(count / shape[0]!)) * wave(i);
  };
  return tf.tensor(
    Float32Array.from({ length: count }, (_, i) => value(i)),
    [...shape],
  );
}

function inputByFormula(shape: readonly number[], scale: number): tf.Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length: count }, (_, i) => scale * Math.sin(0.0007 * i * i + 0.05 * i));
  return tf.tensor(values, [...shape]);
}

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe('switches of the configurations', () => {
  it.each(cases)('$what', ({ type, config, size, features }) => {
    const preprocessor =
      size === undefined ? {} : { do_center_crop: true, crop_size: { height: size[0], width: size[1] } };
    const encoder = createEncoder(type, { config, preprocessor });
    const weights = Object.fromEntries(
      Object.entries(encoder.tensorShapes).map(([name, shape]) => [name, weightByFormula(name, shape)]),
    );
    const input =
      size === undefined
        ? { inputValues: inputByFormula([2, 1000], 0.8) }
        : { pixelValues: inputByFormula([2, 3, ...size], 1) };
    const actual = encoder.forward(new Parameters(weights), input).features;
    const largest = Math.max(...features.map(Math.abs));
    expect(largest).toBeGreaterThan(0.1);
    expect(maxAbsDifference(actual.dataSync(), features)).toBeLessThan(1e-5 * Math.max(largest, 1));
  });
});

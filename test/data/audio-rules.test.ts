import { expect, it } from 'vitest';
import { audioClipStarts, meanOfChannels } from '../../src/data/media/audio.ts';

it('channels of sound are averaged, sample by sample', () => {
  expect([...meanOfChannels(Float32Array.of(1, 3, -2, 4), 2)]).toEqual([2, 1]);
  expect([...meanOfChannels(Float32Array.of(3, 6, 9), 3)]).toEqual([6]);
  expect([...meanOfChannels(Float32Array.of(1, 2), 1)]).toEqual([1, 2]);
});

it('clips of sound leave the last eighth out with div8, and reach the end with div7', () => {
  // Ten seconds: clips of two begin within the first eight.
  const second = 16_000;
  expect(audioClipStarts(10 * second, 'div8')).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((k) => k * second));
  expect(audioClipStarts(10 * second, 'div7').at(-1)).toBe(8 * second);
  expect(audioClipStarts(second, 'div8')).toEqual(Array(8).fill(0));
});

import type { Config } from '../src/config/schema.ts';
import type { SampleSource } from '../src/data/source.ts';
import type { LengthGrouping } from './sampler.ts';

/**
 * How a configuration groups its samples by length. Lengths are those of an epoch, since `data.labelType: hybird` draws
 * other answers in each; a sample's length with one kind of answer is counted once.
 *
 * @returns null where it does not
 */
export function configuredGrouping(
  { train }: Pick<Config, 'train'>,
  source: Pick<SampleSource, 'sequenceLength' | 'task'>,
): LengthGrouping | null {
  if (train.lengthGrouping === null) return null;
  const known = new Map<string, number>();
  return {
    steps: train.lengthGrouping,
    tokens: (name, epoch) => {
      const key = JSON.stringify([name, source.task(name, epoch).type]);
      const tokens = known.get(key) ?? source.sequenceLength(name, epoch).tokens;
      known.set(key, tokens);
      return tokens;
    },
  };
}

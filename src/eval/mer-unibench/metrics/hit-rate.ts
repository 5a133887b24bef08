import type { SampleCounts } from '../../bootstrap.ts';
import type { LabelSample } from '../samples.ts';
import { WHEELS } from '../tables.ts';
import type { EmotionWheelOptions } from './emotion-wheel.ts';
import type { GroupedSample } from './groups.ts';
import { groupSamples, normalizeSamples, overlap, wheelTableOf } from './groups.ts';
import type { WheelResult } from './result.ts';
import { mean } from './result.ts';

/** Of each sample on one wheel; 0 where it is left out. */
interface Hits {
  readonly grouped: readonly GroupedSample[];
  /** 1 or 0. */
  readonly counted: Uint8Array;
  readonly hit: Float64Array;
  readonly mscore: Float64Array;
}

/**
 * Hit rate of sets with one emotion a sample (ICML 2025, equation 13): on each wheel, how often the group of the label is
 * among the groups of the predictions; the mean over samples, then over the wheels. `mscore` divides each hit by how many
 * of the predicted groups are groups of labels of the set, so that naming all emotions does not pay. Under `paper` samples
 * whose label a wheel does not know (`neutral` on all of them) are left out there; under `strict` they count.
 *
 * @throws InputError of `inOrder`
 */
export function scoreHitRate(samples: readonly LabelSample[], options: EmotionWheelOptions): WheelResult {
  const { protocol, level = 1 } = options;
  const ordered = normalizeSamples(samples);
  const wheels = WHEELS.map((wheel) => scoreHits(groupSamples(ordered, { wheel, level }, options)));
  const perWheel = WHEELS.map((wheel, i) => {
    const { grouped, counted, hit, mscore } = wheels[i]!;
    return {
      ...{ wheel, level },
      score: meanOf(hit, counted),
      mscore: meanOf(mscore, counted),
      nScored: counted.reduce((sum, count) => sum + count, 0),
      nUnmapped: grouped.filter(({ mapped }) => !mapped).length,
      nEmptyPredictions: grouped.filter(({ predicted }) => predicted.length === 0).length,
    };
  });
  const perSample = ordered.map(({ name }, sample) => {
    const onWheels = wheels.map(({ grouped, counted, hit }) => {
      if (counted[sample] === 0) return undefined;
      const { labels, predicted } = grouped[sample]!;
      return { labels, predicted, score: hit[sample]! };
    });
    const counted = onWheels.filter((score) => score !== undefined);
    const score = counted.length === 0 ? null : mean(counted.map((one) => one.score));
    return { name, score, perWheel: onWheels };
  });
  const score = mean(perWheel.map((wheel) => wheel.score));
  return {
    ...{ metric: 'hit', protocol, wheelTable: wheelTableOf(options), level },
    n: ordered.length,
    nScored: perSample.filter((sample) => sample.score !== null).length,
    score,
    metrics: { hit: score, mscore: mean(perWheel.map(({ mscore }) => mscore)) },
    ...{ perWheel, perSample },
    scoreOf: (counts) => mean(wheels.map(({ hit, counted }) => meanOf(hit, counted, counts))),
  };
}

function scoreHits(grouped: readonly GroupedSample[]): Hits {
  const candidates = [...new Set(grouped.flatMap(({ labels }) => labels))];
  const counted = Uint8Array.from(grouped, ({ labels }) => (labels.length === 0 ? 0 : 1));
  const hit = new Float64Array(grouped.length);
  const mscore = new Float64Array(grouped.length);
  grouped.forEach(({ labels, predicted }, i) => {
    const hits = overlap(labels, predicted);
    if (hits === 0) return;
    hit[i] = hits;
    mscore[i] = hits / overlap(predicted, candidates);
  });
  return { grouped, counted, hit, mscore };
}

/** The mean of all samples that count. */
function meanOf(values: Float64Array, counted: Uint8Array, counts: SampleCounts = counted): number {
  let sum = 0;
  let number = 0;
  for (let i = 0; i < values.length; i++) {
    sum += counts[i]! * values[i]!;
    number += counts[i]! * counted[i]!;
  }
  return sum / number;
}

import type { SampleCounts } from '../../bootstrap.ts';
import type { Classified } from '../../classification.ts';
import { classificationReport } from '../../classification.ts';
import type { SentimentSample } from '../samples.ts';
import { inOrder } from '../samples.ts';
import { normalizeWord } from '../words.ts';
import type { MetricResult, Protocol } from './result.ts';

export interface SentimentResult extends MetricResult {
  readonly metric: 'sentiment';
  readonly metrics: { readonly waf: number; readonly acc: number };
  /** Samples whose label is 0: left out under `paper`. */
  readonly nNeutral: number;
  /** Samples whose label is no number: left out under both protocols. */
  readonly nInvalidLabels: number;
  /** Names of scored samples with an answer that is none of positive, negative and neutral. */
  readonly invalidPredictions: readonly string[];
  /** Classes that are told apart, rows and columns of `confusion`. */
  readonly classes: readonly string[];
  /** `[label][prediction]`; invalid predictions are in no column under `strict`. */
  readonly confusion: readonly (readonly number[])[];
  readonly perSample: readonly (Classified & { readonly name: string; readonly score: number | null })[];
}

const sentiments = ['negative', 'neutral', 'positive'];

/**
 * Weighted F1 (WAF, the main score) and accuracy of the sign of a sentiment. Under `paper` samples labelled 0 are left out
 * and `positive` is told from everything else: a neutral or invalid answer counts as negative. Under `strict` negative,
 * neutral and positive are three classes, and an invalid answer is wrong.
 *
 * @throws InputError of `inOrder`
 */
export function scoreSentiment(
  samples: readonly SentimentSample[],
  { protocol }: { readonly protocol: Protocol },
): SentimentResult {
  const ordered = inOrder(samples);
  const classes = protocol === 'paper' ? ['negative', 'positive'] : sentiments;
  const classified = ordered.map((sample) => classify(sample, protocol));
  const scored = classified.filter((one) => one !== undefined);
  const { accuracy: acc, weighted, confusion } = classificationReport(scored, classes);
  const waf = scored.length === 0 ? Number.NaN : weighted.f1;
  return {
    ...{ metric: 'sentiment', protocol },
    n: ordered.length,
    nScored: scored.length,
    nNeutral: ordered.filter(({ value }) => value === 0).length,
    nInvalidLabels: ordered.filter(({ value }) => !Number.isFinite(value)).length,
    invalidPredictions: ordered
      .filter(({ predicted }, i) => classified[i] !== undefined && !sentiments.includes(cleaned(predicted)))
      .map(({ name }) => name),
    score: waf,
    metrics: { waf, acc: scored.length === 0 ? Number.NaN : acc },
    ...{ classes, confusion },
    perSample: ordered.map(({ name, value, predicted }, i) => {
      const one = classified[i];
      if (one === undefined) return { name, truth: sentimentOf(value), predicted, score: null };
      return { name, ...one, score: one.truth === one.predicted ? 1 : 0 };
    }),
    scoreOf: (counts) => {
      const drawn = repeat(classified, counts);
      return drawn.length === 0 ? Number.NaN : classificationReport(drawn, classes).weighted.f1;
    },
  };
}

const sentimentOf = (value: number): string =>
  value > 0 ? 'positive' : value < 0 ? 'negative' : value === 0 ? 'neutral' : 'invalid';

/** An answer without the full stop that language models like to add. */
const cleaned = (answer: string): string => normalizeWord(answer).replace(/[.。]$/, '');

/** `undefined` where the sample is left out. */
function classify({ value, predicted }: SentimentSample, protocol: Protocol): Classified | undefined {
  if (!Number.isFinite(value) || (protocol === 'paper' && value === 0)) return undefined;
  const truth = sentimentOf(value);
  if (protocol === 'paper') return { truth, predicted: predicted === 'positive' ? 'positive' : 'negative' };
  const answer = cleaned(predicted);
  return { truth, predicted: sentiments.includes(answer) ? answer : null };
}

function repeat(classified: readonly (Classified | undefined)[], counts: SampleCounts): Classified[] {
  const drawn: Classified[] = [];
  classified.forEach((one, i) => {
    if (one !== undefined) for (let time = counts[i]!; time > 0; time--) drawn.push(one);
  });
  return drawn;
}

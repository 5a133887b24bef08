import type { Mutant } from '../mutant.ts';

const metrics = 'src/eval/mer-unibench/metrics';
const metricTests = ['test/eval/mer-unibench/metrics.test.ts'];
const bootstrapTests = ['test/eval/mer-unibench/bootstrap.test.ts'];

/** Scores, and what is said of them. */
export const evaluationMutants: readonly Mutant[] = [
  {
    name: 'words-not-lowered',
    breaks: 'Emotion words are looked up with their capital letters.',
    file: 'src/eval/mer-unibench/words.ts',
    find: 'pythonStrip(word.toLowerCase())',
    replace: 'pythonStrip(word)',
    tests: metricTests,
  },
  {
    name: 'groups-counted-twice',
    breaks: 'Two words of one group count as two groups.',
    file: `${metrics}/groups.ts`,
    find: 'if (of !== undefined && !groups.includes(of)) groups.push(of);',
    replace: 'if (of !== undefined) groups.push(of);',
    tests: metricTests,
  },
  {
    name: 'precision-and-recall-swapped',
    breaks: 'Precision is divided by the groups of the labels, recall by those of the predictions.',
    file: `${metrics}/emotion-wheel.ts`,
    find: 'precision[i] = common / predicted.length;\n    recall[i] = common / labels.length;',
    replace: 'precision[i] = common / labels.length;\n    recall[i] = common / predicted.length;',
    tests: metricTests,
  },
  {
    name: 'hit-by-precision',
    breaks: 'A hit counts less where more was predicted.',
    file: `${metrics}/hit-rate.ts`,
    find: 'hit[i] = hits;',
    replace: 'hit[i] = hits / predicted.length;',
    tests: metricTests,
  },
  {
    name: 'neutral-sentiment-kept',
    breaks: 'Samples with the sentiment 0 count under the protocol of the paper.',
    file: `${metrics}/sentiment.ts`,
    find: "(protocol === 'paper' && value === 0)",
    replace: "(protocol === 'paper' && value === -0.5)",
    tests: metricTests,
  },
  {
    name: 'weighted-means-unweighted',
    breaks: 'Weighted F1 is the plain mean over the labels.',
    file: 'src/eval/classification.ts',
    find: 'weighted: average((one) => one.support),',
    replace: 'weighted: average(() => 1),',
    tests: ['test/eval/classification.test.ts'],
  },
  {
    name: 'bootstrap-ignores-seed',
    breaks: 'Intervals are the same under every seed.',
    file: 'src/eval/bootstrap.ts',
    find: '[seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const',
    replace: '[0, Math.floor(seed / 2 ** 32) * 0] as const',
    tests: bootstrapTests,
  },
  {
    name: 'bootstrap-not-paired',
    breaks: 'Two models are compared on different draws.',
    file: 'src/eval/bootstrap.ts',
    find: 'resampledScores(b, options), options);',
    replace: 'resampledScores(b, { ...options, seed: options.seed + 1 }), options);',
    tests: bootstrapTests,
  },
  {
    name: 'best-checkpoint-is-last',
    breaks: 'The last of equally good checkpoints counts as the best.',
    file: 'src/eval/mer-unibench/selection.ts',
    find: 'score > best.result.score',
    replace: 'score >= best.result.score',
    tests: ['test/eval/mer-unibench/evaluate.test.ts'],
  },
  {
    name: 'continuation-not-normalised',
    breaks: 'Likelihoods of choices are sums of scores, not of log-probabilities.',
    file: 'model/continuations.ts',
    find: 'sum[member]! += scores[token]! - normaliser;',
    replace: 'sum[member]! += scores[token]! - normaliser * 0;',
    tests: ['test/model/continuations.test.ts'],
  },
  {
    name: 'answer-cache-without-checksum',
    breaks: 'A damaged answer of a language model is used again.',
    file: 'src/llm/answer-cache.ts',
    find: 'return entry.sha256 === checksum(question, answer) ? answer : undefined;',
    replace: 'return entry.sha256 === undefined ? undefined : answer;',
    tests: ['test/llm/cache.test.ts'],
  },
];

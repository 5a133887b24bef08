import type { Mutant } from '../mutant.ts';

const parser = 'src/eval/mmla/parse-answer.ts';
const metrics = 'src/eval/mmla/metrics.ts';
const parserTests = ['test/eval/mmla/parse-answer.test.ts'];
const metricTests = ['test/eval/mmla/metrics.test.ts'];
const evaluateTests = ['test/eval/mmla/evaluate.test.ts'];

/** Scores of MMLA. */
export const mmlaScoreMutants: readonly Mutant[] = [
  {
    name: 'mmla-first-label-wins',
    breaks: 'An answer with several labels of MMLA is taken for one of them.',
    file: parser,
    find: "if (found !== undefined) return 'multi';",
    replace: 'if (found !== undefined) return found;',
    tests: parserTests,
  },
  {
    name: 'mmla-words-of-ascii',
    breaks: 'A label of MMLA that is glued to a Chinese character is found.',
    file: parser,
    find: '/[\\p{L}\\p{N}_]/u',
    replace: '/\\w/',
    tests: parserTests,
  },
  {
    name: 'mmla-half-a-letter',
    breaks: 'Half of a letter beyond 16 bits, before a label of MMLA, is no letter.',
    file: parser,
    find: 'return pair > 0xffff ? pair : last;',
    replace: 'return last;',
    tests: parserTests,
  },
  {
    name: 'mmla-invalid-no-class',
    breaks: 'The published averages of MMLA leave unknown and multi out.',
    file: metrics,
    find: "if (mode === 'strict') return",
    replace: "if (mode !== 'strict' || mode === 'strict') return",
    tests: metricTests,
  },
  {
    name: 'mmla-ties-rounded-up',
    breaks: 'Percent of MMLA between two hundredths are rounded up instead of to the even one.',
    file: metrics,
    find: 'below % 2 === 0 ? below : below + 1',
    replace: 'below + 1',
    tests: metricTests,
  },
  {
    name: 'mmla-prediction-twice',
    breaks: 'The last of several predictions for a sample of MMLA counts.',
    file: 'src/eval/mmla/match.ts',
    find: 'if (earlier !== undefined) {',
    replace: 'if (earlier === -1) {',
    tests: ['test/eval/mmla/predictions.test.ts'],
  },
  {
    name: 'mmla-deviation-of-population',
    breaks: 'The deviation over seeds is divided by their number.',
    file: 'src/eval/mmla/seeds.ts',
    find: 'squares / (values.length - 1)',
    replace: 'squares / values.length',
    tests: evaluateTests,
  },
  {
    name: 'mmla-seeds-drawn-apart',
    breaks: 'Intervals over seeds are those of the first seed alone.',
    file: 'src/eval/mmla/intervals.ts',
    find: 'kinds.seeds.map((places) => confusionMetrics',
    replace: 'kinds.seeds.slice(0, 1).map((places) => confusionMetrics',
    tests: evaluateTests,
  },
];

import type { Mutant } from '../mutant.ts';

const room = 'src/eval/mmla/answer';
const testOf = (name: string): string[] => [`test/eval/mmla-answer/${name}.test.ts`];

/** How models are asked the questions of MMLA. */
export const mmlaAnswerMutants: readonly Mutant[] = [
  {
    name: 'mmla-choice-without-end',
    breaks: 'The likelihood of an answer is that of all answers that begin with it.',
    file: 'src/runtime/instruct-model.ts',
    find: 'return [...this.#encodeText(text), this.#turnEnd];',
    replace: 'return this.#encodeText(text);',
    tests: testOf('instruct'),
  },
  {
    name: 'mmla-late-answers-last',
    breaks: 'Answers that failed at first stand at the end of the file.',
    file: 'src/predict/prediction-file.ts',
    find: 'await putInOrder(part, names, options.records);',
    replace: '',
    tests: testOf('tasks'),
  },
  {
    name: 'mmla-bad-samples-left-out',
    breaks: 'A run whose training left bad samples out answers about fewer.',
    file: `${room}/run-answerer.ts`,
    find: "onBadSample: 'fail'",
    replace: 'onBadSample: config.data.onBadSample',
    tests: testOf('run'),
  },
  {
    name: 'mmla-asks-on-after-the-end',
    breaks: 'Nobody stops the questions to an endpoint that are under way.',
    file: `${room}/endpoint-answerer.ts`,
    find: 'stop.abort();',
    replace: '',
    tests: testOf('endpoint'),
  },
  {
    name: 'mmla-prompt-not-of-the-training',
    breaks: 'A run that was trained on MMLA is asked in other words than it was trained with.',
    file: 'src/cli/mmla-model-options.ts',
    find: 'run?.config.data.mmla?.prompt ?? ',
    replace: '',
    tests: testOf('run'),
  },
  {
    name: 'mmla-turn-end-of-tokenizer',
    breaks: 'Llama 3 goes on behind the end of its turn where its tokenizer names another end.',
    file: 'src/runtime/instruct-model.ts',
    find: 'return ends.some(([id]) => id === this.#turnEnd) ? ends : [...ends, [this.#turnEnd]];',
    replace: 'return ends;',
    tests: testOf('instruct'),
  },
  {
    name: 'mmla-trained-on-another-task',
    breaks: 'A run that was trained on one task counts as fine-tuned on every other.',
    file: `${room}/model-facts.ts`,
    find: '!tasks.every((task) => trained.includes(task))',
    replace: 'tasks.length === 0',
    tests: testOf('model-facts'),
  },
  {
    name: 'mmla-row-by-its-first-report',
    breaks: 'What one report tells of a model holds for tasks of reports that do not tell it.',
    file: 'src/eval/mmla/leaderboard/about.ts',
    find: ' && others.every((other) => other[fact] === first[fact])',
    replace: '',
    tests: ['test/eval/mmla-leaderboard/reports.test.ts'],
  },
  {
    name: 'mmla-score-of-other-tasks',
    breaks: 'A comparison on some tasks ranks by published scores over all of them.',
    file: 'src/eval/mmla/leaderboard/board.ts',
    find: 'published !== undefined && tasks.length === paperTasks.length',
    replace: 'published !== undefined',
    tests: ['test/eval/mmla-leaderboard/board.test.ts'],
  },
];

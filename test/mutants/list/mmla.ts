import type { Mutant } from '../mutant.ts';

const room = 'src/data/mmla';
const mediaTests = ['test/data/mmla/media.test.ts'];
const checkTests = ['test/cli/data-check-mmla.test.ts'];

/** Which samples of MMLA there are, where their videos lie, and what is said about them. */
export const mmlaMutants: readonly Mutant[] = [
  {
    name: 'mmla-label-of-the-paper',
    breaks: "A label is spelt as in the paper's appendix, which no file and no gold answer does.",
    file: 'src/config/mmla-tasks.ts',
    find: "        'apologise',",
    replace: "        'apologize',",
    tests: ['test/mmla-contract/readers.test.ts'],
  },
  {
    name: 'mmla-media-own-folders-only',
    breaks: 'Videos of MELD-DA are not looked for among those of MELD.',
    file: `${room}/media.ts`,
    find: 'clips === task.clips',
    replace: 'false',
    tests: mediaTests,
  },
  {
    name: 'mmla-rule-cuts-names',
    breaks: 'A rule for media paths replaces the beginning of the name of a folder.',
    file: `${room}/media.ts`,
    find: '(part, i) => part !== parts[i]',
    replace: '(part, i) => !parts[i]?.startsWith(part)',
    tests: mediaTests,
  },
  {
    name: 'mmla-leakage-of-itself',
    breaks: 'A split is said to share its clips with the same split of another task.',
    file: `${room}/leakage.ts`,
    find: 'mmlaSplits.indexOf(one) < mmlaSplits.indexOf(other)',
    replace: 'mmlaSplits.indexOf(one) <= mmlaSplits.indexOf(other)',
    tests: ['test/data/mmla/leakage.test.ts'],
  },
  {
    name: 'mmla-held-out-stays',
    breaks: 'Instruction tuning keeps clips that are held out.',
    file: `${room}/leakage.ts`,
    find: 'kept: train.filter(({ clip }) => !clips.has(clip)),',
    replace: 'kept: train,',
    tests: ['test/data/mmla/leakage.test.ts'],
  },
  {
    name: 'mmla-empty-video-passes',
    breaks: 'A video of no bytes counts as there.',
    file: `${room}/check.ts`,
    find: 'status?.size === 0',
    replace: 'status?.size === -1',
    tests: checkTests,
  },
  {
    name: 'mmla-named-task-may-be-absent',
    breaks: 'A task that was asked for by name and is not there is no fault under --partial.',
    file: `${room}/check.ts`,
    find: 'options.tasks.includes(task) || !options.partial',
    replace: '!options.partial',
    tests: checkTests,
  },
  {
    name: 'mmla-sample-in-two-splits',
    breaks: 'A sample of train may come back in test.',
    file: `${room}/check.ts`,
    find: '        ...repeatedClips(records),\n',
    replace: '',
    tests: checkTests,
  },
];

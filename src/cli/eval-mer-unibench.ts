import type { CommandModule } from 'yargs';
import type { BenchmarkKey } from '../eval/mer-unibench/datasets.ts';
import type { Evaluation } from '../eval/mer-unibench/report/json.ts';
import type { EvaluationOptions } from '../eval/mer-unibench/run.ts';
import { type AnswersArguments, checkAnswersOptions } from './answers-options.ts';
import { usageError } from './errors.ts';
import {
  checkExtractorOptions,
  type ExtractorArguments,
  llmOptions,
  openExtractor,
} from './extractor-options.ts';
import { notify } from './notify.ts';
import { checkWhole } from './option-values.ts';
import { checkResamples, defaultResamples, fewestResamples } from './resamples.ts';
import {
  checkSetLevelOptions,
  openSetLevel,
  type SetLevelArguments,
  setLevelOptions,
} from './set-level-options.ts';

interface MerUnibenchArguments extends AnswersArguments, ExtractorArguments, SetLevelArguments {
  protocol: 'paper' | 'strict';
  level: 1 | 2 | undefined;
  'all-levels': boolean;
  'wheel-table': 'published' | 'corrected' | undefined;
  pick: string | undefined;
  resamples: number | undefined;
  output: string | undefined;
  json: boolean;
}

/** `affectgpt eval mer-unibench --dataset KEY --predictions PATH --labels PATH` */
export const merUnibenchCommand: CommandModule<object, MerUnibenchArguments> = {
  command: 'mer-unibench',
  describe: 'Score free-text answers on the sets of MER-UniBench',
  builder: (args) =>
    args
      .option('dataset', {
        type: 'string',
        array: true,
        nargs: 1,
        describe:
          'Set: mer2023, mer2024, meld, iemocapfour, cmumosi, cmumosei, sims, simsv2, ovmerdplus, ovmerd or mer2025ov; may be repeated. With --data-root the nine of the papers by default',
      })
      .option('checkpoint', {
        type: 'string',
        array: true,
        nargs: 1,
        describe:
          'Generate the answers first: run folder (its latest checkpoint), or one of its checkpoint folders; may be repeated',
      })
      .option('all-checkpoints', {
        type: 'boolean',
        default: false,
        describe: 'With --checkpoint: all checkpoints of the run',
      })
      .option('data-root', {
        type: 'string',
        requiresArg: true,
        describe: 'With --checkpoint: folder in which the sets lie as published',
      })
      .option('data', {
        type: 'string',
        requiresArg: true,
        describe: 'With --checkpoint, instead of --data-root: manifest of one set',
      })
      .option('split', {
        type: 'string',
        requiresArg: true,
        describe: 'With --checkpoint: samples to ask about; "test" by default',
      })
      .option('set', {
        type: 'string',
        array: true,
        nargs: 1,
        describe:
          'With --checkpoint: override a key of the saved configuration. Answers are greedy by default',
      })
      .option('predictions', {
        type: 'string',
        requiresArg: true,
        describe:
          'Answers: a file (.jsonl, .csv, published .npz) or a folder of checkpoints; or a folder with such a one for each set',
      })
      .option('labels', {
        type: 'string',
        requiresArg: true,
        describe: 'Labels: a file (published .npz, .csv, .jsonl), or the folder in which the sets lie',
      })
      .option('protocol', {
        choices: ['paper', 'strict'] as const,
        default: 'strict' as const,
        describe: 'paper: as published; strict: one checkpoint for all sets, every label counts, intervals',
      })
      .option('level', { choices: [1, 2] as const, describe: 'Level of the emotion wheels; 1 by default' })
      .option('all-levels', {
        type: 'boolean',
        default: false,
        describe: 'Report F of open vocabularies under all twelve groupings too',
      })
      .option('wheel-table', {
        choices: ['published', 'corrected'] as const,
        describe: 'Table of word forms; published under paper, corrected under strict by default',
      })
      .option('extractor', {
        choices: ['stored', 'rules', 'llm', 'local'] as const,
        describe: 'Where words come from: stored where they lie beside the answers, else rules by default',
      })
      .option('pick', {
        type: 'string',
        requiresArg: true,
        describe: 'Checkpoint that strict scores, where there are several',
      })
      .option('seed', {
        type: 'number',
        requiresArg: true,
        default: 42,
        describe: 'Of the bootstrap, and of an extracting model',
      })
      .option('resamples', {
        type: 'number',
        requiresArg: true,
        describe: `Resamples of the bootstrap under strict, ${fewestResamples} at least; ${defaultResamples} by default`,
      })
      .option('output', {
        type: 'string',
        requiresArg: true,
        describe:
          'Folder for report.json, report.md and report.html, and for generated answers (mer-unibench in the run folder by default)',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON, one object a set' })
      .options(llmOptions)
      .options(setLevelOptions),
  async handler(args) {
    checkUsage(args);
    const { benchmarkDataset, benchmarkKey, benchmarkMean } = await import(
      '../eval/mer-unibench/datasets.ts'
    );
    const keys = args.dataset?.map(benchmarkKey) ?? benchmarkMean;
    checkLevels(
      args,
      keys.map((key) => benchmarkDataset(key).metric),
    );
    const { checkReportFolder } = await import('../eval/report-folder.ts');
    const { writeReport } = await import('../eval/mer-unibench/report/write.ts');
    if (args.output !== undefined) await checkReportFolder(args.output);
    const setLevel = await openSetLevel(args, notify);
    const options = evaluationOptions(args, notify, setLevel);
    const { evaluation, output } = await (args.checkpoint === undefined ? scoreFiles : scoreRun)(
      keys,
      args,
      options,
    );
    if (evaluation === undefined) return;
    if (output !== undefined) {
      const paths = await writeReport(output, evaluation);
      notify(`wrote ${paths.join(', ')}`);
    }
    if (args.json) {
      const { contractJson } = await import('../eval/mer-unibench/report/json.ts');
      const lines = evaluation.sets.map((set) => `${JSON.stringify(contractJson(evaluation, set))}\n`);
      process.stdout.write(lines.join(''));
    } else {
      const { scoresMarkdown } = await import('../eval/mer-unibench/report/markdown.ts');
      process.stdout.write(scoresMarkdown(evaluation));
    }
  },
};

interface Scored {
  /** Absent where there are no labels to score by. */
  readonly evaluation?: Evaluation;
  /** Folder for the reports. */
  readonly output?: string | undefined;
}

/** What does not depend on where answers come from. */
type CommonOptions = Omit<EvaluationOptions, 'wheelTable' | 'openExtractor'>;

/** Scores answers that are there. */
async function scoreFiles(
  keys: readonly BenchmarkKey[],
  args: MerUnibenchArguments,
  options: CommonOptions,
): Promise<Scored> {
  const { notify } = options;
  const { chooseWheelTable, evaluateFiles } = await import('../eval/mer-unibench/run.ts');
  const evaluation = await evaluateFiles(
    keys,
    { predictions: args.predictions!, labels: args.labels! },
    {
      ...options,
      wheelTable: chooseWheelTable(args.protocol, args['wheel-table']),
      openExtractor: (name) => openExtractor(name, args, { engine: { type: 'auto' }, notify }),
    },
  );
  return { evaluation, output: args.output };
}

/** Lets a run answer, and scores that. */
async function scoreRun(
  keys: readonly BenchmarkKey[],
  args: MerUnibenchArguments,
  options: CommonOptions,
): Promise<Scored> {
  const { notify } = options;
  const { answerSets } = await import('../eval/mer-unibench/answer-sets.ts');
  const { config, answered, unscored, output } = await answerSets({
    ...{ keys, protocol: args.protocol, notify },
    checkpoints: args.checkpoint!,
    allCheckpoints: args['all-checkpoints'],
    set: args.set ?? [],
    location: args.data === undefined ? { root: args['data-root']! } : { manifest: args.data },
    split: args.split ?? 'test',
    ...(args.output !== undefined && { output: args.output }),
    ...(args.pick !== undefined && { pick: args.pick }),
  });
  if (unscored.length > 0) notify(`no labels, so not scored: ${unscored.join(', ')}`);
  if (answered.length === 0) return {};
  const { chooseWheelTable, evaluateAnswers } = await import('../eval/mer-unibench/run.ts');
  const evaluation = await evaluateAnswers(answered, {
    ...options,
    wheelTable: chooseWheelTable(args.protocol, args['wheel-table'], config.compat.wheelTable),
    // Words that lie with generated answers are those of one kind of sentence alone.
    extractor: args.extractor ?? 'rules',
    openExtractor: (name) => openExtractor(name, args, { engine: config.engine, notify }),
  });
  return { evaluation, output };
}

const evaluationOptions = (
  args: MerUnibenchArguments,
  notify: CommonOptions['notify'],
  setLevel: CommonOptions['setLevel'],
): CommonOptions => ({
  ...{ protocol: args.protocol, seed: args.seed, notify },
  level: args.level ?? 1,
  allLevels: args['all-levels'],
  resamples: args.resamples ?? defaultResamples,
  ...(args.pick !== undefined && { pick: args.pick }),
  ...(args.extractor !== undefined && { extractor: args.extractor }),
  ...(setLevel && { setLevel }),
});

/** What yargs does not check. */
function checkUsage(args: MerUnibenchArguments): void {
  checkAnswersOptions(args);
  checkExtractorOptions(args);
  checkSetLevelOptions(args);
  checkWhole('seed', args.seed, 0);
  if (args.resamples !== undefined) {
    if (args.protocol === 'paper') {
      throw usageError('--resamples is of the bootstrap, and the protocol "paper" has no intervals.');
    }
    checkResamples(args.resamples);
  }
}

/** Options that would change nothing are refused. */
function checkLevels(args: MerUnibenchArguments, metrics: readonly string[]): void {
  if (args['all-levels'] && !metrics.includes('ew')) {
    throw usageError('--all-levels is of open vocabularies: ovmerdplus, ovmerd and mer2025ov.');
  }
  if (args['set-level'] !== undefined && !metrics.includes('ew')) {
    throw usageError('--set-level is of open vocabularies: ovmerdplus, ovmerd and mer2025ov.');
  }
  const onWheels = metrics.some((metric) => metric !== 'sentiment');
  for (const option of ['level', 'wheel-table'] as const) {
    if (args[option] !== undefined && !onWheels) {
      throw usageError(`--${option} is of emotion words, and these sets are scored by sentiment.`);
    }
  }
}

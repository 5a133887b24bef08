import { basename, resolve } from 'node:path';
import type { CommandModule } from 'yargs';
import {
  type MmlaSplit,
  type MmlaTask,
  mmlaSplits,
  mmlaTask,
  mmlaTaskKeys,
  splitOfName,
} from '../data/mmla/tasks.ts';
import type { MmlaAnswerSet } from '../eval/mmla/evaluate.ts';
import type { PredictionFiles } from '../eval/mmla/find-files.ts';
import type { MmlaMode } from '../eval/mmla/metrics.ts';
import type { ReportedModel } from '../eval/mmla/report/json.ts';
import { usageError } from './errors.ts';
import {
  answerByModel,
  checkMmlaModelOptions,
  goldOf,
  type MmlaModelArguments,
  mmlaModelKind,
  mmlaModelOptions,
} from './mmla-model-options.ts';
import { notify } from './notify.ts';
import { checkWhole } from './option-values.ts';
import { checkResamples, defaultResamples, fewestResamples } from './resamples.ts';

interface MmlaArguments extends MmlaModelArguments {
  mode: MmlaMode;
  resamples: number | undefined;
  json: boolean;
}

/** As they are given. */
type GivenArguments = Omit<MmlaArguments, 'split'> & { split: MmlaSplit | undefined };

/**
 * `affectgpt eval mmla --task KEY --predictions FILE --gold FILE`, and with `--checkpoint RUN`, `--model DIR` or
 * `--llm-url URL` in place of the predictions
 */
export const mmlaCommand: CommandModule<object, GivenArguments> = {
  command: 'mmla',
  describe: 'Score answers to the tasks of MMLA, those of files or of a model that gives them first',
  builder: (args) =>
    args
      .option('task', {
        type: 'string',
        array: true,
        nargs: 1,
        describe: `Task: ${mmlaTaskKeys.join(', ')}; may be repeated. By default all that folders of predictions hold, those that a run was trained on, or all of them`,
      })
      .option('predictions', {
        type: 'string',
        array: true,
        requiresArg: true,
        describe:
          'Answers: a file (our JSON Lines, or the result files of the published scripts), or a folder with a file for each task (<task>.jsonl, or as the scripts name them); several are several seeds',
      })
      .option('gold', {
        type: 'string',
        requiresArg: true,
        describe:
          'Samples of the task: a file in any format of MMLA, or a folder with <task>.jsonl files or a released layout. Not needed where the predictions carry their labels',
      })
      .options(mmlaModelOptions)
      .option('mode', {
        choices: ['compat', 'strict'] as const,
        default: 'compat' as const,
        describe:
          'compat: the published figures, averages over all values that occur, unknown and multi included; strict: over the labels of the task, with intervals',
      })
      .option('split', {
        choices: mmlaSplits,
        describe:
          'Split that the gold samples are of; by default what the name of the file tells, such as dev.jsonl, and test otherwise',
      })
      .option('seed', {
        type: 'number',
        requiresArg: true,
        default: 42,
        describe: 'Of the bootstrap, and of a model whose answers are drawn',
      })
      .option('resamples', {
        type: 'number',
        requiresArg: true,
        describe: `Resamples of the bootstrap under strict, ${fewestResamples} at least; ${defaultResamples} by default`,
      })
      .option('model-name', {
        type: 'string',
        requiresArg: true,
        describe: 'What reports call the model; the name of the predictions by default',
      })
      .option('output', {
        type: 'string',
        requiresArg: true,
        describe: 'Folder for report.json, report.md and report.html, and for the answers of a model',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'Print JSON, one object for each task and file of predictions',
      }),
  async handler(given) {
    const args = { ...given, split: given.split ?? splitOfName(given.gold ?? '') ?? 'test' };
    checkUsage(args);
    const tasks = args.task && [...new Set(args.task)].map(mmlaTask);
    const { checkReportFolder } = await import('../eval/report-folder.ts');
    if (args.output !== undefined) await checkReportFolder(args.output);
    const { files, model } =
      mmlaModelKind(args) === undefined
        ? await storedAnswers(args, tasks)
        : await answerByModel(args, notify);
    const { evaluateMmlaTask } = await import('../eval/mmla/evaluate.ts');
    const bootstrap = { seed: args.seed, resamples: args.resamples ?? defaultResamples };
    const evaluations = (await readAnswerSets(files, goldOf(args), args.split)).map((set) =>
      evaluateMmlaTask(set, { mode: args.mode, bootstrap }),
    );
    const { contractJson, mmlaReport } = await import('../eval/mmla/report/json.ts');
    const report = mmlaReport(model, evaluations);
    if (args.output !== undefined) {
      const { writeMmlaReport } = await import('../eval/mmla/report/write.ts');
      const paths = await writeMmlaReport(args.output, report);
      notify(`wrote ${paths.join(', ')}`);
    }
    if (args.json) {
      const lines = evaluations.flatMap(contractJson).map((one) => `${JSON.stringify(one)}\n`);
      process.stdout.write(lines.join(''));
    } else {
      const { printedMarkdown } = await import('../eval/mmla/report/markdown.ts');
      process.stdout.write(printedMarkdown(report));
    }
  },
};

/** Files with answers by task, and whose they are. */
interface Answers {
  readonly files: PredictionFiles;
  readonly model: ReportedModel;
}

/** Answers that are there. */
async function storedAnswers(args: MmlaArguments, tasks: readonly MmlaTask[] | undefined): Promise<Answers> {
  const { findPredictions } = await import('../eval/mmla/find-files.ts');
  const paths = args.predictions!;
  const files = await findPredictions(paths, tasks);
  const name = basename(resolve(paths[0]!)).replace(/\.(?:jsonl|csv)$/, '');
  const provenance = `stored predictions: ${paths.join(', ')}`;
  const { storedFacts } = await import('../eval/mmla/answer/model-facts.ts');
  const facts = await storedFacts(paths, [...files.keys()]);
  return { files, model: { name: args['model-name'] ?? name, provenance, ...facts } };
}

/**
 * Reads the answers and gold labels of all tasks.
 * @throws what is wrong with any of them, all at once
 */
async function readAnswerSets(
  files: PredictionFiles,
  gold: string | undefined,
  split: MmlaSplit,
): Promise<readonly MmlaAnswerSet[]> {
  const { allOrFaults } = await import('../errors.ts');
  const { readAnswerSet } = await import('../eval/mmla/evaluate.ts');
  const { findGold } = await import('../eval/mmla/find-files.ts');
  return allOrFaults(
    Array.from(files, async ([key, predictions]) => {
      const task = mmlaTask(key);
      const file = gold === undefined ? {} : { gold: await findGold(gold, task, split) };
      return readAnswerSet({ task, split, predictions, ...file });
    }),
  );
}

/** What yargs does not check. */
function checkUsage(args: MmlaArguments): void {
  checkMmlaModelOptions(args);
  if (mmlaModelKind(args) === undefined && (args.predictions ?? []).length === 0) {
    throw usageError(
      'Say what to score: answers that are there (--predictions), or a model (--checkpoint, --model or --llm-url).',
    );
  }
  checkWhole('seed', args.seed, 0);
  if (args.resamples !== undefined) {
    if (args.mode === 'compat') {
      throw usageError('--resamples is of the bootstrap, and the mode "compat" has no intervals.');
    }
    checkResamples(args.resamples);
  }
  if (args['model-name'] !== undefined && args.json && args.output === undefined) {
    throw usageError('--model-name is for reports, and --json prints none; add --output.');
  }
}

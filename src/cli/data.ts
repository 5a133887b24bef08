import type { CommandModule } from 'yargs';
import { CheckError } from '../errors.ts';
import { commandGroup } from './command-group.ts';
import { checkMmlaCommand, type MmlaCheckArguments } from './data-check-mmla.ts';
import { rebuildMmlaCommand } from './data-rebuild-mmla.ts';
import { usageError } from './errors.ts';

interface CheckArguments extends MmlaCheckArguments {
  readonly dataset: string | undefined;
  readonly benchmark: string | undefined;
  readonly split: string | undefined;
  readonly without: string | undefined;
  readonly 'write-manifest': string | undefined;
}

/** Options that only one of `--dataset` and `--benchmark` takes. */
const ofDataset = ['split', 'without', 'write-manifest'] as const;
const ofBenchmark = ['task', 'media-root', 'map', 'text-only'] as const;

/** Words separated by commas; an empty list is none. */
const listed = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');

/** Keys that `--dataset` takes. */
async function knownDatasets(): Promise<string[]> {
  const { trainingSets } = await import('../data/check/training-sets.ts');
  const { benchmarkDatasets } = await import('../eval/mer-unibench/datasets.ts');
  return [...new Set([...Object.keys(benchmarkDatasets), ...trainingSets])];
}

/** Which of both is to be checked; refuses what would change nothing of it. */
function checkedKind(args: CheckArguments): 'dataset' | 'benchmark' {
  if ((args.dataset === undefined) === (args.benchmark === undefined)) {
    throw usageError('Say what to check: either --dataset or --benchmark.');
  }
  const [kind, foreign] =
    args.benchmark === undefined ? (['dataset', ofBenchmark] as const) : (['benchmark', ofDataset] as const);
  const idle = foreign.find((option) => args[option] !== undefined && args[option] !== false);
  if (idle !== undefined) throw usageError(`--${idle} says nothing about a --${kind}; leave it out.`);
  return kind;
}

/** `affectgpt data check --dataset meld --root DIR`, `affectgpt data check --benchmark mmla --root DIR` */
const check: CommandModule<object, CheckArguments> = {
  command: 'check',
  describe: 'Check that a data set is complete as published, and write its manifest',
  builder: async (args) => {
    const keys = (await knownDatasets()).join(', ');
    return args
      .option('dataset', {
        type: 'string',
        requiresArg: true,
        describe: `A set of MER-UniBench or to train on: ${keys}`,
      })
      .option('benchmark', {
        choices: ['mmla'] as const,
        requiresArg: true,
        describe: 'All tasks of a benchmark, instead of --dataset',
      })
      .option('root', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'Folder that holds the folder of the data set (data.root), or those of the tasks',
      })
      .option('split', {
        type: 'string',
        requiresArg: true,
        describe:
          'Of a set of MER-UniBench: splits that have to be there, as in train,val,test; "test" by default',
      })
      .option('without', {
        type: 'string',
        requiresArg: true,
        describe: 'Files that are not wanted, of video,audio,face: not looked for, and not in the manifest',
      })
      .option('partial', {
        type: 'boolean',
        default: false,
        describe:
          'Another number of samples than published is no fault; of MMLA, neither are splits and tasks that are not there',
      })
      .option('write-manifest', {
        type: 'string',
        requiresArg: true,
        describe: 'manifest.jsonl to write where all is there; for data.manifest and eval --data',
      })
      .option('task', {
        type: 'string',
        requiresArg: true,
        describe:
          'Of MMLA: a task that has to be there, such as MELD-DA; may be given many times; all by default',
      })
      .option('media-root', {
        type: 'string',
        requiresArg: true,
        describe:
          'Of MMLA: folder that holds the videos, those of a task in a folder of its name; --root by default',
      })
      .option('map', {
        type: 'string',
        requiresArg: true,
        describe:
          'Of MMLA: FROM=TO, the beginning of paths of videos as the files have them, and what stands there here; may be given many times',
      })
      .option('text-only', {
        type: 'boolean',
        default: false,
        describe: 'Of MMLA: videos are not wanted',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print the report as JSON' });
  },
  async handler(args) {
    if (checkedKind(args) === 'benchmark') {
      await checkMmlaCommand(args);
      return;
    }
    const { mediaKinds } = await import('../data/check/clips.ts');
    const { formatReport, isWhole } = await import('../data/check/findings.ts');
    const { checkTrainingSet, trainingSets } = await import('../data/check/training-sets.ts');
    const { benchmarkDatasets } = await import('../eval/mer-unibench/datasets.ts');
    const { root, partial } = args;
    const dataset = args.dataset!;
    const without = listed(args.without).map((word) => {
      const kind = mediaKinds.find((candidate) => candidate === word);
      if (kind === undefined) throw usageError(`--without takes ${mediaKinds.join(', ')}, not "${word}".`);
      return kind;
    });
    const options = { without, partial };
    const isBenchmark = Object.hasOwn(benchmarkDatasets, dataset);
    const isTraining = (trainingSets as readonly string[]).includes(dataset);
    if (!isBenchmark && !isTraining) {
      throw usageError(`There is no data set "${dataset}". Known are ${(await knownDatasets()).join(', ')}.`);
    }
    if (isTraining && args.split !== undefined) {
      throw usageError(`The data set "${dataset}" is checked as a whole; leave out --split.`);
    }
    if (dataset === 'meld-text' && without.length > 0) {
      throw usageError('The data set "meld-text" has no files; leave out --without.');
    }
    const splits = listed(args.split ?? 'test');
    if (splits.length === 0) throw usageError('--split names no split.');
    const { checkBenchmarkSet } = await import('../eval/mer-unibench/data-check.ts');
    // Sets that are both have more tables to train on.
    const { report, records } = isTraining
      ? await checkTrainingSet(dataset, root, options)
      : await checkBenchmarkSet(dataset, root, splits, options);
    const ok = isWhole(report);
    const wanted = args['write-manifest'];
    const manifest = ok && wanted !== undefined ? wanted : null;
    if (manifest !== null) {
      const { writeManifest } = await import('../data/write-manifest.ts');
      await writeManifest(manifest, records);
    }
    process.stdout.write(
      args.json
        ? `${JSON.stringify({ check: 'data', ...report, ok, samples: records.length, manifest })}\n`
        : `${formatReport(report)}${manifest === null ? '' : `  ${records.length} samples in ${manifest}\n`}`,
    );
    if (ok) return;
    const faults = report.findings.filter(({ needed }) => needed).length;
    const unwritten = wanted === undefined ? '' : ` ${wanted} was not written.`;
    throw new CheckError(
      'DATA_INCOMPLETE',
      `The data set "${dataset}" is not complete: ${faults} ${faults === 1 ? 'fault' : 'faults'}, see the report.${unwritten}`,
    );
  },
};

/** `affectgpt data check`, `affectgpt data rebuild-mmla` */
export const dataCommand = commandGroup(
  'data',
  'Look after data sets',
  [check, rebuildMmlaCommand],
  'Say what to do: check or rebuild-mmla.',
);

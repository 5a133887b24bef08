import os from 'node:os';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { commit, machine } from '../../src/bench/machine.ts';
import { caseCommands } from '../../src/cli/bench.ts';
import { describeFailure, usageError } from '../../src/cli/errors.ts';
import { compareCommand } from './compare/command.ts';
import { benchExportAccuracy, exportAccuracyTable } from './export-accuracy.ts';
import { measureRules } from './extraction-rules.ts';
import { benchScoring } from './mer-unibench-scoring.ts';
import { benchMmlaScoring } from './mmla-scoring.ts';

/** `npm run bench -- train-step --size s`: the cases of `affectgpt bench`, and those of this folder. */
const print = (result: object): void => console.log(JSON.stringify({ ...result, commit: commit() }));

const parser = yargs(hideBin(process.argv))
  .scriptName('npm run bench --')
  .option('json', { type: 'boolean', default: true, describe: 'One JSON line a case, else a table' })
  .command([...caseCommands, compareCommand])
  .command(
    'mer-unibench-scoring',
    'scoring 20,000 answers with open vocabularies on five emotion wheels; one core',
    (command) => command.option('runs', { type: 'number', default: 5, describe: 'times measured' }),
    (options) => {
      for (const result of benchScoring(options)) print(result);
    },
  )
  .command(
    'mmla-scoring',
    'scoring 100,000 answers to tasks of MMLA; one core',
    (command) => command.option('runs', { type: 'number', default: 5, describe: 'times measured' }),
    (options) => {
      for (const result of benchMmlaScoring(options)) print(result);
    },
  )
  .command(
    'extraction-rules',
    'how well rules find the words that the published extractor found, on published answers',
    (command) =>
      command.option('data', {
        type: 'string',
        demandOption: true,
        describe: 'folder with predictions/mer2023, predictions/cmumosi and labels',
      }),
    async ({ data }) => {
      for (const result of await measureRules(data)) print(result);
    },
  )
  .command(
    'export-accuracy',
    'what exporting a quickstart in each precision changes: logits, answers, accuracy on held-out clips; exit code 1 where a bound does not hold',
    (command) =>
      command
        .option('run', {
          type: 'string',
          default: 'runs/quickstart',
          describe: 'folder of a quickstart, or a run in it',
        })
        .option('samples', { type: 'number', default: 50, describe: 'held-out clips to compare logits on' })
        .option('threads', { type: 'number', default: os.availableParallelism() })
        .option('json', { type: 'boolean', default: false, describe: 'one JSON line a precision' }),
    async ({ run, samples, threads, json }) => {
      const notify = (message: string): void => console.error(message);
      const results = [];
      for await (const result of benchExportAccuracy({ run, samples, threads, notify })) {
        results.push(result);
        if (json) print({ bench: 'export-accuracy', ...result, threads, machine });
      }
      if (!json) console.log(exportAccuracyTable(results));
      if (results.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
    },
  )
  .demandCommand(1, 'Name a benchmark.')
  .strict()
  // Errors of the command line are yargs' to print, those of a benchmark are printed below.
  .fail((message, error, args) => {
    if (error) throw error;
    args.showHelp();
    throw usageError(message);
  });

try {
  await parser.parseAsync();
} catch (error) {
  const { text, exitCode } = describeFailure(error, false);
  process.stderr.write(text);
  process.exitCode = exitCode;
}

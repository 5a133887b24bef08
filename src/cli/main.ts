#!/usr/bin/env node
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import yargs, { type CommandModule } from 'yargs';
import { packageVersion } from '../config/package-folder.ts';
import { benchCommand } from './bench.ts';
import { configCommand } from './config.ts';
import { dataCommand } from './data.ts';
import { doctorCommand } from './doctor.ts';
import { engineCommand } from './engine.ts';
import { describeFailure, usageError } from './errors.ts';
import { evalCommand } from './eval.ts';
import { exportCommand } from './export.ts';
import { importCommand } from './import.ts';
import { leaderboardCommand } from './leaderboard.ts';
import { predictCommand } from './predict.ts';
import { pullCommand } from './pull.ts';
import { quickstartCommand } from './quickstart.ts';
import { reportCommand } from './report.ts';
import { runsCommand } from './runs.ts';
import { sweepCommand } from './sweep.ts';
import { trainCommand } from './train.ts';

/**
 * Every command; a new one is one line here. A command's file imports nothing heavy at its top: what it needs to
 * work is imported inside its handler, so that `--help` and errors of usage come at once.
 */
const COMMANDS = [
  quickstartCommand,
  trainCommand,
  sweepCommand,
  predictCommand,
  evalCommand,
  leaderboardCommand,
  exportCommand,
  reportCommand,
  runsCommand,
  importCommand,
  pullCommand,
  dataCommand,
  configCommand,
  doctorCommand,
  engineCommand,
  benchCommand,
] as CommandModule[];

/** Options that may be given many times. */
const REPEATABLE = ['set', 'include', 'ids', 'reports', 'only'];
/** Those that only one command takes many times. */
const REPEATABLE_IN: Readonly<Record<string, readonly string[]>> = {
  'eval mer-unibench': ['dataset', 'checkpoint'],
  'eval mmla': ['task', 'predictions'],
  'leaderboard mmla': ['about', 'task'],
  'data check': ['task', 'map'],
  'data rebuild-mmla': ['upstream'],
  // yargs has each under both spellings.
  sweep: ['slurm-option', 'slurmOption', 'kubernetes-option', 'kubernetesOption'],
};

/** Two subtitles, or two configurations, are a mistake that yargs would join to a list. */
function refuseRepetition(args: Readonly<Record<string, unknown>>): true {
  const command = Array.isArray(args._) ? args._.join(' ') : '';
  const repeatable = ['_', ...REPEATABLE, ...(REPEATABLE_IN[command] ?? [])];
  const repeated = Object.entries(args).find(
    ([name, value]) => Array.isArray(value) && !repeatable.includes(name),
  );
  if (repeated !== undefined) throw usageError(`--${repeated[0]} is given more than once.`);
  return true;
}

/**
 * Runs one command line in this process; whatever its command throws comes through.
 * @param argv the arguments after the program's name
 */
export async function runCommand(argv: readonly string[]): Promise<void> {
  const parser = yargs([...argv])
    .scriptName('affectgpt')
    .usage('$0 <command> [options]\n\nTrain and run AffectGPT-style multimodal emotion models.')
    .option('verbose', { type: 'boolean', default: false, describe: 'Show stack traces of errors' })
    .command(COMMANDS)
    .demandCommand(1, 'Name a command.')
    .recommendCommands()
    .strict()
    .check(refuseRepetition)
    .version(packageVersion())
    .alias('help', 'h')
    .detectLocale(false)
    .parserConfiguration({ 'dot-notation': false })
    .wrap(110)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? usageError(message);
    });
  await parser.parseAsync();
}

/**
 * Runs one command line and returns the exit code; the process goes on. Results go to standard output, errors to
 * standard error. A handler that wants another exit code than 0 throws an error of src/errors.ts.
 * @param argv the arguments after the program's name
 */
export async function main(argv: readonly string[]): Promise<number> {
  const verbose = argv.includes('--verbose');
  try {
    await runCommand(argv);
    return 0;
  } catch (thrown) {
    // Errors of yargs itself (a missing value, an unknown choice) are errors of usage.
    const isYargs = thrown instanceof Error && thrown.name === 'YError';
    const { text, exitCode } = describeFailure(isYargs ? usageError(thrown.message) : thrown, verbose);
    process.stderr.write(text);
    return exitCode;
  }
}

/** Whether this file is the program that was started (by its path or through a link), not an import. */
function isProgram(): boolean {
  const started = process.argv[1];
  return started !== undefined && realpathSync(started) === fileURLToPath(import.meta.url);
}

if (isProgram()) {
  // A reader such as `head` that closes early is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  // Not awaited: a command that imports this file would wait for itself.
  void main(process.argv.slice(2)).then((exitCode) => {
    process.exitCode = exitCode;
  });
}

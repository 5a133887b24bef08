import { statSync } from 'node:fs';
import yargs from 'yargs';
import { describeFailure } from '../../src/cli/errors.ts';
import { createEngine, type EngineName, engineNames } from '../../src/engine/engines.ts';
import { InputError } from '../../src/errors.ts';
import { formatFixture, formatJson, formatTotal } from './report.ts';
import { type FixtureReport, isUnreadable, runFixture } from './runner.ts';

/** Where the command writes; `process` is one. */
export interface Streams {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

const usageError = (message: string): InputError =>
  new InputError(
    'USAGE',
    `${message.trim().replaceAll(/\s*\n\s*/g, ' ')} (npm run parity -- --help lists what there is)`,
  );

async function parse(argv: readonly string[]) {
  return yargs([...argv])
    .scriptName('npm run parity --')
    .usage(
      '$0 DIR [DIR...]\n\nCompare with the reference results in each folder: those of test/fixtures, or new ones.',
    )
    .option('engine', {
      choices: engineNames,
      default: 'onnxruntime' as EngineName,
      describe: 'What runs the models',
    })
    .option('json', { type: 'boolean', default: false, describe: 'One JSON document instead of tables' })
    .demandCommand(1, 'Name a folder.')
    .strictOptions()
    .check(({ engine }) => {
      if (Array.isArray(engine)) throw usageError('--engine is given more than once.');
      return true;
    })
    .parserConfiguration({ 'parse-positional-numbers': false })
    .detectLocale(false)
    .version(false)
    .exitProcess(false)
    .fail((message, error) => {
      throw error instanceof InputError ? error : usageError(message);
    })
    .parseAsync();
}

async function run(argv: readonly string[], { stdout, stderr }: Streams): Promise<number> {
  const { _: given, engine: type, json, help } = await parse(argv);
  if (help === true) return 0;
  const isFile = (name: string): boolean => statSync(name, { throwIfNoEntry: false })?.isFile() ?? false;
  const names = given.map(String);
  // A glob of the shell finds the README beside the folders, too.
  for (const name of names.filter(isFile)) stderr.write(`${name} is a file, not a folder: passed over\n`);
  const folders = names.filter((name) => !isFile(name));
  if (folders.length === 0) throw usageError('None of the arguments is a folder.');
  // What is compared are rules of calculation; bf16 rounds more than they differ.
  const engine = await createEngine({ type, precision: 'fp32' });
  const fixtures: FixtureReport[] = [];
  for (const folder of folders) {
    const report = await runFixture(folder, engine);
    fixtures.push(report);
    if (!json) stdout.write(formatFixture(report));
  }
  const report = { engine: type, fixtures, ok: fixtures.every(({ ok }) => ok) };
  stdout.write(json ? formatJson(report) : formatTotal(report));
  if (fixtures.some(isUnreadable)) return 2;
  return report.ok ? 0 : 1;
}

/**
 * `npm run parity -- DIR [DIR...]`: compares this program with stored results of the reference implementations.
 * @returns the exit code: 0 all hold, 1 a miss or an unknown kind, 2 usage or a folder that cannot be read, 4 the
 *   engine is not there
 */
export async function parityCommand(argv: readonly string[], streams: Streams): Promise<number> {
  try {
    return await run(argv, streams);
  } catch (thrown) {
    const { text, exitCode } = describeFailure(thrown, false);
    streams.stderr.write(text);
    return exitCode;
  }
}

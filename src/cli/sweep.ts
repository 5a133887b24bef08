import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { CommandModule } from 'yargs';
import { usageError } from './errors.ts';
import { notify } from './notify.ts';
import { checkWhole } from './option-values.ts';
import {
  type BackendArguments,
  checkBackendUsage,
  runBackend,
  withBackendOptions,
} from './sweep-backends.ts';

interface SweepArguments extends BackendArguments {
  config: string | undefined;
  set: string[];
  only: string[];
  rerun: 'failed' | undefined;
  parallel: number | undefined;
  'dry-run': boolean;
  'shapes-only': boolean;
  'results-only': boolean;
  json: boolean;
  point: string | undefined;
  threads: number | undefined;
  wait: boolean;
}

/** How this program is started again: the installed one as it is, the sources through their loader. */
function thisProgram(): [string, ...string[]] {
  const isSource = import.meta.url.endsWith('.ts');
  const entry = fileURLToPath(new URL(isSource ? './main.ts' : './main.js', import.meta.url));
  const loader = isSource
    ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href]
    : [];
  return [process.execPath, ...loader, entry];
}

/** `affectgpt sweep --config FILE`, or `affectgpt sweep --point FOLDER` for one prepared point in this process */
export const sweepCommand: CommandModule<object, SweepArguments> = {
  command: 'sweep',
  describe: 'Train every point of a grid of configurations and make the table of their results',
  builder: async (args) => {
    const { sweepKeyLines } = await import('../config/sweep.ts');
    const keys = sweepKeyLines().map((line) => `  ${line}`);
    return withBackendOptions(args)
      .epilogue(`Keys of the sweep file:\n${keys.join('\n')}`)
      .option('config', {
        type: 'string',
        requiresArg: true,
        describe: 'Sweep file: a file, or a name looked for in the working folder and in the package',
      })
      .option('set', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe: 'Set a key of the sweep file (output, seeds, …), or a configuration key for all points',
      })
      .option('only', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe: 'Only these points: a name, * standing for any signs; may be given many times',
      })
      .option('rerun', {
        choices: ['failed'] as const,
        describe: 'Try failed points again; they go on from their checkpoint where there is one',
      })
      .option('parallel', {
        type: 'number',
        requiresArg: true,
        defaultDescription: '1',
        describe: 'Points at a time; cores are divided among them unless engine.threads is set',
      })
      .option('dry-run', {
        type: 'boolean',
        default: false,
        describe: 'Check every point and say what each shares and takes; nothing is written',
      })
      .option('shapes-only', {
        type: 'boolean',
        default: false,
        describe: 'With --dry-run: needs no models; memory and disk from shapes alone',
      })
      .option('results-only', {
        type: 'boolean',
        default: false,
        describe: 'Run nothing; write the results of what is there',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'Print the results, or with --dry-run the forecast, as JSON',
      })
      .option('point', {
        type: 'string',
        requiresArg: true,
        describe: 'Instead of --config: work on one point, given by its folder, in this process',
      })
      .option('threads', {
        type: 'number',
        requiresArg: true,
        describe: 'With --point: threads of the engine, where the point does not say',
      })
      .option('wait', {
        type: 'boolean',
        default: false,
        describe: 'With --point: where another process works on it, wait until that is over, however it ends',
      });
  },
  async handler(args) {
    checkUsage(args);
    if (args.point !== undefined) return workOnPoint(args.point, args.threads ?? null, args.wait);
    const { loadSweep, selectPoints } = await import('../sweep/load.ts');
    const sweep = loadSweep({ config: args.config!, set: args.set });
    if (args.backend !== undefined) return runBackend(args, sweep, { program: thisProgram(), notify });
    const { parallel = 1 } = args;
    if (args['dry-run']) {
      const { checkSnapshot } = await import('../sweep/snapshot.ts');
      const { forecastSweep } = await import('../sweep/forecast.ts');
      const { formatForecast } = await import('../sweep/format-forecast.ts');
      await checkSnapshot(sweep);
      const points = selectPoints(sweep, args.only);
      // Together, before a process is started for each shape.
      if (!args['shapes-only']) {
        const { checkReady } = await import('../sweep/check-ready.ts');
        const without = '--dry-run --shapes-only tells parameters, memory and disk without the models';
        await checkReady(points, `\n${without}, from shapes alone.`);
      }
      const forecast = await forecastSweep(sweep, points, {
        ...{ shapesOnly: args['shapes-only'], parallel, cores: availableParallelism() },
        ...{ program: thisProgram(), notify },
      });
      process.stdout.write(args.json ? `${JSON.stringify(forecast)}\n` : formatForecast(forecast));
      return;
    }
    const { writeResults, resultsText } = await import('../sweep/write-results.ts');
    const { resultsJson } = await import('../sweep/results-json.ts');
    const print = async () => {
      const results = await writeResults(sweep);
      process.stdout.write(args.json ? `${JSON.stringify(resultsJson(results))}\n` : resultsText(results));
    };
    if (args['results-only']) {
      const { checkPrepared } = await import('../sweep/snapshot.ts');
      await checkPrepared(sweep);
      return print();
    }
    const { checkSnapshot } = await import('../sweep/snapshot.ts');
    const { checkReady } = await import('../sweep/check-ready.ts');
    const { runSweep } = await import('../sweep/run.ts');
    // Refused before models are looked for, and again when the folders are made.
    await checkSnapshot(sweep);
    await checkReady(selectPoints(sweep, args.only));
    await runSweep({
      ...{ sweep, only: args.only, rerunFailed: args.rerun === 'failed', parallel },
      ...{ cores: availableParallelism(), program: thisProgram(), notify },
      onResults: async () => void (await writeResults(sweep)),
      onEnd: print,
    });
  },
};

/** @throws InputError `USAGE` */
function checkUsage(args: SweepArguments): void {
  const given = (names: readonly (keyof SweepArguments)[]) =>
    names.find((name) => {
      const value = args[name];
      return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
    });
  if ((args.config === undefined) === (args.point === undefined)) {
    throw usageError('Give --config FILE for a sweep, or --point FOLDER for one of its points.');
  }
  const ofSweep = [
    ...(['set', 'only', 'rerun', 'dry-run', 'results-only', 'json'] as const),
    ...(['backend', 'status', 'submit', 'slurm-option', 'kubernetes-option'] as const),
  ];
  const wrong = args.point === undefined ? given(['threads', 'wait']) : given(ofSweep);
  if (wrong !== undefined) {
    const side = args.point === undefined ? '--point' : '--config';
    throw usageError(`--${wrong} is of ${side}; leave it out, or give ${side}.`);
  }
  checkWhole('parallel', args.parallel, 1);
  checkWhole('threads', args.threads, 1);
  checkBackendUsage(args);
  if (!args['dry-run']) {
    if (args['shapes-only']) throw usageError('--shapes-only is of --dry-run; give both.');
  } else if (given(['rerun', 'results-only']) !== undefined) {
    throw usageError('--dry-run runs nothing; leave --rerun and --results-only out.');
  }
  if (args['results-only'] && given(['rerun', 'only']) !== undefined) {
    throw usageError('--results-only is of all points and runs none; leave --only and --rerun out.');
  }
}

/** Between two looks at a point that another process works on. */
const waitMilliseconds = 20_000;

/** What every backend starts: one point in a process of its own. */
async function workOnPoint(folder: string, threads: number | null, wait: boolean): Promise<void> {
  const { runPoint } = await import('../sweep/run-point.ts');
  const { runCommand } = await import('./main.ts');
  while ((await runPoint(folder, { command: runCommand, threads, notify })) === 'running' && wait) {
    await setTimeout(waitMilliseconds);
  }
}

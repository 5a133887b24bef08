import type { CommandModule } from 'yargs';
import { AffectGptError } from '../errors.ts';
import type { ChoiceEvaluation } from '../eval/choices.ts';
import { type ConfigArguments, withConfigOptions } from './config.ts';
import { usageError } from './errors.ts';
import { onRanks, type RankContext, refuseRanks } from './ranks.ts';
import { type ReplayArguments, replay, withReplayOptions } from './replay.ts';

interface TrainArguments extends ConfigArguments, ReplayArguments {
  verbose?: boolean;
  resume: 'auto' | 'never';
  'dry-run': boolean;
  'shapes-only': boolean;
  json: boolean;
}

/** The command line again, as the record of a run shows it. */
const commandOf = (config: string, set: readonly string[], resume: string): string[] => [
  ...['affectgpt', 'train', '--config', config],
  ...set.flatMap((assignment) => ['--set', assignment]),
  ...(resume === 'auto' ? [] : ['--resume', resume]),
];

/** Writes `report.html` of a training that began; how the training ended counts more than that it cannot be written. */
async function report(folder: string, notify: (message: string) => void): Promise<void> {
  try {
    const { readRunStatus } = await import('../../train/run-status.ts');
    const { writeRunReport } = await import('../runs/report-page.ts');
    // A refused start leaves the run of an earlier one alone.
    if ((await readRunStatus(folder))?.pid === process.pid) await writeRunReport(folder);
  } catch (error) {
    notify(`report.html was not written: ${error instanceof Error ? error.message : error}`);
  }
}

/** Trains as this one of the ranks. */
async function trainOn(
  { collective, leave }: RankContext,
  { name, set, resume }: { name: string; set: readonly string[]; resume: 'auto' | 'never' },
): Promise<void> {
  const { loadConfig } = await import('../config/load.ts');
  const { config, sources } = loadConfig({ config: name, set });
  const { createEngine } = await import('../engine/engines.ts');
  const { trainConfigured } = await import('../../train/configured.ts');
  const { interruptExitCodes, watchInterrupts } = await import('../../train/interrupts.ts');
  const { formatMetric } = await import('../../train/validation/run-validation.ts');
  const { createValidator } = await import('../eval/validation/validator.ts');
  // What the others have to say, the first rank says for them; they speak only of what went wrong there.
  const isFirstRank = collective.rank === 0;
  const notify = (message: string): void => {
    if (isFirstRank) process.stderr.write(`${message}\n`);
  };
  const engine = await createEngine(config.engine, notify);
  const interrupt = watchInterrupts({ notify });
  interrupt.activity = 'preparing';
  const isStopped = (): boolean => interrupt.requested !== undefined;
  const { EvaluationAroundTraining } = await import('../eval/around-training.ts');
  const { formatEvaluation } = await import('../eval/report.ts');
  const { evaluation: settings } = config;
  const scoring = settings && new EvaluationAroundTraining({ config, settings, engine, notify, isStopped });
  const print = (evaluation: ChoiceEvaluation | undefined): void => {
    if (evaluation !== undefined) process.stdout.write(formatEvaluation(evaluation));
  };
  try {
    const outcome = await trainConfigured({
      config,
      sources,
      engine,
      collective,
      resume,
      stream: isFirstRank ? process.stderr : null,
      interrupt,
      createValidator,
      command: commandOf(name, set, resume),
      ...(scoring && { check: () => scoring.check() }),
      onStart: async () => {
        if (scoring !== null) {
          interrupt.activity = 'scoring';
          print(await scoring.before());
        }
        interrupt.activity = 'training';
      },
    }).finally(async () => {
      if (isFirstRank) await report(config.output, notify);
    });
    await leave();
    if (!isFirstRank) return;
    if (outcome.best !== null && outcome.best.checkpoint !== null) {
      const { metric, value, checkpoint } = outcome.best;
      notify(`Best by ${metric} (${formatMetric(metric, value)}): ${checkpoint}`);
    }
    if (outcome.signal !== null) {
      const reached =
        outcome.checkpoint === null
          ? 'before the first step. The same command begins anew; features that were computed are kept.'
          : `after step ${outcome.step}, saved in ${outcome.checkpoint}. The same command goes on from there.`;
      throw new AffectGptError('STOPPED', `Stopped by ${outcome.signal} ${reached}`, outcome.exitCode);
    }
    if (scoring !== null) {
      interrupt.activity = 'scoring';
      const evaluation = await scoring.after(outcome.checkpoint!);
      const { requested } = interrupt;
      if (evaluation === undefined && requested !== undefined) {
        throw new AffectGptError(
          'STOPPED',
          `Stopped by ${requested} after the last step, before the model was scored. Training is done and saved in ${outcome.checkpoint}; affectgpt eval choices --checkpoint ${config.output} scores it.`,
          interruptExitCodes[requested],
        );
      }
      print(evaluation);
    }
    process.stdout.write(`${outcome.checkpoint ?? config.output}\n`);
  } finally {
    interrupt.dispose();
  }
}

/** `affectgpt train --config FILE [--set KEY=VALUE …] [--resume auto|never] [--dry-run [--shapes-only] [--json]]`, or `--replay DUMP [--engine TYPE]` */
export const trainCommand: CommandModule<object, TrainArguments> = {
  command: 'train',
  describe: 'Train the model that a configuration describes',
  builder: (args) =>
    withReplayOptions(withConfigOptions(args))
      .option('resume', {
        choices: ['auto', 'never'] as const,
        default: 'auto' as const,
        describe: 'Go on from the latest checkpoint of the run folder, or insist on a fresh one',
      })
      .option('dry-run', {
        type: 'boolean',
        default: false,
        describe: 'Check everything, run a few steps in memory, and say what the training would take',
      })
      .option('shapes-only', {
        type: 'boolean',
        default: false,
        describe: 'With --dry-run: needs no models; parameters, memory and disk from shapes alone',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'With --dry-run: print the report as JSON',
      }),
  async handler({ config: name, set, resume, ...args }) {
    const wrong = args['shapes-only'] ? '--shapes-only' : args.json ? '--json' : undefined;
    if (!args['dry-run'] && wrong !== undefined) throw usageError(`${wrong} is of --dry-run; give both.`);
    if (args['dry-run'] && args.replay !== undefined) {
      throw usageError('--dry-run looks at a training, --replay at one step of it; give one of them.');
    }
    if (args['dry-run'] || args.replay !== undefined) {
      await refuseRanks(args['dry-run'] ? '--dry-run' : '--replay');
    }
    if (args.replay !== undefined) {
      return replay({ folder: args.replay, config: name, set, engine: args.engine });
    }
    if (args['dry-run']) {
      const { loadConfig } = await import('../config/load.ts');
      const { config } = loadConfig({ config: name, set });
      const { dryRunCommand } = await import('./train-dry-run.ts');
      return dryRunCommand({ config, resume, shapesOnly: args['shapes-only'], json: args.json });
    }
    return onRanks(args.verbose === true, (context) => trainOn(context, { name, set, resume }));
  },
};

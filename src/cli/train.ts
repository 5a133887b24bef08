import type { CommandModule } from 'yargs';
import { AffectGptError } from '../errors.ts';
import { type ConfigArguments, withConfigOptions } from './config.ts';

interface TrainArguments extends ConfigArguments {
  resume: 'auto' | 'never';
}

/** `affectgpt train --config FILE [--set KEY=VALUE …] [--resume auto|never]` */
export const trainCommand: CommandModule<object, TrainArguments> = {
  command: 'train',
  describe: 'Train the model that a configuration describes',
  builder: (args) =>
    withConfigOptions(args).option('resume', {
      choices: ['auto', 'never'] as const,
      default: 'auto' as const,
      describe: 'Go on from the latest checkpoint of the run folder, or insist on a fresh one',
    }),
  async handler({ config: name, set, resume }) {
    const { loadConfig } = await import('../config/load.ts');
    const { config, sources } = loadConfig({ config: name, set });
    const { createEngine } = await import('../engine/engines.ts');
    const { trainConfigured } = await import('../../train/configured.ts');
    const { watchInterrupts } = await import('../../train/interrupts.ts');
    const engine = await createEngine(config.engine);
    const interrupt = watchInterrupts({ notify: (message) => void process.stderr.write(`${message}\n`) });
    try {
      const outcome = await trainConfigured({
        config,
        sources,
        engine,
        resume,
        stream: process.stderr,
        interrupt,
      });
      if (outcome.signal !== null) {
        const reached =
          outcome.checkpoint === null
            ? 'before the first step. The same command begins anew; features that were computed are kept.'
            : `after step ${outcome.step}, saved in ${outcome.checkpoint}. The same command goes on from there.`;
        throw new AffectGptError('STOPPED', `Stopped by ${outcome.signal} ${reached}`, outcome.exitCode);
      }
      process.stdout.write(`${outcome.checkpoint ?? config.output}\n`);
    } finally {
      interrupt.dispose();
    }
  },
};

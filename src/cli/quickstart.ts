import type { CommandModule } from 'yargs';

interface QuickstartArguments {
  output: string;
  seed: number;
  threads: number | undefined;
}

/** `affectgpt quickstart [--seed N] [--output DIR]` */
export const quickstartCommand: CommandModule<object, QuickstartArguments> = {
  command: 'quickstart',
  describe: 'Make synthetic clips, train a small AffectGPT on them, and show what it says of unseen ones',
  builder: (args) =>
    args
      .option('output', {
        type: 'string',
        requiresArg: true,
        default: 'runs/quickstart',
        describe: 'Folder for everything',
      })
      .option('seed', { type: 'number', default: 1, describe: 'Decides clips, initial weights and order' })
      .option('threads', { type: 'number', describe: 'Threads of the engine; all cores by default' }),
  async handler({ output, seed, threads }) {
    const { runQuickstart } = await import('../quickstart/run.ts');
    const { quickstartScale } = await import('../quickstart/stages.ts');
    await runQuickstart({
      folder: output,
      seed,
      scale: quickstartScale,
      stream: process.stdout,
      ...(threads === undefined ? {} : { threads }),
    });
  },
};

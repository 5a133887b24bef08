import type { CommandModule } from 'yargs';

interface QuickstartArguments {
  output: string;
  seed: number;
  threads: number | undefined;
  prepare: boolean;
}

/** `affectgpt quickstart [--seed N] [--output DIR] [--prepare]` */
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
      .option('threads', { type: 'number', describe: 'Threads of the engine; all cores by default' })
      .option('prepare', {
        type: 'boolean',
        default: false,
        describe: 'Make clips and small models only, for the sweeps quickstart-sweep-*.yaml',
      }),
  async handler({ output, seed, threads, prepare }) {
    const { prepareQuickstart, runQuickstart } = await import('../quickstart/run.ts');
    const { quickstartScale } = await import('../quickstart/stages.ts');
    await (prepare ? prepareQuickstart : runQuickstart)({
      folder: output,
      seed,
      scale: quickstartScale,
      stream: process.stdout,
      ...(threads === undefined ? {} : { threads }),
    });
  },
};

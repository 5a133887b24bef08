import type { CommandModule } from 'yargs';
import { notify } from './notify.ts';

interface ImportArguments {
  from: string;
  output: string;
  config: string | undefined;
  llm: string | undefined;
  set: string[];
}

/** `affectgpt import reference.pth|ADAPTER_FOLDER --output RUN [--config FILE] [--llm MODEL] [--set KEY=VALUE …]` */
export const importCommand: CommandModule<object, ImportArguments> = {
  command: 'import <from>',
  describe: 'Turn a checkpoint of the published code, or a PEFT adapter, into a run folder',
  builder: (args) =>
    args
      .positional('from', {
        type: 'string',
        demandOption: true,
        describe: 'Checkpoint file (.pth) of the published AffectGPT code, or a folder with a PEFT adapter',
      })
      .option('output', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'Run folder to be made; one that is there is never overwritten',
      })
      .option('config', {
        type: 'string',
        requiresArg: true,
        describe: 'Configuration it was trained with, where the file itself does not say',
      })
      .option('llm', {
        type: 'string',
        requiresArg: true,
        describe: 'Language model: Hugging Face id or folder (the same as --set model.llm=…)',
      })
      .option('set', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe: 'Set one key, as in --set model.audioEncoder.model=models/hubert; may be given many times',
      }),
  async handler({ from, output, config, llm, set }) {
    const { importRun } = await import('../import/import-run.ts');
    const run = await importRun({
      from,
      output,
      config,
      set: [...(llm === undefined ? [] : [`model.llm=${JSON.stringify(llm)}`]), ...set],
    });
    const epoch = run.epoch === undefined ? '' : ` (epoch ${run.epoch})`;
    notify(`${run.tensors} tensors, ${run.parameters} parameters, taken over as step ${run.step}${epoch}.`);
    for (const what of run.corrected) notify(`As in the checkpoint: ${what}.`);
    for (const what of run.leftOut) notify(`Left out: ${what}.`);
    process.stdout.write(`${run.checkpoint}\n`);
  },
};

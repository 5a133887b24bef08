import type { CommandModule } from 'yargs';
import {
  checkpointOption,
  newFolderOption,
  openGivenRun,
  type RunArguments,
  savedSetOption,
} from './run-options.ts';

interface HuggingFaceArguments extends RunArguments {
  output: string;
  dtype: 'float32' | 'bfloat16' | 'float16';
}

/** What is said of a decoder without an adapter. */
const withoutAdapter = {
  full: 'No adapter/: the decoder was trained as a whole.',
  frozen: 'No adapter/: the decoder was not trained; merged/ is the base model.',
} as const;

/** `affectgpt export hf --checkpoint RUN --output DIR` */
export const huggingFaceCommand: CommandModule<object, HuggingFaceArguments> = {
  command: 'hf',
  describe: 'Write a trained model in the layouts of transformers and peft',
  builder: (args) =>
    args
      .option('checkpoint', checkpointOption)
      .option('output', newFolderOption)
      .option('dtype', {
        choices: ['float32', 'bfloat16', 'float16'] as const,
        default: 'float32' as const,
        describe: 'Number format of the merged decoder',
      })
      .option('set', savedSetOption('model.llm=FOLDER')),
  async handler(args) {
    const { config, checkpoint } = await openGivenRun(args);
    const { openAffectGpt } = await import('../runtime/affectgpt.ts');
    const { exportHuggingFace } = await import('../export/huggingface/export-huggingface.ts');
    const { files, missing } = await exportHuggingFace(args.output, {
      config,
      checkpoint,
      model: await openAffectGpt(config),
      dtype: args.dtype,
    });
    const { decoder } = config.train.parts;
    const lines = [
      `${args.output}: ${files.length + 1} files; the decoder in ${args.dtype}, how to load it in README.md`,
      ...(decoder === 'lora' ? [] : [withoutAdapter[decoder]]),
      ...(missing.length > 0
        ? [`The base model has no ${missing.join(', no ')}: merged/ lacks it too.`]
        : []),
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  },
};

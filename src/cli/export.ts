import type { CommandModule } from 'yargs';
import { commandGroup } from './command-group.ts';
import { huggingFaceCommand } from './export-hf.ts';
import { notify } from './notify.ts';
import { checkWhole } from './option-values.ts';
import {
  checkpointOption,
  newFolderOption,
  openGivenRun,
  type RunArguments,
  savedSetOption,
} from './run-options.ts';

interface OnnxArguments extends RunArguments {
  output: string;
  precision: 'fp32' | 'fp16' | 'int8' | 'int4';
  'keep-adapter': boolean;
  'parity-samples': number;
  'parity-data': string | undefined;
}

/** `affectgpt export onnx --checkpoint RUN --output DIR` */
const onnxCommand: CommandModule<object, OnnxArguments> = {
  command: 'onnx',
  describe: 'Write a trained model as ONNX files that run without this program',
  builder: (args) =>
    args
      .option('checkpoint', checkpointOption)
      .option('output', newFolderOption)
      .option('precision', {
        choices: ['fp32', 'fp16', 'int8', 'int4'] as const,
        default: 'fp32' as const,
        describe: 'Number format of the stored weights',
      })
      .option('keep-adapter', {
        type: 'boolean',
        default: false,
        describe: 'Leave the adapter apart, so that it can be exchanged, instead of merging it',
      })
      .option('parity-samples', {
        type: 'number',
        default: 8,
        describe: 'Samples on which the graphs are compared with the trained model',
      })
      .option('parity-data', {
        type: 'string',
        requiresArg: true,
        describe: 'Manifest of samples to compare on; by default those that the run held out',
      })
      .option('set', savedSetOption('engine.threads=1'))
      .check(({ 'parity-samples': samples }) => {
        checkWhole('parity-samples', samples, 1);
        return true;
      }),
  async handler(args) {
    const { config, checkpoint } = await openGivenRun(args);
    const { checkExportable, exportOnnx } = await import('../export/export-onnx.ts');
    checkExportable(config, args['keep-adapter']);
    const { describeParity, parityRecords } = await import('../export/parity.ts');
    const records = await parityRecords(config, args['parity-data'], args['parity-samples']);
    const { openAffectGpt } = await import('../runtime/affectgpt.ts');
    const { createEngine } = await import('../engine/engines.ts');
    const { parity, files } = await exportOnnx(args.output, {
      config,
      checkpoint,
      model: await openAffectGpt(config),
      engine: await createEngine({ ...config.engine, devices: 1 }),
      precision: args.precision,
      keepAdapter: args['keep-adapter'],
      records,
      notify,
    });
    const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
    process.stdout.write(
      `${args.output}: ${Object.keys(files).length + 1} files, ${bytes} bytes, ${args.precision}\n` +
        `Compared with the trained model on ${parity.samples.length} samples: ${describeParity(parity)}.\n`,
    );
  },
};

/** `affectgpt export` */
export const exportCommand = commandGroup(
  'export',
  'Write a trained model in a form that other programs run',
  [onnxCommand, huggingFaceCommand],
  'Name a format: onnx or hf.',
);

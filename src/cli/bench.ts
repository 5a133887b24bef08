import os from 'node:os';
import type { Argv, CommandModule } from 'yargs';
import type { OpenCase } from '../bench/case.ts';
import { compileForMode } from './bench/compile-for.ts';
import type { BenchMode } from './bench/mode.ts';
import type { RunOptions } from './bench/run-case.ts';
import { usageError } from './errors.ts';

/** A benchmark that has a name on the command line. */
interface BenchCommand {
  readonly name: string;
  readonly describe: string;
  /** The option that says which: its name and values, the first being the default. */
  readonly choice: {
    readonly option: 'size' | 'encoder';
    readonly values: string[];
    readonly describe: string;
  };
  readonly defaultRuns: number;
  open(choice: string): Promise<OpenCase>;
}

/** Every case; a new one is one entry here. */
const CASES: readonly BenchCommand[] = [
  {
    name: 'train-step',
    describe: 'Forward, backward and AdamW of a LoRA step (r = 16 on seven projections, 3 x 128 tokens)',
    choice: {
      option: 'size',
      values: ['s', 'm', 'l'],
      describe: 's: 2 layers of 256; m: 4 layers of 896; l: Qwen2.5-0.5B; random weights in bf16 files',
    },
    defaultRuns: 15,
    async open(size) {
      const { openTrainStep } = await import('../bench/train-step.ts');
      return (engine) => openTrainStep(engine, size as 's');
    },
  },
  {
    name: 'encode',
    describe: 'One sample through an encoder of the published shape: 8 frames or 8 clips of 2 s',
    choice: {
      option: 'encoder',
      values: ['clip', 'hubert'],
      describe: 'clip: ViT-L/14; hubert: HuBERT-Large',
    },
    defaultRuns: 5,
    async open(encoder) {
      const { openEncode } = await import('../bench/encode.ts');
      return (engine) => openEncode(engine, encoder as 'clip');
    },
  },
  {
    name: 'generate',
    describe: 'Greedy answers with adapters: a prompt of 112 tokens, milliseconds a new token',
    choice: { option: 'size', values: ['l', 'm', 's'], describe: 'as for train-step; l: Qwen2.5-0.5B' },
    defaultRuns: 3,
    async open(size) {
      const { openGenerate } = await import('../bench/generate.ts');
      return (engine) => openGenerate(engine, size as 'l');
    },
  },
];

/** What `bench` does without a case, where one of these options is given; a new one is one entry here. */
const MODES: readonly BenchMode[] = [compileForMode];

const caseCommand = ({ name, describe, choice, defaultRuns, open }: BenchCommand): CommandModule => ({
  command: name,
  describe,
  async builder(args) {
    const { engineNames } = await import('../engine/engines.ts');
    return args
      .option(choice.option, {
        choices: choice.values,
        default: choice.values[0]!,
        describe: choice.describe,
      })
      .option('engine', { choices: engineNames, default: 'onnxruntime', describe: 'What runs it' })
      .option('precision', {
        choices: ['auto', 'fp32', 'bf16'],
        default: 'auto',
        describe: 'What it computes in; auto: what is faster in that engine',
      })
      .option('threads', {
        type: 'number',
        default: os.availableParallelism(),
        defaultDescription: 'all cores',
        describe: 'Threads of one operation',
      })
      .option('runs', { type: 'number', default: defaultRuns, describe: 'Runs measured after the first' })
      .option('profile', {
        type: 'boolean',
        default: false,
        describe: 'Also where the time goes, by operator',
      });
  },
  async handler(args) {
    const options = args as unknown as RunOptions;
    for (const count of ['runs', 'threads'] as const) {
      if (!Number.isInteger(options[count]) || options[count] < 1)
        throw usageError(`--${count} is a whole number of 1 or more.`);
    }
    const { runBench } = await import('./bench/run-case.ts');
    await runBench(await open(String(args[choice.option])), options);
  },
});

/** One command a case; each prints JSON where the option `json` of those around it says so. */
export const caseCommands: readonly CommandModule[] = CASES.map(caseCommand);

/** What runs where no case is named: the mode whose option is given. */
const modeCommand: CommandModule = {
  command: '$0',
  describe: false,
  builder: (args) => MODES.reduce((sofar: Argv, mode) => mode.builder(sofar), args),
  async handler(args) {
    const mode = MODES.find(({ option }) => args[option] !== undefined);
    if (mode === undefined) {
      const names = CASES.map(({ name }) => name).join(', ');
      const options = MODES.map(({ option }) => `, or give --${option}`).join('');
      throw usageError(`Say what to measure: ${names}${options}.`);
    }
    await mode.handler(args);
  },
};

/** `affectgpt bench` */
export const benchCommand: CommandModule = {
  command: 'bench',
  describe:
    'Measure training steps, encoders and answers on this machine; compile for a GPU that is not here',
  builder: (args) =>
    args
      .command([...caseCommands, modeCommand])
      .option('json', { type: 'boolean', default: false, describe: 'One JSON line a case' }),
  handler() {
    // Never reached: the command without a name is `modeCommand`.
  },
};

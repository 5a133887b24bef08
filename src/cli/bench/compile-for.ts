import type { GpuName } from '../../engine/xla/gpu-targets.ts';
import { CheckError } from '../../errors.ts';
import { usageError } from '../errors.ts';
import { notify } from '../notify.ts';
import type { BenchMode } from './mode.ts';

/** Of the sequences of the training set, answers are about so much. */
const supervisedShare = 5 / 16;

interface CompileForArguments {
  readonly 'compile-for': GpuName;
  readonly config?: string;
  readonly set?: string[];
  readonly batch?: number;
  readonly tokens?: number;
  readonly supervised?: number;
  readonly recompute?: 'both' | 'always' | 'never';
  readonly json: boolean;
}

/** `affectgpt bench --compile-for GPU --config FILE [--batch N] [--tokens N] [--supervised N] [--recompute both|always|never] [--json]` */
export const compileForMode: BenchMode = {
  option: 'compile-for',
  builder: (args) =>
    args
      .option('compile-for', {
        choices: ['h200', 'h100', 'a100'],
        describe:
          'Compile the training step of --config for a GPU that need not be here; forecast memory and time',
      })
      .option('config', {
        type: 'string',
        requiresArg: true,
        describe: 'With --compile-for: the configuration whose model is compiled, from shapes alone',
      })
      .option('set', {
        type: 'string',
        array: true,
        nargs: 1,
        describe: 'With --compile-for: set one key of the configuration',
      })
      .option('batch', {
        type: 'number',
        requiresArg: true,
        describe: 'With --compile-for: samples (default: 4)',
      })
      .option('tokens', {
        type: 'number',
        requiresArg: true,
        describe: 'With --compile-for: tokens a sample (default: 1024)',
      })
      .option('supervised', {
        type: 'number',
        requiresArg: true,
        describe: 'With --compile-for: tokens that are learnt, of all samples (default: 5 of 16)',
      })
      .option('recompute', {
        choices: ['both', 'always', 'never'],
        describe:
          'With --compile-for: with layers computed again for the backward pass, without, or one after the other',
      }),
  async handler(args) {
    const given = args as unknown as CompileForArguments;
    const { config: name, set = [], batch = 4, tokens = 1024, recompute = 'both', json } = given;
    if (name === undefined) throw usageError('--compile-for needs --config, which names the model.');
    const supervised = given.supervised ?? Math.ceil(batch * tokens * supervisedShare);
    for (const [option, count] of Object.entries({ batch, tokens, supervised })) {
      if (!Number.isInteger(count) || count < 1)
        throw usageError(`--${option} is a whole number of 1 or more.`);
    }
    const { loadConfig } = await import('../../config/load.ts');
    const { gpuTargets } = await import('../../engine/xla/gpu-targets.ts');
    const { compileFor } = await import('../../bench/compile-for.ts');
    const { formatCompileFor } = await import('../../bench/compile-for-format.ts');
    const gpu = gpuTargets[given['compile-for']];
    const report = await compileFor({
      config: loadConfig({ config: name, set }).config,
      ...{ gpu, sizes: { batch, tokens, supervised } },
      recompute: { both: [false, true], always: [true], never: [false] }[recompute],
      notify,
    });
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : formatCompileFor(report, gpu));
    if (report.missed.length > 0) {
      throw new CheckError(
        'COMPILE_TARGETS',
        `The compiled step misses targets: ${report.missed.join('; ')}.`,
      );
    }
  },
};

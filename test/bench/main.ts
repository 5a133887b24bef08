import { execFileSync } from 'node:child_process';
import os from 'node:os';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { engineNames } from '../../src/engine/engines.ts';
import { benchTrainStep, trainStepSizes } from './train-step.ts';

/** `npm run bench -- train-step --size s`: one JSON line a case. */
function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

await yargs(hideBin(process.argv))
  .scriptName('npm run bench --')
  .command(
    'train-step',
    'forward, backward and AdamW of a LoRA step (r = 16 on seven projections, 3 x 128 tokens, 40 supervised each)',
    (command) =>
      command
        .option('size', {
          choices: trainStepSizes,
          default: 's' as const,
          describe: 's: 2 layers of 256; m: 4 layers of 896',
        })
        .option('engine', { choices: engineNames, default: 'onnxruntime' as const })
        .option('threads', { type: 'number', default: os.availableParallelism() })
        .option('runs', { type: 'number', default: 15, describe: 'steps measured after the first' }),
    async (options) => {
      const result = await benchTrainStep(options);
      console.log(JSON.stringify({ ...result, commit: commit() }));
    },
  )
  .demandCommand(1, 'Name a benchmark.')
  .strict()
  .parseAsync();

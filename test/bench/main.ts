import { execFileSync } from 'node:child_process';
import os from 'node:os';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { engineNames } from '../../src/engine/engines.ts';
import { benchEncode } from './encode.ts';
import { benchExportAccuracy, exportAccuracyTable } from './export-accuracy.ts';
import { measureRules } from './extraction-rules.ts';
import { benchGenerate } from './generate.ts';
import { machine } from './machine.ts';
import { benchScoring } from './mer-unibench-scoring.ts';
import { type PublishedEncoder, publishedEncoders } from './random-model.ts';
import { benchTrainStep, trainStepSizes } from './train-step.ts';

/** `npm run bench -- train-step --size s`: one JSON line a case. */
function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

const print = (result: object): void => console.log(JSON.stringify({ ...result, commit: commit() }));

await yargs(hideBin(process.argv))
  .scriptName('npm run bench --')
  .option('engine', { choices: engineNames, default: 'onnxruntime' as const })
  .option('threads', { type: 'number', default: os.availableParallelism() })
  .command(
    'train-step',
    'forward, backward and AdamW of a LoRA step (r = 16 on seven projections, 3 x 128 tokens, 40 supervised each)',
    (command) =>
      command
        .option('size', {
          choices: trainStepSizes,
          default: 's' as const,
          describe: 's: 2 layers of 256; m: 4 layers of 896; l: Qwen2.5-0.5B, read from bf16 files',
        })
        .option('runs', { type: 'number', default: 15, describe: 'steps measured after the first' }),
    async (options) => print(await benchTrainStep(options)),
  )
  .command(
    'encode',
    'one sample through an encoder of the published shape: 8 frames or 8 clips of 2 s',
    (command) =>
      command
        .option('encoder', {
          choices: Object.keys(publishedEncoders) as PublishedEncoder[],
          default: 'clip' as const,
          describe: 'clip: ViT-L/14; hubert: HuBERT-Large',
        })
        .option('runs', { type: 'number', default: 5, describe: 'samples measured after the first' }),
    async (options) => print(await benchEncode(options)),
  )
  .command(
    'generate',
    'greedy answers of Qwen2.5-0.5B with adapters: a prompt of 112 tokens, milliseconds a new token',
    (command) =>
      command.option('runs', { type: 'number', default: 3, describe: 'answers measured after the first' }),
    async (options) => print(await benchGenerate(options)),
  )
  .command(
    'mer-unibench-scoring',
    'scoring 20,000 answers with open vocabularies on five emotion wheels; one core',
    (command) => command.option('runs', { type: 'number', default: 5, describe: 'times measured' }),
    (options) => {
      for (const result of benchScoring(options)) print(result);
    },
  )
  .command(
    'extraction-rules',
    'how well rules find the words that the published extractor found, on published answers',
    (command) =>
      command.option('data', {
        type: 'string',
        demandOption: true,
        describe: 'folder with predictions/mer2023, predictions/cmumosi and labels',
      }),
    async ({ data }) => {
      for (const result of await measureRules(data)) print(result);
    },
  )
  .command(
    'export-accuracy',
    'what exporting a quickstart in each precision changes: logits, answers, accuracy on held-out clips; exit code 1 where a bound does not hold',
    (command) =>
      command
        .option('run', {
          type: 'string',
          default: 'runs/quickstart',
          describe: 'folder of a quickstart, or a run in it',
        })
        .option('samples', { type: 'number', default: 50, describe: 'held-out clips to compare logits on' })
        .option('json', { type: 'boolean', default: false, describe: 'one JSON line a precision' }),
    async ({ run, samples, threads, json }) => {
      const notify = (message: string): void => console.error(message);
      const results = [];
      for await (const result of benchExportAccuracy({ run, samples, threads, notify })) {
        results.push(result);
        if (json) print({ bench: 'export-accuracy', ...result, threads, machine });
      }
      if (!json) console.log(exportAccuracyTable(results));
      if (results.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
    },
  )
  .demandCommand(1, 'Name a benchmark.')
  .strict()
  .parseAsync();

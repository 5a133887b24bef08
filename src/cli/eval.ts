import { basename, dirname, join, resolve } from 'node:path';
import type { CommandModule } from 'yargs';
import { commandGroup } from './command-group.ts';
import { compareCommand } from './eval-compare.ts';
import { merUnibenchCommand } from './eval-mer-unibench.ts';
import { mmlaCommand } from './eval-mmla.ts';
import { notify } from './notify.ts';
import { checkpointOption, openGivenRun, type RunArguments, savedSetOption } from './run-options.ts';

interface ChoicesArguments extends RunArguments {
  split: string | undefined;
  limit: number | undefined;
  choices: string | undefined;
  output: string | undefined;
  json: boolean;
}

/** `affectgpt eval choices --checkpoint RUN` */
const choices: CommandModule<object, ChoicesArguments> = {
  command: 'choices',
  describe: 'Classify the samples of a split by the likelihood of each label',
  builder: (args) =>
    args
      .option('checkpoint', checkpointOption)
      .option('split', { type: 'string', requiresArg: true, describe: 'Samples to score; "test" by default' })
      .option('limit', { type: 'number', requiresArg: true, describe: 'Only the first so many of them' })
      .option('choices', {
        type: 'string',
        requiresArg: true,
        describe: 'Labels, separated by commas; by default those that were trained on',
      })
      .option('output', {
        type: 'string',
        requiresArg: true,
        describe:
          'Where to write figures and scores (.json and .jsonl are added); in the run folder by default',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print the figures as JSON' })
      .option('set', savedSetOption('data.root=DIR')),
  async handler(args) {
    const { config: saved, checkpoint } = await openGivenRun(args);
    const { parseConfig } = await import('../config/load.ts');
    const words = args.choices?.split(',').map((word) => word.trim());
    const settings = { split: args.split, limit: args.limit, choices: words };
    const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
    // Checked by the same schema as the file.
    const config = parseConfig(
      { ...saved, evaluation: { ...saved.evaluation, ...given } },
      'given on the command line',
    );
    const { planChoices } = await import('../eval/choice-plan.ts');
    const { evaluateChoices } = await import('../eval/choices.ts');
    const { evaluationJson, formatEvaluation, writeEvaluation } = await import('../eval/report.ts');
    const { createEngine } = await import('../engine/engines.ts');
    const plan = await planChoices(config, config.evaluation!);
    const evaluation = await evaluateChoices({
      ...{ config, plan, checkpoint },
      engine: await createEngine({ ...config.engine, devices: 1 }, notify),
      notify,
    });
    const run = dirname(dirname(resolve(checkpoint)));
    const base = args.output ?? join(run, `evaluation-${basename(checkpoint)}-${config.evaluation!.split}`);
    // Nothing asked it to stop.
    await writeEvaluation(base, evaluation!);
    process.stdout.write(
      args.json
        ? `${JSON.stringify(evaluationJson(evaluation!))}\n`
        : `${formatEvaluation(evaluation!)}${base}.json\n`,
    );
  },
};

/** `affectgpt eval choices` */
export const evalCommand = commandGroup(
  'eval',
  'Score models and their answers',
  [choices, merUnibenchCommand, mmlaCommand, compareCommand],
  'Say what to score by: choices, mer-unibench, mmla; or compare.',
);

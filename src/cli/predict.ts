import { statSync } from 'node:fs';
import path from 'node:path';
import type { CommandModule } from 'yargs';
import type { SampleRecord } from '../data/records.ts';
import { InputError } from '../errors.ts';
import { usageError } from './errors.ts';
import { notify } from './notify.ts';
import {
  answerKeys,
  checkpointOption,
  checkSettingsRead,
  openGivenRun,
  type RunArguments,
  savedSetOption,
} from './run-options.ts';

interface PredictArguments extends RunArguments {
  clip: string | undefined;
  subtitle: string | undefined;
  question: string | undefined;
  data: string | undefined;
  split: string | undefined;
  output: string | undefined;
  json: boolean;
  'max-new-tokens': number | undefined;
  temperature: number | undefined;
  'top-p': number | undefined;
  'top-k': number | undefined;
  seed: number | undefined;
}

/** The one clip of the command line as a record. */
function clipRecord(clip: string, subtitle: string | undefined): SampleRecord {
  if (!statSync(clip, { throwIfNoEntry: false })?.isFile()) {
    throw new InputError(
      'CLIP_NOT_FOUND',
      `There is no file ${clip}. Give the path of a video, such as clip.mp4.`,
    );
  }
  return {
    name: path.parse(clip).name,
    video: path.resolve(clip),
    ...(subtitle === undefined ? {} : { subtitle }),
    origin: clip,
  };
}

/** `affectgpt predict --checkpoint RUN clip.mp4` and `--data manifest.jsonl --output predictions.jsonl` */
export const predictCommand: CommandModule<object, PredictArguments> = {
  command: 'predict [clip]',
  describe: 'Ask a trained model about a clip, or about all clips of a manifest',
  builder: (args) =>
    args
      .positional('clip', { type: 'string', describe: 'A video file' })
      .option('checkpoint', checkpointOption)
      .option('subtitle', { type: 'string', describe: 'What is said in the clip' })
      .option('question', { type: 'string', describe: 'What to ask; by default for all emotional states' })
      .option('data', {
        type: 'string',
        requiresArg: true,
        describe: 'Manifest (.jsonl or .csv) of clips to ask about',
      })
      .option('split', {
        type: 'string',
        requiresArg: true,
        describe: 'With --data: only samples of this split',
      })
      .option('output', {
        type: 'string',
        requiresArg: true,
        describe: 'With --data: predictions.jsonl to write',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'Print the answer about the clip as JSON',
      })
      .option('set', savedSetOption('engine.threads=1', ' that answers depend on'))
      .option('max-new-tokens', { type: 'number', describe: 'Longest answer in tokens' })
      .option('temperature', { type: 'number', describe: '0 is greedy; above 0 tokens are drawn' })
      .option('top-p', {
        type: 'number',
        describe: 'Draw from the most likely tokens that reach this probability',
      })
      .option('top-k', { type: 'number', describe: 'Draw from this many of the most likely tokens' })
      .option('seed', { type: 'number', describe: 'Decides the draws' })
      .check(({ clip, data, output, subtitle, split, json }) => {
        if ((clip === undefined) === (data === undefined)) {
          throw usageError('Give either a clip or --data with a manifest.');
        }
        if (data !== undefined && output === undefined) throw usageError('--data needs --output.');
        const unused =
          data === undefined
            ? { '--output': output !== undefined, '--split': split !== undefined }
            : { '--subtitle': subtitle !== undefined, '--json': json };
        for (const [option, given] of Object.entries(unused)) {
          if (!given) continue;
          throw usageError(
            data === undefined
              ? `${option} is of --data; about one clip it says nothing. Leave it out.`
              : `${option} is of a single clip; with --data it says nothing. Leave it out.`,
          );
        }
        return true;
      }),
  async handler(args) {
    const { config: saved, checkpoint } = await openGivenRun(args);
    await checkSettingsRead(args.set, answerKeys, 'prediction');
    const { parseConfig } = await import('../config/load.ts');
    const settings = {
      maxNewTokens: args['max-new-tokens'],
      temperature: args.temperature,
      topP: args['top-p'],
      topK: args['top-k'],
      seed: args.seed,
    };
    const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
    // Checked by the same schema as the file.
    const config = parseConfig(
      { ...saved, generation: { ...saved.generation, ...given } },
      'given on the command line',
    );
    const { answerClips } = await import('../predict/answer-clips.ts');
    const { asksQuestion, questionAbout } = await import('../predict/question.ts');
    if (args.question !== undefined && !asksQuestion(config)) {
      throw usageError(
        'The prompt of this run (data.template) has no {question}, so --question says nothing.',
      );
    }
    if (args.clip !== undefined) {
      const records = [clipRecord(args.clip, args.subtitle)];
      const question = args.question ?? questionAbout(config, records);
      for await (const prediction of answerClips({ config, checkpoint, records, question, notify })) {
        const { seed } = config.generation;
        process.stdout.write(
          args.json ? `${JSON.stringify({ ...prediction, checkpoint, seed })}\n` : `${prediction.text}\n`,
        );
      }
      return;
    }
    const { readManifest } = await import('../data/manifest.ts');
    const { writePredictions } = await import('../predict/answer-clips.ts');
    const all = await readManifest(args.data!);
    const records = args.split === undefined ? all : all.filter((record) => record.split === args.split);
    if (records.length === 0) {
      throw new InputError('SAMPLES_NONE', `${args.data} has no sample of the split "${args.split}".`);
    }
    const output = args.output!;
    const question = args.question ?? questionAbout(config, records);
    const written = await writePredictions(output, { config, checkpoint, records, question, notify });
    process.stdout.write(`${written} predictions in ${output}\n`);
  },
};

import type { Options } from 'yargs';
import { inputMode } from '../../model/modes.ts';
import type { MmlaPromptPreset } from '../data/mmla/prompts.ts';
import { mmlaPromptPresets } from '../data/mmla/prompts.ts';
import { type MmlaSplit, type MmlaTaskKey, mmlaTask, mmlaTasks } from '../data/mmla/tasks.ts';
import type { AnswerDecoding, MmlaAnswerer } from '../eval/mmla/answer/answerer.ts';
import type { MmlaModelFacts } from '../eval/mmla/report/schema.ts';
import type { OpenedRun } from '../predict/open-run.ts';
import { usageError } from './errors.ts';
import { llmOptions } from './extractor-options.ts';
import { openAskedRun, tasksOf } from './mmla-asked-run.ts';
import { checkNamedOnce, checkTemperature, checkWhole } from './option-values.ts';

/** What the command line says of a model that is to answer, and of what it is asked. */
export interface MmlaModelArguments {
  task: string[] | undefined;
  gold: string | undefined;
  output: string | undefined;
  'model-name': string | undefined;
  predictions: string[] | undefined;
  seed: number;
  checkpoint: string | undefined;
  model: string | undefined;
  'llm-url': string | undefined;
  'llm-model': string | undefined;
  'llm-key-variable': string | undefined;
  'llm-concurrency': number | undefined;
  'llm-cache': string | undefined;
  'data-root': string | undefined;
  'media-root': string | undefined;
  split: MmlaSplit;
  prompt: MmlaPromptPreset | undefined;
  system: string | undefined;
  frames: number | undefined;
  constrained: boolean;
  'max-new-tokens': number | undefined;
  temperature: number | undefined;
  set: string[] | undefined;
}

/** In the form of `yargs.options`. */
export const mmlaModelOptions = {
  checkpoint: {
    type: 'string',
    requiresArg: true,
    describe: 'Let a run answer first: its folder (its latest checkpoint), or one of its checkpoint folders',
  },
  model: {
    type: 'string',
    requiresArg: true,
    describe:
      'Let a language model answer first, on text: its folder or id of the hub, such as Qwen/Qwen2.5-0.5B-Instruct',
  },
  'llm-url': {
    ...llmOptions['llm-url'],
    describe: 'Let a model of an OpenAI-compatible endpoint answer first, as in http://localhost:8000/v1',
  },
  'llm-model': { ...llmOptions['llm-model'], describe: 'With --llm-url: its model' },
  'llm-key-variable': llmOptions['llm-key-variable'],
  'llm-concurrency': llmOptions['llm-concurrency'],
  'llm-cache': llmOptions['llm-cache'],
  'data-root': {
    type: 'string',
    requiresArg: true,
    describe: 'Instead of --gold: folder in which the tasks lie, in any of the released layouts',
  },
  'media-root': {
    type: 'string',
    requiresArg: true,
    describe:
      'Where the videos lie, in the folders of the released set; by default where they lay in the training of a run',
  },
  prompt: {
    choices: mmlaPromptPresets,
    describe:
      'How questions are worded; as in the training of a run that was trained on MMLA, else "fixed" by default',
  },
  system: {
    type: 'string',
    requiresArg: true,
    describe: 'With --model or --llm-url: what stands before each question',
  },
  frames: {
    type: 'number',
    requiresArg: true,
    describe: 'With --llm-url: frames of each video that are sent as JPEG; 0 by default',
  },
  constrained: {
    type: 'boolean',
    default: false,
    describe: 'With --checkpoint or --model: take the label whose gold answer is the likeliest',
  },
  'max-new-tokens': {
    type: 'number',
    requiresArg: true,
    describe: 'Longest answer in tokens; 128 by default',
  },
  temperature: {
    type: 'number',
    requiresArg: true,
    describe: '0 (default) takes the most likely tokens; above 0 they are drawn, by --seed',
  },
  set: {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'With --checkpoint: override a key of the saved configuration, such as --set engine.threads=1',
  },
} as const satisfies Record<string, Options>;

/** Options that say who answers. */
const kinds = ['checkpoint', 'model', 'llm-url'] as const;
type Kind = (typeof kinds)[number];

/** Which models an option is of; all others are of every model. */
const optionsOf = {
  'llm-model': ['llm-url'],
  'llm-key-variable': ['llm-url'],
  'llm-concurrency': ['llm-url'],
  'llm-cache': ['llm-url'],
  'media-root': ['checkpoint', 'llm-url'],
  system: ['model', 'llm-url'],
  frames: ['llm-url'],
  constrained: ['checkpoint', 'model'],
  set: ['checkpoint'],
} as const satisfies Partial<Record<keyof MmlaModelArguments, readonly Kind[]>>;

const ofAllModels = ['data-root', 'prompt', 'max-new-tokens', 'temperature'] as const;

const isGiven = (args: MmlaModelArguments, option: keyof MmlaModelArguments): boolean =>
  args[option] !== undefined && args[option] !== false;

/** Who is to answer; undefined where answers are there. */
export function mmlaModelKind(args: MmlaModelArguments): Kind | undefined {
  const [kind, other] = kinds.filter((one) => isGiven(args, one));
  if (other === undefined) return kind;
  throw usageError(`--${kind} and --${other} are two models; examine them one after the other.`);
}

/** Options that would change nothing are refused, and what a model needs is asked for before anything is read. */
export function checkMmlaModelOptions(args: MmlaModelArguments): void {
  const kind = mmlaModelKind(args);
  const named = (of: readonly Kind[]) => of.map((one) => `--${one}`).join(' or ');
  for (const [option, of] of Object.entries(optionsOf) as [keyof typeof optionsOf, readonly Kind[]][]) {
    if (!isGiven(args, option) || (kind !== undefined && of.includes(kind))) continue;
    throw usageError(`--${option} is of ${named(of)}; give that, or leave it out.`);
  }
  if (kind === undefined) {
    const unused = ofAllModels.find((option) => isGiven(args, option));
    if (unused === undefined) return;
    throw usageError(
      `--${unused} says how a model is asked; give --checkpoint, --model or --llm-url, or leave it out.`,
    );
  }
  if (args.predictions !== undefined) {
    throw usageError(`--predictions are answers that are there; leave them out, or leave out --${kind}.`);
  }
  if (kind === 'llm-url' && args['llm-model'] === undefined) throw usageError('--llm-url needs --llm-model.');
  if (args.output === undefined) throw usageError('Answers are kept; say where with --output DIR.');
  if ((args.gold === undefined) === (args['data-root'] === undefined)) {
    throw usageError('A model needs samples to be asked about: give --gold with a file, or --data-root.');
  }
  checkNamedOnce('task', args.task);
  checkNumbers(args);
}

function checkNumbers(args: MmlaModelArguments): void {
  checkWhole('frames', args.frames, 1);
  checkWhole('max-new-tokens', args['max-new-tokens'], 1);
  checkTemperature('temperature', args.temperature);
  if (!args.constrained) return;
  for (const option of ['max-new-tokens', 'temperature'] as const) {
    if (args[option] === undefined) continue;
    throw usageError(`--constrained generates nothing, so --${option} says nothing. Leave one of them out.`);
  }
}

/** Files with a model's answers, and what reports say of it. */
export interface MmlaAnswers {
  readonly files: ReadonlyMap<MmlaTaskKey, readonly string[]>;
  readonly model: MmlaModelFacts & { readonly name: string; readonly provenance: string };
}

/** Where the samples are. */
export const goldOf = (args: Pick<MmlaModelArguments, 'gold' | 'data-root'>): string | undefined =>
  args.gold ?? args['data-root'];

type Notify = (message: string) => void;

/**
 * Lets the model that was named answer about the tasks that were named, by default those of a run's training, else all
 * twelve.
 * @param args checked by `checkMmlaModelOptions`
 */
export async function answerByModel(args: MmlaModelArguments, notify: Notify): Promise<MmlaAnswers> {
  const { readAskedSamples } = await import('../eval/mmla/answer/asked-samples.ts');
  const { withVideos } = await import('../eval/mmla/answer/videos.ts');
  const { answerMmlaTasks } = await import('../eval/mmla/answer/answer-tasks.ts');
  const { describeAnswers } = await import('../eval/mmla/answer/describe.ts');
  const { methodOfRun } = await import('../eval/mmla/answer/model-facts.ts');
  const run =
    args.checkpoint === undefined ? undefined : await openAskedRun(args.checkpoint, args.set ?? [], notify);
  const wanted = (args.task ?? (await tasksOf(run, notify))).map(mmlaTask);
  // As reports have them: in the order of the paper.
  const tasks = mmlaTasks.filter((task) => wanted.includes(task));
  const read = await readAskedSamples(tasks, goldOf(args)!, args.split);
  const { answerer, needsMedia } = await openMmlaAnswerer(args, run, notify);
  const preset = args.prompt ?? run?.config.data.mmla?.prompt ?? 'fixed';
  const keys = tasks.map(({ key }) => key);
  const method = run && methodOfRun(run.config, keys);
  try {
    if (!needsMedia && args['media-root'] !== undefined) {
      throw usageError('--media-root says where videos lie, and this model is shown none. Leave it out.');
    }
    const mediaRoot = args['media-root'] ?? run?.config.data.mmla?.mediaRoot ?? undefined;
    const samples = needsMedia ? await withVideos(read, mediaRoot) : read;
    const answered = await answerMmlaTasks({
      ...{ tasks: samples, preset, answerer, notify },
      output: args.output!,
    });
    const provenance = describeAnswers(answerer, preset);
    return {
      files: new Map(answered.map(({ task, file }) => [task.key, [file]])),
      model: {
        ...{ name: args['model-name'] ?? answerer.title, provenance, ...answerer.facts },
        ...(method !== undefined && { method }),
      },
    };
  } finally {
    await answerer.dispose();
  }
}

interface OpenedAnswerer {
  readonly answerer: MmlaAnswerer;
  /** Whether it is shown or played the videos. */
  readonly needsMedia: boolean;
}

async function openMmlaAnswerer(
  args: MmlaModelArguments,
  run: OpenedRun | undefined,
  notify: Notify,
): Promise<OpenedAnswerer> {
  const { defaultDecoding } = await import('../eval/mmla/answer/answerer.ts');
  const { constrained, seed, system, frames = 0 } = args;
  const decoding: AnswerDecoding = {
    maxNewTokens: args['max-new-tokens'] ?? defaultDecoding.maxNewTokens,
    temperature: args.temperature ?? defaultDecoding.temperature,
    seed,
  };
  if (run !== undefined) {
    const { openRunAnswerer } = await import('../eval/mmla/answer/run-answerer.ts');
    const answerer = await openRunAnswerer({ ...run, decoding, constrained, notify });
    return { answerer, needsMedia: inputMode(run.config.model.inputs).needs.length > 0 };
  }
  if (args.model !== undefined) {
    const { openInstructAnswerer } = await import('../eval/mmla/answer/instruct-answerer.ts');
    const { createEngine } = await import('../engine/engines.ts');
    const answerer = await openInstructAnswerer({
      ...{ model: args.model, option: '--model', decoding, constrained },
      ...(system !== undefined && { system }),
      engine: await createEngine({ type: 'auto', devices: 1 }, notify),
    });
    return { answerer, needsMedia: false };
  }
  const { endpointAnswerer, endpointSampling } = await import('../eval/mmla/answer/endpoint-answerer.ts');
  const { createChatClient } = await import('../llm/client.ts');
  const { llmCacheFolder } = await import('../eval/mer-unibench/open-llm-extractor.ts');
  const { 'llm-concurrency': concurrency = 8 } = args;
  const client = createChatClient({
    ...{ baseUrl: args['llm-url']!, model: args['llm-model']!, concurrency, notify },
    sampling: endpointSampling(decoding),
    cacheFolder: args['llm-cache'] ?? llmCacheFolder(),
    ...(args['llm-key-variable'] !== undefined && { apiKeyVariable: args['llm-key-variable'] }),
  });
  const answerer = endpointAnswerer({
    ...{ client, concurrency, decoding, frames, notify },
    ...(system !== undefined && { system }),
  });
  return { answerer, needsMedia: frames > 0 };
}

import { basename, dirname, resolve } from 'node:path';
import type { Config } from '../../../config/schema.ts';
import { mmlaSample } from '../../../data/mmla/dataset.ts';
import type { SampleRecord } from '../../../data/records.ts';
import { InputError } from '../../../errors.ts';
import type { JsonValue } from '../../../io/json.ts';
import { ClipAnswerer } from '../../../predict/answer-clips.ts';
import { checkpointIdentity } from '../../../predict/checkpoint-identity.ts';
import { asksQuestion } from '../../../predict/question.ts';
import { decoderParameters } from '../../../runtime/model-shapes.ts';
import {
  type AnswerDecoding,
  type AskedTask,
  decodingSettings,
  type MmlaAnswer,
  type MmlaAnswerer,
} from './answerer.ts';
import { chosenAnswer, goldAnswers } from './choose.ts';
import { modalityOfInputs } from './model-facts.ts';

export interface RunAnswererOptions {
  /** Of the run. */
  readonly config: Config;
  /** Checkpoint folder. */
  readonly checkpoint: string;
  readonly decoding: AnswerDecoding;
  /** Takes the label whose gold answer is the likeliest, instead of generating. */
  readonly constrained: boolean;
  readonly notify: (message: string) => void;
}

/**
 * A trained run of this program, asked with the media that its inputs need. The prompt format of the run frames each
 * question as in its training.
 *
 * @throws InputError `MMLA_RUN_WITHOUT_QUESTION`, those of reading the checkpoint
 */
export async function openRunAnswerer(options: RunAnswererOptions): Promise<MmlaAnswerer> {
  const { checkpoint, decoding, constrained, notify } = options;
  const config = withDecoding(options.config, decoding);
  if (!asksQuestion(config)) {
    throw new InputError(
      'MMLA_RUN_WITHOUT_QUESTION',
      'The prompt of this run (data.template) has no {question}, so it cannot be asked the questions of MMLA. Train one whose prompt has, or set another template (--set data.template.prompt=…).',
    );
  }
  const { model, compat, data } = config;
  const weights = await checkpointIdentity(checkpoint);
  const settings = {
    kind: 'run',
    checkpoint: weights,
    ...{ model, compat, template: data.template, faces: data.faces },
    decoding: decodingSettings(decoding, constrained),
  };
  const parameters = await decoderParameters(model.llm);
  let answerer: Promise<ClipAnswerer> | undefined;

  async function* generated(opened: ClipAnswerer, asked: AskedTask): AsyncGenerator<MmlaAnswer> {
    const answers = opened.answer(checkpoint, samplesOf(asked), questionsByName(asked));
    for await (const { name, text, finish } of answers) yield { name, text, finish };
  }

  async function* chosen(opened: ClipAnswerer, asked: AskedTask): AsyncGenerator<MmlaAnswer> {
    const { task, preset } = asked;
    const golds = goldAnswers(task, preset);
    const scored = opened.score(checkpoint, samplesOf(asked), questionsByName(asked), golds);
    for await (const { name, scores } of scored) yield chosenAnswer(task, preset, name, scores);
  }

  return {
    title: `${basename(dirname(dirname(resolve(checkpoint))))}/${weights.name}`,
    settings: JSON.parse(JSON.stringify(settings)) as Record<string, JsonValue>,
    facts: {
      modality: modalityOfInputs(model.inputs),
      ...(parameters !== undefined && { parameters: parameters / 1e9 }),
    },
    async *answer(asked) {
      answerer ??= ClipAnswerer.open(config, notify);
      const opened = await answerer;
      yield* constrained ? chosen(opened, asked) : generated(opened, asked);
    },
    dispose: async () => (await answerer)?.dispose(),
  };
}

/** Every sample counts, so none is left out; draws are from all tokens. */
const withDecoding = (config: Config, { maxNewTokens, temperature, seed }: AnswerDecoding): Config => ({
  ...config,
  data: { ...config.data, onBadSample: 'fail' },
  generation: { maxNewTokens, temperature, seed, topP: 1, topK: null },
});

/** As samples that are trained on, under the names of the gold file. */
const samplesOf = ({ questions, preset }: AskedTask): SampleRecord[] =>
  questions.map(({ name, record }) => ({ ...mmlaSample(record, preset), name }));

function questionsByName({ questions }: AskedTask): (name: string) => string {
  const byName = new Map(questions.map(({ name, prompt }) => [name, prompt]));
  return (name) => byName.get(name)!;
}

import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Engine } from '../../../engine/types.ts';
import { InputError } from '../../../errors.ts';
import { InstructModel } from '../../../runtime/instruct-model.ts';
import {
  type AnswerDecoding,
  type AskedTask,
  decodingSettings,
  type MmlaAnswer,
  type MmlaAnswerer,
  type MmlaQuestion,
} from './answerer.ts';
import { chosenAnswer, goldAnswers } from './choose.ts';

/** Questions that are answered together. */
const answerBatch = 8;

export interface InstructAnswererOptions {
  /** Folder of a language model such as Qwen2.5-0.5B-Instruct, or its id of the Hugging Face hub. */
  readonly model: string;
  /** What named it, for errors. */
  readonly option: string;
  /** Stands before each question; otherwise what the model's chat template says where it is told nothing. */
  readonly system?: string;
  readonly decoding: AnswerDecoding;
  /** Takes the label whose gold answer is the likeliest, instead of generating. */
  readonly constrained: boolean;
  readonly engine: Engine;
}

/**
 * A language model as it was published, asked on text through its chat template.
 * @throws InputError those of `InstructModel.open`
 */
export async function openInstructAnswerer(options: InstructAnswererOptions): Promise<MmlaAnswerer> {
  const { system, decoding, constrained, engine } = options;
  const model = await InstructModel.open(options.model, options.option, engine);

  function encode({ name, record, prompt }: MmlaQuestion, more: number): number[] {
    const told = system === undefined ? [] : [{ role: 'system' as const, content: system }];
    try {
      return model.encode([...told, { role: 'user', content: prompt }], more);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw new InputError(error.code, `${record.origin}: the question about "${name}": ${error.message}`);
    }
  }

  async function answerBatchOf(
    { task, preset }: AskedTask,
    batch: readonly MmlaQuestion[],
    answers: readonly (readonly number[])[],
  ): Promise<MmlaAnswer[]> {
    const longest = Math.max(0, ...answers.map((tokens) => tokens.length));
    const prompts = batch.map((question) => encode(question, longest));
    if (constrained) {
      const scores = await model.logLikelihoods(prompts, answers);
      return batch.map(({ name }, i) => chosenAnswer(task, preset, name, scores[i]!));
    }
    const { maxNewTokens: maxTokens, temperature, seed } = decoding;
    const settings = { maxTokens, temperature, seed, topP: 1, repetitionPenalty: 1 };
    const said = await model.answer(prompts, settings);
    return batch.map(({ name }, i) => ({ name, ...said[i]! }));
  }

  return {
    title: existsSync(options.model) ? basename(resolve(options.model)) : options.model,
    settings: {
      kind: 'decoder',
      weights: model.identity,
      system: system ?? null,
      decoding: decodingSettings(decoding, constrained),
    },
    facts: { modality: 'text', parameters: model.parameterCount / 1e9 },
    async *answer(asked) {
      const { task, preset, questions } = asked;
      const golds = constrained ? goldAnswers(task, preset) : [];
      const answers = golds.map((text) => model.encodeAnswer(text));
      for (let from = 0; from < questions.length; from += answerBatch) {
        yield* await answerBatchOf(asked, questions.slice(from, from + answerBatch), answers);
      }
    },
    dispose: () => model.dispose(),
  };
}

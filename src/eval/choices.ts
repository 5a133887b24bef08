import { loadWeights } from '../../train/checkpoint.ts';
import type { Config } from '../config/schema.ts';
import type { AnswerType } from '../data/prompts.ts';
import type { SampleSource } from '../data/source.ts';
import type { Engine, State } from '../engine/types.ts';
import { initialParameters, openAffectGpt } from '../runtime/affectgpt.ts';
import { Generator } from '../runtime/generator.ts';
import { checkPromptLengths } from '../runtime/prompt-length.ts';
import { openSamples } from '../runtime/samples.ts';
import type { ChoicePlan } from './choice-plan.ts';
import { type ClassificationReport, classificationReport } from './classification.ts';

/** Samples that are read together. */
const scoredAtOnce = 8;

/** One sample, as a line of the file of scores. */
export interface ScoredSample {
  readonly name: string;
  /** Log-likelihood of the answer that names it, by choice. */
  readonly scores: Readonly<Record<string, number>>;
  readonly chosen: string;
  readonly label: string;
}

export interface ChoiceEvaluation {
  readonly type: AnswerType;
  readonly split: string;
  readonly limit: number | null;
  readonly choices: readonly string[];
  /** null of the untrained model. */
  readonly checkpoint: string | null;
  readonly samples: readonly ScoredSample[];
  readonly metrics: ClassificationReport;
  readonly seconds: number;
}

/**
 * Likelihoods of the choices for each sample: of every token that training would supervise if the choice were the
 * answer, what ends the answer included. Scores of a sample do not depend on its batch mates, except for rounding.
 *
 * @param state holds the trainable tensors
 * @throws InputError `PROMPT_TOO_LONG`, `NumericError` `LOGITS_NOT_FINITE`
 */
export async function* scoreChoices(options: {
  readonly generator: Generator;
  readonly state: State;
  readonly source: SampleSource;
  readonly maxPositionEmbeddings: number;
  readonly type: AnswerType;
  readonly choices: readonly string[];
}): AsyncGenerator<{ readonly name: string; readonly scores: Float64Array }> {
  const { generator, state, source, type, choices, maxPositionEmbeddings } = options;
  const answers = choices.map((choice) => source.answerTokens(type, choice));
  const longest = Math.max(...answers.map((tokens) => tokens.length));
  for (let from = 0; from < source.names.length; from += scoredAtOnce) {
    const names = source.names.slice(from, from + scoredAtOnce);
    const prompts = await source.loadPrompts(names, (name) => source.questionOf(name, type));
    checkPromptLengths({ source, names, prompts, maxPositionEmbeddings, more: longest });
    const scores = await generator.logLikelihoods(state, prompts, answers);
    yield* names.map((name, i) => ({ name, scores: scores[i]! }));
  }
}

/** The likeliest choice; the first of equals. */
export function likeliest(choices: readonly string[], scores: Float64Array): string {
  const best = scores.reduce((at, score, i) => (score > scores[at]! ? i : at), 0);
  return choices[best]!;
}

export interface ChoiceOptions {
  readonly config: Config;
  readonly plan: ChoicePlan;
  readonly engine: Engine;
  /** Checkpoint folder; null scores the model as a training would begin with it. */
  readonly checkpoint: string | null;
  readonly notify: (message: string) => void;
  /** Asked between batches. */
  readonly isStopped?: () => boolean;
}

/**
 * Classifies samples by the likelihood of given answers.
 *
 * @returns undefined where it was stopped
 * @throws InputError those of `openAffectGpt`, `loadWeights`, `openSamples` and `scoreChoices`
 */
export async function evaluateChoices(options: ChoiceOptions): Promise<ChoiceEvaluation | undefined> {
  const { config, plan, engine, checkpoint, notify, isStopped = () => false } = options;
  const { type, choices, records, labels, settings, space } = plan;
  const started = performance.now();
  const model = await openAffectGpt(config);
  const parameters =
    checkpoint === null
      ? await initialParameters(config, model)
      : (await loadWeights(checkpoint, model.trainable)).parameters;
  const samples = await openSamples({
    ...{ config, model, engine, records, notify },
    forTraining: false,
    answerSpace: space,
  });
  const generator = new Generator(engine, model);
  const state = engine.createState(parameters);
  const scored: ScoredSample[] = [];
  try {
    await samples.source.prepare();
    await samples.releaseEncoders();
    const { maxPositionEmbeddings } = model.config.decoder;
    const { source } = samples;
    const all = scoreChoices({ generator, state, source, maxPositionEmbeddings, type, choices });
    for await (const { name, scores } of all) {
      if (isStopped()) return undefined;
      scored.push({
        name,
        scores: Object.fromEntries(choices.map((choice, i) => [choice, scores[i]!])),
        chosen: likeliest(choices, scores),
        label: labels.get(name)!,
      });
    }
  } finally {
    state.dispose();
    await samples.releaseEncoders();
    await generator.dispose();
  }
  const classified = scored.map(({ label, chosen }) => ({ truth: label, predicted: chosen }));
  return {
    ...{ type, choices, checkpoint },
    split: settings.split,
    limit: settings.limit,
    samples: scored,
    metrics: classificationReport(classified, choices),
    seconds: (performance.now() - started) / 1000,
  };
}

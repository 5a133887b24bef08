import type * as tf from '@tensorflow/tfjs';
import {
  type AffectGptConfig,
  type AffectGptLossInputs,
  affectGptLoss,
  lossInputSpecs,
} from '../../../model/affectgpt.ts';
import { targetHits } from '../../../model/loss.ts';
import { affectGptStepOptions } from '../../../train/affectgpt.ts';
import { type NamedBatch, ValidationLoss } from '../../../train/validation/loss.ts';
import type { ConfiguredValidator, ValidatorRequest } from '../../../train/validation/open.ts';
import { validationEpoch } from '../../../train/validation/plan.ts';
import type { ValidationAnswer, ValidationResult } from '../../../train/validation/validator.ts';
import { Parameters } from '../../engine/parameters.ts';
import type { State } from '../../engine/types.ts';
import { Predictor } from '../../predict/predictor.ts';
import { answerMetrics, type JudgedAnswer } from './answer-metrics.ts';
import { exactSamples } from './teacher-forcing.ts';

/** The loss of a batch, and for each supervised token whether it is the most likely one. */
function lossAndHits(
  model: AffectGptConfig,
  { inputs, parameters }: { readonly inputs: tf.NamedTensorMap; readonly parameters: tf.NamedTensorMap },
) {
  const typed = inputs as unknown as AffectGptLossInputs;
  const { lossSum, logits } = affectGptLoss(model, new Parameters(parameters), typed);
  return { lossSum, hits: targetHits(logits, typed.targets) };
}

/**
 * Measures a configured model on held-out samples: their loss, and the most likely answers to some of them. Each sample is
 * asked the same question at every validation: the kind is drawn from `train.seed` and its name alone. The parameters are
 * those of the training state at hand; no checkpoint is read.
 */
class AffectGptValidator implements ConfiguredValidator {
  readonly set: string;
  readonly #request: ValidatorRequest;
  /** Whether the most likely tokens are compared with the right ones. */
  readonly #isForced: boolean;
  readonly #loss: ValidationLoss;
  readonly #predictor: Predictor;

  constructor(request: ValidatorRequest) {
    const { config, model, engine, say, set } = request;
    this.set = set;
    this.#request = request;
    const { metric } = config.train.validation!;
    this.#isForced = metric === 'teacherForcedExactMatch' || config.data.labelType === 'own';
    this.#loss = new ValidationLoss(engine, {
      ...affectGptStepOptions(config, model),
      inputs: lossInputSpecs(model.config, false),
      ...(this.#isForced && { measured: (tensors) => lossAndHits(model.config, tensors) }),
    });
    this.#predictor = new Predictor({ config, model, engine, notify: say });
  }

  async validate(state: State, isStopped: () => boolean): Promise<ValidationResult | undefined> {
    const { names } = this.#request.samples.source;
    let exact = 0;
    const mean = await this.#loss.mean(state, this.#batches(), isStopped, (batch, { hits }) => {
      if (hits !== undefined) exact += exactSamples(batch, hits);
    });
    if (mean === undefined) return undefined;
    const answers = await this.#answers(state, isStopped);
    if (answers === undefined) return undefined;
    return {
      loss: mean.loss,
      samples: names.length,
      supervisedTokens: mean.supervisedTokens,
      metrics: {
        ...answerMetrics(answers),
        ...(this.#isForced && { teacherForcedExactMatch: exact / names.length }),
      },
      answers: answers.map(({ type: _, record: __, ...answer }) => answer),
    };
  }

  async dispose(): Promise<void> {
    await this.#loss.dispose();
    await this.#predictor.dispose();
  }

  async *#batches(): AsyncGenerator<NamedBatch> {
    const { config, samples } = this.#request;
    const { names } = samples.source;
    const { batchSize } = config.train;
    for (let from = 0; from < names.length; from += batchSize) {
      const batch = names.slice(from, from + batchSize);
      // Without a step there are no keys of dropout.
      const loaded = await samples.source.loadBatch(batch, { epoch: validationEpoch });
      yield { ...loaded, names: batch };
    }
  }

  /** In the order of the data. @returns undefined where it was stopped */
  async #answers(state: State, isStopped: () => boolean): Promise<JudgedAnswer[] | undefined> {
    const { config, samples, answered } = this.#request;
    const { source } = samples;
    const settings = {
      ...config.generation,
      maxNewTokens: config.train.validation!.maxNewTokens,
      temperature: 0,
    };
    const questionOf = (name: string): string => source.task(name, validationEpoch).question;
    const found: JudgedAnswer[] = [];
    if (isStopped()) return undefined;
    for await (const prediction of this.#predictor.predict(state, samples, questionOf, settings, answered)) {
      if (isStopped()) return undefined;
      const { name, question, text, finish } = prediction;
      const { type, answer: expected } = source.task(name, validationEpoch);
      const answer: ValidationAnswer = { name, question, text, finish, expected };
      found.push({ ...answer, type, record: source.record(name) });
    }
    return found;
  }
}

/** What `trainConfigured` validates with. */
export const createValidator = (request: ValidatorRequest): ConfiguredValidator =>
  new AffectGptValidator(request);

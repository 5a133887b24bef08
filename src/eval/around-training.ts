import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../engine/types.ts';
import { type ChoicePlan, type ChoiceSettings, planChoices } from './choice-plan.ts';
import { type ChoiceEvaluation, evaluateChoices } from './choices.ts';
import { writeEvaluation } from './report.ts';

/** What the section `evaluation` of a configuration asks for before and after a training. */
export class EvaluationAroundTraining {
  readonly #config: Config;
  readonly #settings: ChoiceSettings;
  readonly #engine: Engine;
  readonly #notify: (message: string) => void;
  readonly #isStopped: () => boolean;
  #plan: ChoicePlan | undefined;

  constructor(options: {
    readonly config: Config;
    readonly settings: ChoiceSettings;
    readonly engine: Engine;
    readonly notify: (message: string) => void;
    readonly isStopped: () => boolean;
  }) {
    this.#config = options.config;
    this.#settings = options.settings;
    this.#engine = options.engine;
    this.#notify = options.notify;
    this.#isStopped = options.isStopped;
  }

  /**
   * Checks what is to be scored, so that nobody learns after hours that it cannot be. Errors as in `planChoices`.
   */
  async check(): Promise<void> {
    this.#plan = await planChoices(this.#config, this.#settings);
  }

  /**
   * Scores the untrained model where that is asked for and was not done: `evaluation-before.json`.
   * @returns undefined where it was not, or was stopped
   */
  async before(): Promise<ChoiceEvaluation | undefined> {
    const base = join(this.#config.output, 'evaluation-before');
    if (!this.#settings.before || existsSync(`${base}.json`)) return undefined;
    return this.#evaluate(base, null);
  }

  /** Scores the trained model: `evaluation.json`. @returns undefined where it was stopped */
  async after(checkpoint: string): Promise<ChoiceEvaluation | undefined> {
    return this.#evaluate(join(this.#config.output, 'evaluation'), checkpoint);
  }

  async #evaluate(base: string, checkpoint: string | null): Promise<ChoiceEvaluation | undefined> {
    this.#plan ??= await planChoices(this.#config, this.#settings);
    const evaluation = await evaluateChoices({
      ...{ config: this.#config, plan: this.#plan, engine: this.#engine, checkpoint },
      notify: this.#notify,
      isStopped: this.#isStopped,
    });
    if (evaluation !== undefined) await writeEvaluation(base, evaluation);
    return evaluation;
  }
}

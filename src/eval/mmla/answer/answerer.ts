import type { MmlaPromptPreset } from '../../../data/mmla/prompts.ts';
import { mmlaPrompt } from '../../../data/mmla/prompts.ts';
import type { MmlaRecord } from '../../../data/mmla/records.ts';
import type { MmlaTask } from '../../../data/mmla/tasks.ts';
import { sha256 } from '../../../io/checksum.ts';
import type { JsonValue } from '../../../io/json.ts';
import type { MmlaModelFacts } from '../report/schema.ts';

/** What a model is asked about one sample. */
export interface MmlaQuestion {
  /** Id of the sample. */
  readonly name: string;
  readonly record: MmlaRecord;
  /** As the preset words it, byte for byte. */
  readonly prompt: string;
  /** SHA-256 of the prompt. */
  readonly promptSha256: string;
}

/** What a model said. */
export interface MmlaAnswer {
  readonly name: string;
  readonly text: string;
  /**
   * Why the text ends: `stop`; `length` where it was cut at the greatest number of tokens; `chosen` where the likeliest
   * label was taken; `empty` where an endpoint gave no text; or another word of a server.
   */
  readonly finish: string;
  /** Of a choice: the log-likelihood of each label's gold answer. */
  readonly scores?: Readonly<Record<string, number>>;
}

/** Questions about the samples of one task. */
export interface AskedTask {
  readonly task: MmlaTask;
  /** How they, and gold answers, are worded. */
  readonly preset: MmlaPromptPreset;
  readonly questions: readonly MmlaQuestion[];
}

/** How answers are decoded. */
export interface AnswerDecoding {
  readonly maxNewTokens: number;
  /** 0 always takes the most likely token. */
  readonly temperature: number;
  /** Decides the draws, where there are any. */
  readonly seed: number;
}

/** How answers are decoded where nobody says otherwise: the same answers each time. */
export const defaultDecoding: AnswerDecoding = { maxNewTokens: 128, temperature: 0, seed: 42 };

/** A model that is examined. */
export interface MmlaAnswerer {
  /** For reports, such as the name of the model. */
  readonly title: string;
  /** All that decides the answers, besides the questions. */
  readonly settings: Readonly<Record<string, JsonValue>>;
  /** For reports: what is known of the model besides. */
  readonly facts: Omit<MmlaModelFacts, 'method'>;
  /** Answers questions of one task, in their order where all of them can be answered. Models are loaded at the first call. */
  answer(asked: AskedTask): AsyncIterable<MmlaAnswer>;
  dispose(): Promise<void>;
}

/** The questions about records of a task. */
export function mmlaQuestions(
  task: MmlaTask,
  records: readonly MmlaRecord[],
  preset: MmlaPromptPreset,
): MmlaQuestion[] {
  return records.map((record) => {
    const prompt = mmlaPrompt(task, record.text, preset);
    return { name: record.id, record, prompt, promptSha256: sha256(prompt) };
  });
}

/**
 * What of a way to decode changes answers: nothing is drawn at temperature 0, and nothing generated in a choice.
 * @param isConstrained the label is taken whose gold answer is the likeliest
 */
export function decodingSettings(
  { maxNewTokens, temperature, seed }: AnswerDecoding,
  isConstrained: boolean,
): Record<string, JsonValue> {
  if (isConstrained) return { choice: 'likeliest gold answer' };
  return { maxNewTokens, temperature, ...(temperature > 0 && { seed }) };
}

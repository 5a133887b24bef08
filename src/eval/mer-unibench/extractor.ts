import { extractLabels } from './extract-rules.ts';
import { sentimentOfLabels } from './sentiment-rules.ts';

/** What is looked for: emotion words alone, or the sentiment that they come to as well. */
export type ExtractionKind = 'openset' | 'sentiment';

/** What a model said about a sample. */
export interface NamedText {
  readonly name: string;
  readonly text: string;
}

/** What an answer was taken to say. */
export interface Extraction {
  readonly labels: readonly string[];
  /** Where it was looked for: `positive`, `negative`, `neutral`, or whatever else a language model said. */
  readonly sentiment?: string;
  /** The list as a language model wrote it, cleaned (`cleanReply`). */
  readonly openset?: string;
  /** Whether a reply of a language model was cut at the greatest number of tokens. */
  readonly cut?: boolean;
}

export interface ExtractionOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Turns free text into what is scored. */
export interface Extractor {
  /** As reports name it. */
  readonly name: string;
  /** One entry for each answer, in their order; names are different from each other. */
  extract(
    answers: readonly NamedText[],
    kind: ExtractionKind,
    options?: ExtractionOptions,
  ): Promise<Map<string, Extraction>>;
}

/** Rules alone: `extractLabels` and `sentimentOfLabels`. */
export const rulesExtractor: Extractor = {
  name: 'rules',
  async extract(answers, kind, { onProgress } = {}) {
    const extractions = new Map<string, Extraction>();
    for (const { name, text } of answers) {
      const labels = extractLabels(text);
      extractions.set(name, {
        labels,
        ...(kind === 'sentiment' && { sentiment: sentimentOfLabels(labels) }),
      });
    }
    onProgress?.(answers.length, answers.length);
    return extractions;
  },
};

import { firstOf, InputError } from '../../errors.ts';
import type { Extraction, ExtractionOptions, Extractor } from './extractor.ts';
import type { Prediction, PredictionCheckpoint } from './predictions.ts';
import { predictionsOf } from './predictions.ts';

/** What is scored of an answer. */
export type ExtractedKind = 'labels' | 'sentiment';

/** What was found in the answers of a checkpoint, of those in which anything could be looked for. */
export type Extracted = {
  /** Answers about which the reply of a language model was cut. */
  readonly cut: readonly string[];
} & (
  | { readonly kind: 'labels'; readonly of: ReadonlyMap<string, readonly string[]> }
  | { readonly kind: 'sentiment'; readonly of: ReadonlyMap<string, string> }
);

/** The predictions of a set, and what is scored of them. */
export interface Extractable {
  readonly kind: ExtractedKind;
  readonly checkpoints: readonly PredictionCheckpoint[];
}

const isCompanion: Readonly<Record<ExtractedKind, RegExp>> = {
  labels: /-openset\.[^.]+$/i,
  sentiment: /-openset-sentiment\.[^.]+$/i,
};

/** Whether words (or sentiments) lie beside the answers, or with every one of them. */
function isStored({ files, samples }: PredictionCheckpoint, kind: ExtractedKind): boolean {
  if (files.some((file) => isCompanion[kind].test(file))) return true;
  return [...samples.values()].every((prediction) => prediction[kind] !== undefined);
}

/**
 * The extractor that is used where none is named: `stored` where all checkpoints have what is scored, `rules` where none of
 * them has it (of some of their answers at most).
 *
 * @throws InputError `EXTRACTOR_UNCLEAR` where some have it and some have not
 */
export function defaultExtractor(sets: readonly Extractable[]): 'stored' | 'rules' {
  const all = sets.flatMap(({ kind, checkpoints }) =>
    checkpoints.map((checkpoint) => ({ checkpoint, stored: isStored(checkpoint, kind) })),
  );
  if (all.every(({ stored }) => stored)) return 'stored';
  const without = all.filter(({ stored }) => !stored).map(({ checkpoint }) => checkpoint.files[0]!);
  if (without.length === all.length) return 'rules';
  throw new InputError(
    'EXTRACTOR_UNCLEAR',
    `Words or sentiments are stored with some of the predictions, but not with ${firstOf(without, 5)}. One extractor has to do for all: name it with --extractor ("stored" takes what there is, the others look into the answers), or add the missing -openset files.`,
  );
}

/**
 * What is stored with the answers of a checkpoint.
 *
 * @throws InputError `EXTRACTOR_NOTHING_STORED`
 */
export function storedIn(checkpoint: PredictionCheckpoint, kind: ExtractedKind): Extracted {
  const extracted: Extracted =
    kind === 'labels'
      ? { kind, of: predictionsOf(checkpoint, 'labels'), cut: [] }
      : { kind, of: predictionsOf(checkpoint, 'sentiment'), cut: [] };
  if (extracted.of.size > 0) return extracted;
  const [suffix, wanted] = kind === 'labels' ? ['-openset', 'words'] : ['-openset-sentiment', 'sentiments'];
  throw new InputError(
    'EXTRACTOR_NOTHING_STORED',
    `${checkpoint.files.join(', ')}: no ${wanted} are stored with these answers; expected is ${checkpoint.name}${suffix}.npz (.jsonl, .csv) beside them, or a column "${kind}". Or choose another extractor, such as --extractor rules.`,
  );
}

/** The text in which an extractor looks: the answer, or for sentiments the words where there is no answer. */
function textOf({ text, labels }: Prediction, kind: ExtractedKind): string | undefined {
  if (text !== undefined || kind === 'labels') return text;
  return labels && `[${labels.join(', ')}]`;
}

/**
 * Looks for words, or a sentiment, in the answers of a checkpoint.
 *
 * @throws InputError `EXTRACTOR_NO_TEXT`, and those of the extractor
 */
export async function extractFrom(
  checkpoint: PredictionCheckpoint,
  kind: ExtractedKind,
  extractor: Extractor,
  options: ExtractionOptions = {},
): Promise<Extracted> {
  const answers = Array.from(checkpoint.samples, ([name, prediction]) => ({
    name,
    text: textOf(prediction, kind),
  })).filter((answer): answer is { name: string; text: string } => answer.text !== undefined);
  if (answers.length === 0) {
    throw new InputError(
      'EXTRACTOR_NO_TEXT',
      `${checkpoint.files.join(', ')}: there are no answers in which the extractor "${extractor.name}" could look. Use --extractor stored, or give the file of the answers.`,
    );
  }
  const wanted = kind === 'labels' ? 'openset' : 'sentiment';
  const found = await extractor.extract(answers, wanted, options);
  const each = <Value>(value: (of: Extraction) => Value) =>
    new Map(Array.from(found, ([name, extraction]) => [name, value(extraction)]));
  const cut = [...found].filter(([, extraction]) => extraction.cut === true).map(([name]) => name);
  return kind === 'labels'
    ? { kind, of: each(({ labels }) => labels), cut }
    : { kind, of: each(({ sentiment }) => sentiment ?? ''), cut };
}

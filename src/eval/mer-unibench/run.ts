import { InputError } from '../../errors.ts';
import { type BenchmarkDataset, type BenchmarkKey, benchmarkDatasets } from './datasets.ts';
import {
  type AnsweredSet,
  type ExtractedCheckpoint,
  evaluateSet,
  extractedKind,
  meanScores,
  type ScoringSettings,
  type SetEvaluation,
} from './evaluate.ts';
import { defaultExtractor, extractFrom, storedIn } from './extraction.ts';
import type { Extractor } from './extractor.ts';
import { type BenchmarkLabels, readLabels } from './labels.ts';
import { locateSets, type SetFiles } from './locate.ts';
import type { Protocol } from './metrics/result.ts';
import { type PredictionSet, readPredictions } from './predictions.ts';
import type { Evaluation } from './report/json.ts';
import type { Finding } from './scoring-findings.ts';
import { selectCheckpoint } from './selection.ts';
import { type SetLevelGrouping, setLevelDetail, withSetLevel } from './set-level.ts';
import type { WheelTable } from './tables.ts';

const EXTRACTORS = ['stored', 'rules', 'llm', 'local'] as const;
export type ExtractorName = (typeof EXTRACTORS)[number];

/** An extractor that looks into answers, ready to be used. */
export interface OpenedExtractor {
  readonly extractor: Extractor;
  /** What reports state besides its name: model, address, sampling. */
  readonly detail?: string;
  readonly dispose?: () => Promise<void>;
}

export interface EvaluationOptions extends ScoringSettings {
  /** The checkpoint that `strict` scores. */
  readonly pick?: string;
  /** Default: `stored` where all answers come with what is scored, else `rules`. */
  readonly extractor?: ExtractorName;
  /** Makes the extractor that was chosen, once and only where one is needed. */
  readonly openExtractor: (name: Exclude<ExtractorName, 'stored'>) => Promise<OpenedExtractor>;
  /** Scores open vocabularies by the set-level metric of 2024 too. */
  readonly setLevel?: SetLevelGrouping;
  readonly notify: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** The answers about one set, and what is right. */
export interface AnsweredFiles {
  readonly key: BenchmarkKey;
  readonly labels: BenchmarkLabels;
  readonly predictions: PredictionSet;
}

/**
 * The table of word forms: the one that is asked for; else the published one under `paper`, and under `strict` the one of a
 * run's configuration (`compat.wheelTable`), or the corrected one where there is no run.
 */
export function chooseWheelTable(
  protocol: Protocol,
  asked: WheelTable | undefined,
  configured?: WheelTable,
): WheelTable {
  return asked ?? (protocol === 'paper' ? 'published' : (configured ?? 'corrected'));
}

/**
 * Scores stored answers on some sets.
 *
 * @param predictions,labels files or folders, as `locateSets` finds them
 * @throws InputError `SETS_UNREADABLE` (all faults where several sets have one), and those of `locateSets`, `readLabels`,
 *   `readPredictions` and `evaluateAnswers`
 */
export async function evaluateFiles(
  keys: readonly BenchmarkKey[],
  { predictions, labels }: { readonly predictions: string; readonly labels: string },
  options: EvaluationOptions,
): Promise<Evaluation> {
  const answered: AnsweredFiles[] = [];
  const errors: InputError[] = [];
  for (const files of await locateSets(keys, predictions, labels)) {
    try {
      answered.push(await readSet(files));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0]!;
  if (errors.length > 1) {
    throw new InputError(
      'SETS_UNREADABLE',
      `${errors.length} sets cannot be read. ${errors.map(({ message }) => message).join(' ')}`,
    );
  }
  return evaluateAnswers(answered, options);
}

async function readSet({ key, predictions, labels }: SetFiles): Promise<AnsweredFiles> {
  const dataset: BenchmarkDataset = benchmarkDatasets[key];
  return {
    key,
    labels: await readLabels(dataset, labels),
    predictions: await readPredictions(predictions),
  };
}

/**
 * Scores answers on some sets: chooses checkpoint and extractor, extracts, scores, and tells `notify` every finding.
 *
 * @throws InputError of `selectCheckpoint`, `defaultExtractor`, `storedIn`, `extractFrom` and the metrics
 */
export async function evaluateAnswers(
  answered: readonly AnsweredFiles[],
  options: EvaluationOptions,
): Promise<Evaluation> {
  const { protocol, wheelTable, level, allLevels, seed, resamples } = options;
  const settings: ScoringSettings = { protocol, wheelTable, level, allLevels, seed, resamples };
  const candidates = answered.map(({ key, predictions }) => ({
    key,
    names: predictions.checkpoints.map(({ name }) => name),
  }));
  const picked = selectCheckpoint(candidates, { protocol, pick: options.pick });
  const sets = answered.map(({ key, labels, predictions }) => ({
    ...{ key, labels, findings: predictions.findings },
    kind: extractedKind(benchmarkDatasets[key]),
    checkpoints: predictions.checkpoints.filter(({ name }) => picked === undefined || name === picked),
  }));
  const name = options.extractor ?? defaultExtractor(sets);
  const opened = name === 'stored' ? undefined : await options.openExtractor(name);
  const extracted: AnsweredSet[] = [];
  try {
    for (const { key, labels, findings, kind, checkpoints } of sets) {
      const found: ExtractedCheckpoint[] = [];
      for (const checkpoint of checkpoints) {
        const progress = progressOf(`${key} ${checkpoint.name}`, 'extracting', options);
        found.push({
          checkpoint,
          extracted:
            opened === undefined
              ? storedIn(checkpoint, kind)
              : await extractFrom(checkpoint, kind, opened.extractor, progress),
        });
      }
      extracted.push({ key, labels, checkpoints: found, findings });
    }
  } finally {
    await opened?.dispose?.();
  }
  const { setLevel } = options;
  const evaluated: SetEvaluation[] = [];
  for (const set of extracted.map((one) => evaluateSet(one, settings))) {
    const progress = (name: string) => progressOf(`${set.key} ${name}`, 'grouping', options);
    evaluated.push(setLevel === undefined ? set : await withSetLevel(set, setLevel, settings, progress));
  }
  for (const set of evaluated) for (const message of findingMessages(set)) options.notify(message);
  return {
    ...{ settings, extractor: name, sets: evaluated, means: meanScores(evaluated, settings) },
    ...(opened?.detail !== undefined && { extractorDetail: opened.detail }),
    ...(setLevel && { setLevel: setLevelDetail(setLevel, settings) }),
  };
}

/** What was found, in words; what is alike of several checkpoints in one sentence, with its counts. */
export function findingMessages({ findings, checkpoints }: SetEvaluation): string[] {
  const alike = new Map<string, Finding[]>();
  for (const finding of checkpoints.flatMap((checkpoint) => checkpoint.findings)) {
    const what = `${finding.kind}${phraseOf(finding)}`;
    alike.set(what, [...(alike.get(what) ?? []), finding]);
  }
  const ofCheckpoints = Array.from(alike.values(), ([first, ...others]) => {
    if (others.length === 0) return first!.message;
    const counts = others.map(({ count }) => count);
    const range = [...new Set([Math.min(...counts), Math.max(...counts)])].join(' to ');
    return `${first!.message} Likewise in ${others.length} more files: ${range}.`;
  });
  return [...findings.map(({ message }) => message), ...ofCheckpoints];
}

/** What a finding says without file and counts: rows of one file may be unreadable for several reasons. */
const phraseOf = ({ file, message }: Finding): string =>
  message.slice(file.length, message.indexOf(' (', file.length));

/** A line every so often: asking a language model takes long. */
function progressOf(
  title: string,
  purpose: 'extracting' | 'grouping',
  { notify, signal }: Pick<EvaluationOptions, 'notify' | 'signal'>,
) {
  const interval = 10_000;
  let last = Date.now();
  return {
    ...(signal && { signal }),
    onProgress: (done: number, total: number) => {
      if (Date.now() - last < interval) return;
      last = Date.now();
      notify(`${title}: ${done} of ${total} questions to the ${purpose} model are answered`);
    },
  };
}

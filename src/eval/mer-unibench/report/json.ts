import { packageVersion } from '../../../config/package-folder.ts';
import type { Interval } from '../../bootstrap.ts';
import { checkpointJson, jsonNumber } from '../checkpoint-json.ts';
import type { CheckpointEvaluation, MeanScore, ScoringSettings, SetEvaluation } from '../evaluate.ts';
import type { SetLevelScore } from '../set-level.ts';

/** One run of the benchmark: what all reports are made of. */
export interface Evaluation {
  readonly settings: ScoringSettings;
  /** Where words and sentiments come from: `stored`, `rules`, `llm` or `local`. */
  readonly extractor: string;
  /** Which language model, asked how. */
  readonly extractorDetail?: string;
  /** How words were grouped for the set-level metric, where it was asked for. */
  readonly setLevel?: string;
  readonly sets: readonly SetEvaluation[];
  readonly means: readonly MeanScore[];
}

export const reportFormat = 'affectgpt-mer-unibench-report';
export const reportVersion = 1;

/**
 * What `eval mer-unibench --json` prints of one set: the keys of its contract and no others. Everything else is in
 * `report.json`.
 */
export function contractJson(evaluation: Evaluation, set: SetEvaluation) {
  return {
    ...setHeader(evaluation, set),
    checkpoints: set.checkpoints.map((checkpoint) => {
      const { name, score, n, nScored, metrics, perWheel } = checkpointFigures(checkpoint);
      return {
        ...{ name, score, n, nScored, metrics },
        perWheel: perWheel.map((one) => ({
          ...{ wheel: one.wheel, level: one.level, score: one.score },
          ...('precision' in one && { precision: one.precision }),
          ...('recall' in one && { recall: one.recall }),
          nScored: one.nScored,
        })),
      };
    }),
    ...bestOfSet(evaluation, set),
  };
}

function setHeader({ settings, extractor }: Evaluation, { key, dataset }: SetEvaluation) {
  const { protocol, wheelTable, seed } = settings;
  return {
    benchmark: 'mer-unibench',
    ...{ dataset: key, metric: dataset.metric, protocol, wheelTable, extractor, seed },
  };
}

/** `best` is null where no checkpoint has a score. */
const bestOfSet = ({ settings }: Evaluation, { chosen }: SetEvaluation) =>
  settings.protocol === 'paper' ? { best: chosen?.name ?? null } : {};

function checkpointFigures(checkpoint: CheckpointEvaluation) {
  const twelve = checkpoint.kind === 'labels' ? checkpoint.twelve : undefined;
  return checkpointJson(checkpoint.name, checkpoint.result, twelve);
}

export const intervalJson = ({ low, high, confidence, resamples }: Interval) => ({
  ...{ low: jsonNumber(low), high: jsonNumber(high), confidence, resamples },
});

function setLevelJson({ result, interval }: SetLevelScore) {
  const { accuracy, recall, average, n, nScored } = result;
  return {
    ...{
      accuracy: jsonNumber(accuracy),
      recall: jsonNumber(recall),
      average: jsonNumber(average),
      n,
      nScored,
    },
    ...(interval && { interval: intervalJson(interval) }),
  };
}

/** With the groups of a language model, where it was asked about this sample. */
function setLevelSampleJson(setLevel: SetLevelScore | undefined, i: number) {
  if (setLevel === undefined) return {};
  const { name, accuracy, recall } = setLevel.result.perSample[i]!;
  const groups = setLevel.groups?.get(name);
  return { setLevel: { accuracy, recall, ...(groups && { groups }) } };
}

/** One sample as `report.json` has it: words and score, and the score on each wheel (null: not counted there). */
function* sampleJson(checkpoint: CheckpointEvaluation) {
  const { kind, result, samples, texts } = checkpoint;
  const setLevel = checkpoint.kind === 'labels' ? checkpoint.setLevel : undefined;
  for (let i = 0; i < samples.length; i++) {
    const { name } = samples[i]!;
    const text = texts.get(name);
    const said = text === undefined ? {} : { text };
    if (kind === 'labels') {
      const { labels, predicted } = samples[i]!;
      const { score, perWheel } = result.perSample[i]!;
      const wheels = perWheel.map((wheel) => wheel?.score ?? null);
      yield { name, score, wheels, labels, predicted, ...said, ...setLevelSampleJson(setLevel, i) };
    } else {
      const { value, predicted } = samples[i]!;
      yield { name, score: result.perSample[i]!.score, value: jsonNumber(value), predicted, ...said };
    }
  }
}

/**
 * The text of `report.json` in pieces: all figures and settings, findings with the names that they are about, and every
 * sample on a line of its own.
 */
export function* reportJsonText(evaluation: Evaluation): Generator<Uint8Array> {
  const { settings, extractor, extractorDetail, setLevel, sets, means } = evaluation;
  const { protocol, wheelTable, level, seed, resamples } = settings;
  const header = {
    ...{ format: reportFormat, version: reportVersion, program: packageVersion() },
    ...{ protocol, wheelTable, level, extractor, extractorDetail: extractorDetail ?? null, seed },
    resamples: protocol === 'paper' ? null : resamples,
    ...(setLevel !== undefined && { setLevel }),
    means: means.map(({ key, score, sets: members, of, interval }) => ({
      ...{ key, score: jsonNumber(score), sets: members, of },
      ...(interval && { interval: intervalJson(interval) }),
    })),
  };
  yield bytes(`${open(header)},\n"sets": [`);
  for (const [i, set] of sets.entries()) {
    const head = {
      ...setHeader(evaluation, set),
      ...{ title: set.dataset.title, labelFile: set.labelFile, count: set.dataset.count },
      ...bestOfSet(evaluation, set),
      findings: set.findings,
    };
    yield bytes(`${i === 0 ? '' : ','}\n${open(head)},\n"checkpoints": [`);
    for (const [j, checkpoint] of set.checkpoints.entries()) {
      const { files, findings, interval, result } = checkpoint;
      const about = {
        ...checkpointFigures(checkpoint),
        ...(interval && { interval: intervalJson(interval) }),
        ...(checkpoint.kind === 'labels' &&
          checkpoint.setLevel && { setLevel: setLevelJson(checkpoint.setLevel) }),
        ...('classes' in result && { classes: result.classes, confusion: result.confusion }),
        ...{ files, findings },
      };
      yield bytes(`${j === 0 ? '' : ','}\n${open(about)},\n"samples": [`);
      let separator = '\n';
      for (const sample of sampleJson(checkpoint)) {
        yield bytes(separator + JSON.stringify(sample));
        separator = ',\n';
      }
      yield bytes('\n]}');
    }
    yield bytes('\n]}');
  }
  yield bytes('\n]}\n');
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

/** An object without its closing brace. */
const open = (object: object): string => JSON.stringify(object, null, 1).replace(/\n}$/, '');

import type { ChatModel } from '../../llm/messages.ts';
import { type Interval, percentileInterval, resampledScores } from '../bootstrap.ts';
import type { CheckpointEvaluation, ScoringSettings, SetEvaluation } from './evaluate.ts';
import { askAll } from './extract-llm.ts';
import type { ExtractionOptions } from './extractor.ts';
import { openGrouping } from './grouping.ts';
import { type SetLevelResult, scoreSetLevel, setWords, wheelGrouper } from './metrics/set-level.ts';
import { cleanReply, groupingPrompt, parseGroups } from './published-prompts.ts';
import type { LabelSample } from './samples.ts';
import { type Finding, scoringFinding } from './scoring-findings.ts';
import type { WheelNumber } from './tables.ts';
import { compareCodePoints } from './words.ts';

/** Who groups the words of a sample. */
export type SetLevelGrouping =
  | { readonly kind: 'wheel'; readonly wheel: WheelNumber }
  /** Asked with `groupingPrompt`; `detail` says which model, asked how. */
  | { readonly kind: 'llm'; readonly model: ChatModel; readonly detail: string };

type Groups = readonly (readonly string[])[];

/** The set-level metric of one checkpoint. */
export interface SetLevelScore {
  readonly result: SetLevelResult;
  /** Of `average`; under `strict`. */
  readonly interval?: Interval;
  /** What a language model made of each sample that it was asked about. */
  readonly groups?: ReadonlyMap<string, Groups>;
}

/** What reports state about the grouping. */
export function setLevelDetail(grouping: SetLevelGrouping, settings: ScoringSettings): string {
  const { level, wheelTable } = settings;
  return grouping.kind === 'wheel'
    ? `groups of wheel ${grouping.wheel}, level ${level}, word table ${wheelTable}`
    : `groups by ${grouping.detail}`;
}

/**
 * Adds the set-level metric to every checkpoint of a set with an open vocabulary; other sets stay as they are.
 *
 * @param progress makes what is told about the questions of a checkpoint
 * @throws InputError `GROUPING_FAILED` and others of `askAll`
 */
export async function withSetLevel(
  set: SetEvaluation,
  grouping: SetLevelGrouping,
  settings: ScoringSettings,
  progress: (checkpoint: string) => ExtractionOptions,
): Promise<SetEvaluation> {
  if (set.dataset.metric !== 'ew') return set;
  const checkpoints: CheckpointEvaluation[] = [];
  for (const checkpoint of set.checkpoints) {
    if (checkpoint.kind !== 'labels') throw new Error(`${set.dataset.title} has no words.`);
    const { samples, findings } = checkpoint;
    if (grouping.kind === 'wheel') {
      const group = wheelGrouper(openGrouping(settings.wheelTable), grouping.wheel, settings.level);
      checkpoints.push({ ...checkpoint, setLevel: scored(scoreSetLevel(samples, group), settings) });
      continue;
    }
    const asked = await groupWithLlm(grouping.model, samples, progress(checkpoint.name));
    const result = scoreSetLevel(samples, (_, name) => asked.groups.get(name) ?? []);
    checkpoints.push({
      ...checkpoint,
      setLevel: { ...scored(result, settings), groups: asked.groups },
      findings: [...findings, ...groupingFindings(checkpoint.files[0]!, asked)],
    });
  }
  const chosen = set.chosen && checkpoints[set.checkpoints.indexOf(set.chosen)];
  return { ...set, checkpoints, chosen };
}

function scored(
  result: SetLevelResult,
  { protocol, seed, resamples }: ScoringSettings,
): Pick<SetLevelScore, 'result' | 'interval'> {
  if (protocol === 'paper') return { result };
  const options = { seed, resamples };
  return { result, interval: percentileInterval(resampledScores(result, options), options) };
}

interface AskedGroups {
  readonly groups: ReadonlyMap<string, Groups>;
  /** Names of samples whose reply has none of the words; has not all of them; was cut. */
  readonly unreadable: readonly string[];
  readonly incomplete: readonly string[];
  readonly cut: readonly string[];
}

/**
 * Asks for the groups of the words of each sample: labels and predictions together, each word once, in code point order
 * (published code joins two Python sets, whose order is left to chance). Not asked about are samples whose score no
 * grouping can change: nothing is labelled or predicted, or all is one word. Equal questions are asked once.
 */
async function groupWithLlm(
  model: ChatModel,
  samples: readonly LabelSample[],
  options: ExtractionOptions,
): Promise<AskedGroups> {
  const questions = new Map<string, { readonly words: readonly string[]; readonly names: string[] }>();
  for (const { name, labels, predicted } of samples) {
    const [truth, answer] = [setWords(labels), setWords(predicted)];
    const words = [...new Set([...truth, ...answer])].sort(compareCodePoints);
    if (truth.length === 0 || answer.length === 0 || words.length < 2) continue;
    const prompt = groupingPrompt(words);
    const same = questions.get(prompt);
    if (same === undefined) questions.set(prompt, { words, names: [name] });
    else same.names.push(name);
  }
  const prompts = Array.from(questions, ([text, { names }]) => ({ name: names[0]!, text }));
  const replies = await askAll(model, prompts, options, 'GROUPING_FAILED');
  const groups = new Map<string, Groups>();
  const [unreadable, incomplete, cut]: [string[], string[], string[]] = [[], [], []];
  for (const [i, { words, names }] of [...questions.values()].entries()) {
    const { text, finish } = replies[i]!;
    const read = parseGroups(cleanReply(text)).filter((group) => group.length > 0);
    const grouped = new Set(read.flat());
    const missing = words.filter((word) => !grouped.has(word)).length;
    if (missing === words.length) unreadable.push(...names);
    else if (missing > 0) incomplete.push(...names);
    if (finish === 'length') cut.push(...names);
    for (const name of names) groups.set(name, read);
  }
  return { groups, unreadable, incomplete, cut };
}

function groupingFindings(file: string, { unreadable, incomplete, cut }: AskedGroups): Finding[] {
  const kinds = [
    [
      'groups-unreadable',
      unreadable,
      'set level: samples about which the reply has no group with a word of theirs; each word stands alone',
    ],
    [
      'groups-incomplete',
      incomplete,
      'set level: samples about which the reply leaves out words; these stand alone',
    ],
    ['groups-cut', cut, 'set level: samples about which the reply was cut; it is read as far as it goes'],
  ] as const;
  return kinds.flatMap(([kind, names, what]) =>
    names.length === 0 ? [] : [scoringFinding(kind, file, [...names].sort(compareCodePoints), what)],
  );
}

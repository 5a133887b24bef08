import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Config } from '../../config/schema.ts';
import type { SampleRecord } from '../../data/records.ts';
import { sha256 } from '../../io/checksum.ts';
import { fileError } from '../../io/filesystem.ts';
import type { JsonValue } from '../../io/json.ts';
import { ClipAnswerer } from '../../predict/answer-clips.ts';
import { checkpointIdentity } from '../../predict/checkpoint-identity.ts';
import {
  checkBegun,
  continuePredictions,
  type PredictionSettings,
  writeSettings,
} from '../../predict/prediction-file.ts';
import { defaultQuestion } from '../../predict/question.ts';
import type { BenchmarkKey } from './datasets.ts';

/** A set to answer about. */
export interface AskedSet {
  readonly key: BenchmarkKey;
  readonly records: readonly SampleRecord[];
}

export interface GenerateOptions {
  /** Of the run, with the `generation` that is wanted. */
  readonly config: Config;
  /** Checkpoint folders of one run; their names name the files. */
  readonly checkpoints: readonly string[];
  readonly sets: readonly AskedSet[];
  /** Files are `<output>/<key>/<checkpoint>.jsonl`. */
  readonly output: string;
  readonly notify: (message: string) => void;
}

/** Answers about a set. */
export interface GeneratedSet {
  readonly key: BenchmarkKey;
  /** Holds the files of all checkpoints. */
  readonly folder: string;
  /** In the order of the checkpoints. */
  readonly files: readonly string[];
}

/**
 * Answers the published question about all samples of sets with the weights of checkpoints. Each answer is on the disk
 * before the next one is asked for: a killed run is continued by the same call. What is finished is not asked again, and
 * takes no model; `settings/<checkpoint>.json` beside it says how it was made, and anything else is refused.
 *
 * @throws InputError `PREDICTIONS_OTHER_SETTINGS`, `PREDICTIONS_NO_SETTINGS`, and those of `continuePredictions` and
 *   `ClipAnswerer`
 */
export async function generateAnswers(options: GenerateOptions): Promise<GeneratedSet[]> {
  const { config, checkpoints, sets, output, notify } = options;
  const question = defaultQuestion(config);
  const work = await Promise.all(
    sets.flatMap((set) => checkpoints.map((checkpoint) => planFile(set, checkpoint, options))),
  );
  // Whatever was made otherwise is told before hours of work.
  for (const { file, settingsFile, settings } of work) {
    await checkBegun(file, settingsFile, settings);
  }
  let answerer: ClipAnswerer | undefined;
  try {
    for (const { set, checkpoint, file, folder, settingsFile, settings } of work) {
      if (existsSync(file)) {
        notify(`${file} is complete: ${set.records.length} samples of ${set.key}.`);
        continue;
      }
      answerer ??= await ClipAnswerer.open(config, notify);
      const opened = answerer;
      await mkdir(join(folder, settingsFolder), { recursive: true }).catch((error) => {
        throw fileError(error, folder, 'write');
      });
      await writeSettings(settingsFile, settings);
      notify(`Asking ${basename(checkpoint)} about ${set.records.length} samples of ${set.key} …`);
      await continuePredictions(file, {
        ...{ notify, records: set.records },
        asked: () => ({ question }),
        answer: (records) => opened.answer(checkpoint, records, question),
      });
    }
  } finally {
    await answerer?.dispose();
  }
  return sets.map(({ key }) => ({
    key,
    folder: join(output, key),
    files: checkpoints.map((checkpoint) => fileOf(output, key, checkpoint)),
  }));
}

/** Below the folder of a set, so that it holds nothing but answers. */
const settingsFolder = 'settings';

const fileOf = (output: string, key: BenchmarkKey, checkpoint: string): string =>
  join(output, key, `${basename(checkpoint)}.jsonl`);

async function planFile(set: AskedSet, checkpoint: string, { config, output }: GenerateOptions) {
  const folder = join(output, set.key);
  return {
    ...{ set, checkpoint, folder },
    file: fileOf(output, set.key, checkpoint),
    settingsFile: join(folder, settingsFolder, `${basename(checkpoint)}.json`),
    settings: await settingsOf(set, checkpoint, config),
  };
}

/** All that decides the answers. Where models, clips and checkpoint lie does not. */
async function settingsOf(
  { key, records }: AskedSet,
  checkpoint: string,
  config: Config,
): Promise<PredictionSettings> {
  const { model, compat, data, generation } = config;
  const samples = records.map(({ name, subtitle = '' }) => [name, subtitle]);
  const { maxNewTokens, temperature } = generation;
  const settings = {
    ...{ dataset: key, question: defaultQuestion(config) },
    samples: { count: records.length, sha256: sha256(JSON.stringify(samples)) },
    checkpoint: await checkpointIdentity(checkpoint),
    // Nothing is drawn at temperature 0.
    generation: temperature === 0 ? { maxNewTokens, temperature } : generation,
    ...{ model, compat, template: data.template, faces: data.faces },
  };
  return JSON.parse(JSON.stringify(settings)) as Record<string, JsonValue>;
}

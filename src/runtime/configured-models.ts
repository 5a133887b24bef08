import { inputMode } from '../../model/modes.ts';
import type { Config } from '../config/schema.ts';
import { asOneError } from '../errors.ts';
import { encoderSource } from './encoders/encoder-source.ts';
import type { EncoderInputs, EncoderSource } from './encoders/open-encoder.ts';
import { findModelFolders, locateModel, type WantedModel } from './model-folder.ts';

/** What a configuration needs of the world outside. */
export interface ConfiguredModels {
  /** Absent where the inputs need no pictures. */
  readonly visual?: EncoderSource<EncoderInputs['visual']>;
  /** Absent where the inputs need no sound. */
  readonly audio?: EncoderSource<EncoderInputs['audio']>;
  /** Models that have to be on this machine, by the key that names them. */
  readonly wanted: Readonly<Record<string, WantedModel>>;
}

/** The models that a configuration names as far as they are known, and what is wrong with descriptions of a user's own. */
async function describedModels({ model }: Config) {
  const { needs } = inputMode(model.inputs);
  const [visual, audio] = await Promise.allSettled([
    needs.some((feature) => feature !== 'audio') ? encoderSource('visual', model.visualEncoder) : undefined,
    needs.includes('audio') ? encoderSource('audio', model.audioEncoder) : undefined,
  ]);
  const visualSource = visual.status === 'fulfilled' ? visual.value : undefined;
  const audioSource = audio.status === 'fulfilled' ? audio.value : undefined;
  const models: ConfiguredModels = {
    ...(visualSource && { visual: visualSource }),
    ...(audioSource && { audio: audioSource }),
    wanted: {
      'model.llm': model.llm,
      ...(visualSource?.model && { 'model.visualEncoder.model': visualSource.model }),
      ...(audioSource?.model && { 'model.audioEncoder.model': audioSource.model }),
    },
  };
  return { models, faults: faultsOf([visual, audio]) };
}

/**
 * The models that a configuration names. Encoders that its inputs do not need are left out.
 * @throws InputError where the description of a user's own encoder is not well, with the faults of both
 */
export async function configuredModels(config: Config): Promise<ConfiguredModels> {
  const { models, faults } = await describedModels(config);
  if (faults.length > 0) throw asOneError(faults);
  return models;
}

/** Whether a model that a configuration names is not on this machine, whatever else is wrong. */
export async function lacksModels(config: Config): Promise<boolean> {
  const { wanted } = (await describedModels(config)).models;
  return Object.values(wanted).some((model) => !('folder' in locateModel(model)));
}

const faultsOf = (settled: readonly PromiseSettledResult<unknown>[]): unknown[] =>
  settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));

/** The models of a configuration, and where those are that have to be on this machine. */
export interface LocatedModels extends ConfiguredModels {
  readonly folders: Readonly<Record<string, string>>;
}

/**
 * Finds all models of a configuration. Faults of a user's own encoders and models that are missing are told at once.
 *
 * @throws InputError `NOT_READY` where there are several kinds of faults, else those of `findModelFolders`, of
 *   `configuredModels` and of opening an encoder
 */
export async function locateConfiguredModels(config: Config): Promise<LocatedModels> {
  const { models, faults } = await describedModels(config);
  const [found] = await Promise.allSettled([find(models.wanted)]);
  if (faults.length === 0 && found.status === 'fulfilled') return { ...models, folders: found.value };
  // Encoders whose files are there, or that want no folder, can be looked at all the same.
  const sources = [models.visual, models.audio].filter((source) => source !== undefined);
  const opened = await Promise.allSettled(sources.map(openWhatIsThere));
  throw asOneError([...faults, ...faultsOf([found, ...opened])]);
}

const find = async (wanted: Readonly<Record<string, WantedModel>>) => findModelFolders(wanted);

async function openWhatIsThere({ model, open }: EncoderSource<never>): Promise<void> {
  const location = model === undefined ? undefined : locateModel(model);
  if (location === undefined) await open(undefined);
  else if ('folder' in location) await open(location.folder);
}

import { inputMode } from '../../model/modes.ts';
import type { Config } from '../config/schema.ts';
import { asOneError } from '../errors.ts';
import { encoderSource } from './encoders/encoder-source.ts';
import type { EncoderInputs, EncoderSource } from './encoders/open-encoder.ts';
import { findModelFolders, type WantedModel } from './model-folder.ts';

/** What a configuration needs of the world outside. */
export interface ConfiguredModels {
  /** Absent where the inputs need no pictures. */
  readonly visual?: EncoderSource<EncoderInputs['visual']>;
  /** Absent where the inputs need no sound. */
  readonly audio?: EncoderSource<EncoderInputs['audio']>;
  /** Models that have to be on this machine, by the key that names them. */
  readonly wanted: Readonly<Record<string, WantedModel>>;
}

/**
 * The models that a configuration names. Encoders that its inputs do not need are left out.
 * @throws InputError where the description of a user's own encoder is not well, with the faults of both
 */
export async function configuredModels({ model }: Config): Promise<ConfiguredModels> {
  const { needs } = inputMode(model.inputs);
  const found = await Promise.allSettled([
    needs.some((feature) => feature !== 'audio') ? encoderSource('visual', model.visualEncoder) : undefined,
    needs.includes('audio') ? encoderSource('audio', model.audioEncoder) : undefined,
  ]);
  const faults = faultsOf(found);
  if (faults.length > 0) throw asOneError(faults);
  const [visual, audio] = found.map((one) => (one.status === 'fulfilled' ? one.value : undefined)) as [
    ConfiguredModels['visual'],
    ConfiguredModels['audio'],
  ];
  return {
    ...(visual && { visual }),
    ...(audio && { audio }),
    wanted: {
      'model.llm': model.llm,
      ...(visual?.model && { 'model.visualEncoder.model': visual.model }),
      ...(audio?.model && { 'model.audioEncoder.model': audio.model }),
    },
  };
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
 *   `configuredModels` and of opening an encoder of the user's own
 */
export async function locateConfiguredModels(config: Config): Promise<LocatedModels> {
  let sources: ConfiguredModels;
  try {
    sources = await configuredModels(config);
  } catch (fault) {
    // Which model an encoder wants is not known without its description.
    const others = { 'model.llm': config.model.llm };
    throw asOneError([fault, ...faultsOf(await Promise.allSettled([find(others)]))]);
  }
  try {
    return { ...sources, folders: findModelFolders(sources.wanted) };
  } catch (missing) {
    // Encoders that want no folder can be looked at all the same.
    const own = [sources.visual, sources.audio].filter((source) => source && source.model === undefined);
    throw asOneError([
      missing,
      ...faultsOf(await Promise.allSettled(own.map((one) => one!.open(undefined)))),
    ]);
  }
}

const find = async (wanted: Readonly<Record<string, WantedModel>>) => findModelFolders(wanted);

import { inputMode } from '../../model/modes.ts';
import { isPlain, type Plain } from '../config/layer.ts';
import type { Config } from '../config/schema.ts';
import { sha256 } from '../io/checksum.ts';

/** Takes dotted keys out of a copy. */
function without(values: Plain, keys: readonly string[]): Plain {
  const copy = structuredClone(values);
  for (const key of keys) {
    const path = key.split('.');
    const parent = path
      .slice(0, -1)
      .reduce<unknown>((inner, name) => (isPlain(inner) ? inner[name] : undefined), copy);
    if (isPlain(parent)) delete parent[path.at(-1)!];
  }
  return copy;
}

/** Keys of a configuration that change nothing of what its training computes, given its other keys. */
function unusedKeys({ model, train, data, fusion }: Config): string[] {
  const { needs, fused } = inputMode(model.inputs);
  const seen = needs.some((feature) => feature !== 'audio');
  const heard = needs.includes('audio');
  return [
    'output',
    ...(train.parts.decoder === 'lora' ? [] : ['lora']),
    ...(fused === null ? ['fusion.multi', 'fusion.queryTokens.multi'] : []),
    ...(fusion.multi === 'none' ? ['fusion.queryTokens.multi'] : []),
    ...(seen ? [] : ['model.visualEncoder', 'model.frames', 'fusion.video', 'fusion.queryTokens.video']),
    ...(heard ? [] : ['model.audioEncoder', 'fusion.audio', 'fusion.queryTokens.audio']),
    ...(data.manifest === null ? [] : ['data.root']),
  ];
}

const canonical = (value: unknown): unknown =>
  isPlain(value)
    ? Object.fromEntries(
        Object.keys(value)
          .sort()
          .map((key) => [key, canonical(value[key])]),
      )
    : value;

/** Stands for what a configuration trains: equal where two differ only in keys that are not used, and in `output`. */
export function effectiveConfig(config: Config): string {
  return JSON.stringify(canonical(without(config, unusedKeys(config))));
}

/** Features of one kind of all samples: computed once, and shared by all points that read them. */
export interface FeatureSet {
  /** Equal for points that share them. */
  readonly key: string;
  readonly kind: 'face' | 'frame' | 'audio';
  /** For people: kind and encoder. */
  readonly title: string;
}

/**
 * What a configuration reads from the feature cache: as much of the key of a cached feature as stands in the
 * configuration, and which samples. Empty where nothing is cached.
 */
export function featureSets({ model, data, compat }: Config): FeatureSet[] {
  if (data.featureCache === null) return [];
  const { manifest, dataset, root, trainSplit, featureCache, faces } = data;
  const samples = { featureCache, trainSplit, ...(manifest === null ? { dataset, root } : { manifest }) };
  return inputMode(model.inputs).needs.map((kind) => {
    const encoder = kind === 'audio' ? model.audioEncoder : model.visualEncoder;
    const { audioNormalisation, audioTail, audioMeanRemoval, faceColorOrder } = compat;
    const policy =
      kind === 'audio'
        ? { audioNormalisation, audioTail, audioMeanRemoval }
        : { frames: model.frames, ...(kind === 'face' && { faceColorOrder, faces }) };
    const frames = kind === 'audio' ? '' : `, ${model.frames} frames`;
    return {
      key: sha256(JSON.stringify({ kind, encoder, policy, samples })),
      kind: kind as FeatureSet['kind'],
      title: `${kind} features of ${encoder.type} ${encoder.model}${frames}`,
    };
  });
}

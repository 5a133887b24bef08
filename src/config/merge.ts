import { COMPAT_PRESETS, isCompatPreset } from './compat.ts';
import { isPlain, type Plain } from './layer.ts';

/** Keys of which only one can hold: a layer that gives one replaces an inherited other. */
const EXCLUSIVE: Readonly<Record<string, readonly [string, string]>> = {
  data: ['dataset', 'manifest'],
  train: ['steps', 'epochs'],
  'train.schedule': ['warmupSteps', 'warmupRatio'],
};

/** Maps whose `type` decides their keys: a layer that gives another type inherits none of them. */
const TYPED: ReadonlySet<string> = new Set(['train.schedule']);

/**
 * Merges `over` into `base`: maps key by key, everything else (lists too) replaced as a whole. Neither is changed.
 * A map of compat switches over the name of a preset changes switches of that preset.
 */
export function mergeLayers(base: Plain, over: Plain, path = ''): Plain {
  const result: Plain = { ...base };
  const exclusive = Object.hasOwn(EXCLUSIVE, path) ? EXCLUSIVE[path] : undefined;
  if (exclusive !== undefined) {
    const given = exclusive.filter((key) => (over[key] ?? null) !== null);
    if (given.length === 1) delete result[exclusive[0] === given[0] ? exclusive[1] : exclusive[0]];
  }
  for (const [key, value] of Object.entries(over)) {
    const keyPath = path === '' ? key : `${path}.${key}`;
    const inherited = inheritedMap(Object.hasOwn(result, key) ? result[key] : undefined, value, keyPath);
    result[key] = isPlain(value) ? mergeLayers(inherited, value, keyPath) : value;
  }
  return result;
}

function inheritedMap(inherited: unknown, value: unknown, path: string): Plain {
  if (path === 'compat' && isCompatPreset(inherited)) return COMPAT_PRESETS[inherited];
  if (!isPlain(inherited)) return {};
  const changesType = isPlain(value) && value.type !== undefined && value.type !== inherited.type;
  return changesType && TYPED.has(path) ? {} : inherited;
}

import type { PickleGlobal, PickleGlobals, PickleValue } from './values.ts';

/** Items given to a constructor: a list of pairs; undefined where they are none. */
function mapOf(items: PickleValue | undefined): Map<PickleValue, PickleValue> | undefined {
  if (items === undefined) return new Map();
  if (items instanceof Map) return new Map(items);
  if (!Array.isArray(items)) return undefined;
  const map = new Map<PickleValue, PickleValue>();
  for (const pair of items) {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined;
    map.set(pair[0]!, pair[1]!);
  }
  return map;
}

const orderedDict: PickleGlobal = {
  construct: (args) => (args.length > 1 ? undefined : mapOf(args[0])),
  // Attributes such as torch's `_metadata` (versions of modules) do not change what a tensor is.
  setState: (_, state) => state instanceof Map,
};

const set: PickleGlobal = {
  construct: ([items, ...more]) => {
    if (more.length > 0) return undefined;
    if (items === undefined) return new Set();
    return Array.isArray(items) || items instanceof Set ? new Set(items) : undefined;
  },
};

/** Up to protocol 2 bytes are written as text to be encoded in Latin-1; an empty one as `bytes()`. */
const encode: PickleGlobal = {
  construct: ([text, encoding, ...more]) => {
    if (typeof text !== 'string' || encoding !== 'latin1' || more.length > 0) return undefined;
    return /^[\0-\xff]*$/.test(text) ? new Uint8Array(Buffer.from(text, 'latin1')) : undefined;
  },
};
const bytes: PickleGlobal = {
  construct: (args) => (args.length === 0 ? new Uint8Array(0) : undefined),
};

/** Containers that pickle writes by name, under Python 3's and Python 2's names. All harmless by themselves. */
export const standardGlobals: PickleGlobals = new Map([
  ['collections.OrderedDict', orderedDict],
  ['_codecs.encode', encode],
  ...['builtins', '__builtin__'].flatMap((module): [string, PickleGlobal][] => [
    [`${module}.set`, set],
    [`${module}.frozenset`, set],
    [`${module}.bytes`, bytes],
  ]),
]);

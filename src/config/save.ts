import { Document, isMap, isScalar, isSeq, visit, type YAMLMap } from 'yaml';
import { COMPAT_PRESETS, COMPAT_SWITCHES, type CompatPreset } from './compat.ts';
import type { Config } from './schema.ts';

/** Width that keeps every list on one line. */
const LINE_WIDTH = 120;

/**
 * A resolved configuration as YAML: every key with its value, those the user gave marked by a comment. Reading it
 * again gives the same configuration.
 */
export function renderConfig(config: Config, sources: ReadonlyMap<string, string> = new Map()): string {
  const document = new Document(config);
  document.commentBefore =
    ' The whole configuration of a run, defaults filled in. "set by user": given in a file or by --set.';
  visit(document, {
    Seq(_, sequence) {
      sequence.flow = true;
    },
  });
  markGiven(document.contents as unknown as YAMLMap, '', sources);
  const compat = document.get('compat');
  const preset = presetOf(config);
  if (isMap(compat) && preset !== undefined) compat.commentBefore = ` as in preset "${preset}"`;
  return document.toString({ lineWidth: LINE_WIDTH, flowCollectionPadding: false });
}

/** The preset that sets all switches as this configuration does. */
function presetOf({ compat }: Config): CompatPreset | undefined {
  const presets = Object.keys(COMPAT_PRESETS) as CompatPreset[];
  return presets.find((name) => COMPAT_SWITCHES.every((key) => COMPAT_PRESETS[name][key] === compat[key]));
}

function markGiven(map: YAMLMap, prefix: string, sources: ReadonlyMap<string, string>): void {
  for (const { key, value } of map.items) {
    const path = `${prefix}${String(isScalar(key) ? key.value : key)}`;
    if (isMap(value)) {
      markGiven(value, `${path}.`, sources);
      // The name of a preset gives all switches below it.
      if (sources.has(path)) for (const item of value.items) mark(item.value);
    } else if (sources.has(path)) {
      mark(value);
    }
  }
}

function mark(node: unknown): void {
  if (isScalar(node) || isSeq(node)) node.comment = ' set by user';
}

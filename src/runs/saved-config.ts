import { isMap, isNode, isScalar, parseDocument, type YAMLMap } from 'yaml';

/** A key of a saved configuration. */
export interface SavedKey {
  /** With dots. */
  readonly key: string;
  readonly value: string;
  readonly isSetByUser: boolean;
}

/** `config.yaml` of a run, as far as it can be read. */
export interface SavedConfig {
  readonly text: string;
  /** In the order of the file; none where it is damaged. */
  readonly keys: readonly SavedKey[];
  readonly fault: string | undefined;
}

/** As `renderConfig` marks what the user gave. */
const mark = 'set by user';

function collect(map: YAMLMap, prefix: string, into: SavedKey[]): void {
  for (const { key, value } of map.items) {
    const path = `${prefix}${String(isScalar(key) ? key.value : key)}`;
    if (isMap(value) && value.items.length > 0) {
      collect(value, `${path}.`, into);
    } else {
      const json: unknown = isNode(value) ? value.toJSON() : value;
      const comment = isNode(value) ? value.comment : undefined;
      into.push({ key: path, value: JSON.stringify(json) ?? '', isSetByUser: comment?.trim() === mark });
    }
  }
}

/** Reads the text of a `config.yaml`; a damaged one is shown as the text that it is. */
export function readSavedConfig(text: string): SavedConfig {
  const document = parseDocument(text, { logLevel: 'silent' });
  const error = document.errors[0];
  if (error !== undefined || !isMap(document.contents)) {
    const fault = error === undefined ? 'it holds no keys' : error.message.split('\n')[0]!;
    return { text, keys: [], fault };
  }
  const keys: SavedKey[] = [];
  try {
    collect(document.contents, '', keys);
  } catch (thrown) {
    // Aliases that multiply are refused while values are read.
    return { text, keys: [], fault: thrown instanceof Error ? thrown.message : String(thrown) };
  }
  return { text, keys, fault: undefined };
}

/** A value for people: text without quotation marks. */
export const shownValue = ({ value }: SavedKey): string =>
  value.startsWith('"') ? String(JSON.parse(value)) : value;

/** A value of a saved configuration, parsed; undefined where the key is not there. */
export function savedValue({ keys }: SavedConfig, key: string): unknown {
  const found = keys.find((one) => one.key === key);
  return found === undefined || found.value === '' ? undefined : JSON.parse(found.value);
}

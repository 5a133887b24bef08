import { stringify } from 'yaml';
import { COMPAT_PRESETS, COMPAT_SWITCHES } from './compat.ts';
import { type ConfigKey, configKeys, configSchemaNode, type SchemaNode } from './outline.ts';

/** JSON Schema of a configuration file, `extends` included, for editors. */
export function configJsonSchema(): SchemaNode {
  const schema = configSchemaNode();
  const extend: SchemaNode = {
    anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
    description:
      'Another configuration file, or a preset such as paper:qwen2-7b/mintrec, whose keys hold where this file gives none; or a list of them, later ones winning.',
  };
  return { ...schema, properties: { extends: extend, ...schema.properties } };
}

const INTRODUCTION = `# Configuration reference

This page is generated from the schema: \`affectgpt config schema --format markdown\`.

A configuration is a YAML file. \`--config NAME\` is looked for in the working folder, then among the files that come
with the package; \`.yaml\` may be left out. \`extends: other.yaml\` (looked for beside the file, then in the package) takes
every key from another file that this one does not give: maps are merged key by key, lists are replaced. A preset is extended
by its name (\`extends: paper:qwen2-7b/mintrec\`; \`affectgpt config presets\` lists all), several files and presets as a list
(\`extends: [mmla-base.yaml, paper:qwen2-7b/mintrec]\`), later ones winning.
\`--set train.steps=100\` gives one key on the command line, its value read as YAML, and \`--set extends=PRESET\` all keys of
a preset; later ones win over earlier ones and over the file. Unknown keys are errors.
Paths are relative to the working folder. Wherever a model is named, a Hugging Face id or a folder will do.
`;

/** The reference page `docs/config.md`. */
export function configReference(): string {
  const parts = configKeys().map((key) => (key.path.includes('.') ? item(key) : heading(key)));
  return `${INTRODUCTION}${parts.join('\n')}${presetsTable()}`;
}

function heading(key: ConfigKey): string {
  const value = key.section ? '' : `\n\n${acceptedValues(key)}`;
  return `\n## ${key.path}\n\n${key.description}${value}\n`;
}

function item(key: ConfigKey): string {
  if (key.section && key.default !== undefined && !isEmptyMap(key.default)) {
    return `- \`${key.path}\` — ${key.description} Default: ${inCode(key.default)}.`;
  }
  return key.section
    ? `- \`${key.path}\` — ${key.description}`
    : `- \`${key.path}\` — ${key.description} ${acceptedValues(key)}`;
}

function acceptedValues(key: ConfigKey): string {
  const fallback = key.default === undefined ? 'no default' : `default ${inCode(key.default)}`;
  return `_${key.type}; ${key.required ? 'required' : fallback}_`;
}

const isEmptyMap = (value: unknown) => JSON.stringify(value) === '{}';

function inCode(value: unknown): string {
  const text = stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: false });
  return `\`${text.trim()}\``;
}

function presetsTable(): string {
  const rows = COMPAT_SWITCHES.map((key) => [
    `\`${key}\``,
    `\`${COMPAT_PRESETS.reference[key]}\``,
    `\`${COMPAT_PRESETS.fixed[key]}\``,
  ]);
  const table = [['switch', '`reference`', '`fixed`'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  const line = (row: string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const rule = line(widths.map((width) => '-'.repeat(width)));
  return `\n### Presets of \`compat\`\n\n${[line(table[0]!), rule, ...table.slice(1).map(line)].join('\n')}\n`;
}

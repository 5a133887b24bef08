import { z } from 'zod';
import { configSchema } from './schema.ts';

/** A node of the JSON Schema that zod writes for the configuration; only what occurs there. */
export interface SchemaNode {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, SchemaNode>;
  required?: string[];
  anyOf?: SchemaNode[];
  oneOf?: SchemaNode[];
  items?: SchemaNode;
  prefixItems?: SchemaNode[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

/** One key of the configuration, as the reference page and error messages need it. */
export interface ConfigKey {
  /** Dotted, such as `train.optimizer.lr`. */
  readonly path: string;
  /** Whether the key holds keys of its own. */
  readonly section: boolean;
  /** Accepted values in words, such as `whole number, at least 1`. */
  readonly type: string;
  readonly description: string;
  readonly required: boolean;
  readonly default?: unknown;
}

/** The configuration as a JSON Schema (draft 2020-12) of what a file may hold. */
export function configSchemaNode(): SchemaNode {
  return z.toJSONSchema(configSchema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      if (jsonSchema.type === 'number' && jsonSchema.multipleOf === 1) {
        jsonSchema.type = 'integer';
        delete jsonSchema.multipleOf;
      }
    },
  }) as SchemaNode;
}

let keys: readonly ConfigKey[] | undefined;

/** Every key of the configuration in its published order, sections before their keys. */
export function configKeys(): readonly ConfigKey[] {
  if (keys === undefined) {
    const found: ConfigKey[] = [];
    collect(configSchemaNode(), '', found);
    keys = found;
  }
  return keys;
}

function collect(node: SchemaNode, prefix: string, into: ConfigKey[]): void {
  for (const variant of objectsOf(node)) {
    for (const [name, child] of Object.entries(variant.properties ?? {})) {
      const path = prefix === '' ? name : `${prefix}.${name}`;
      if (into.some((key) => key.path === path)) continue;
      const section = objectsOf(child).length > 0;
      const isTag = node.oneOf !== undefined && child.const !== undefined;
      const described = isTag ? describeTag(node.oneOf ?? [], name) : child;
      const onlyWith = node.oneOf !== undefined && !isTag ? tagOf(variant) : undefined;
      into.push({
        path,
        section,
        type: typeInWords(described),
        description: `${described.description ?? ''}${onlyWith === undefined ? '' : ` Only with ${onlyWith}.`}`,
        required: variant.required?.includes(name) ?? false,
        ...('default' in child ? { default: child.default } : {}),
      });
      if (section) collect(child, path, into);
    }
  }
}

/** The objects that a node accepts: itself, or its alternatives. */
function objectsOf(node: SchemaNode): SchemaNode[] {
  if (node.properties !== undefined) return [node];
  return (node.oneOf ?? node.anyOf ?? []).flatMap(objectsOf);
}

/** The key that tells alternatives apart, as one choice of all their values. */
function describeTag(variants: SchemaNode[], name: string): SchemaNode {
  const tags = variants.map((variant) => variant.properties?.[name]);
  return {
    enum: tags.map((tag) => tag?.const),
    description: tags.map((tag) => `\`${tag?.const}\`: ${tag?.description}`).join(' '),
  };
}

function tagOf(variant: SchemaNode): string | undefined {
  const tag = Object.entries(variant.properties ?? {}).find(([, child]) => child.const !== undefined);
  return tag === undefined ? undefined : `\`${tag[0]}: ${String(tag[1].const)}\``;
}

/** Accepted values in words. */
function typeInWords(node: SchemaNode): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(' | ');
  const alternatives = node.anyOf ?? node.oneOf;
  if (alternatives !== undefined) return [...new Set(alternatives.map(typeInWords))].join(' | ');
  switch (node.type) {
    case 'integer':
    case 'number':
      return [node.type === 'integer' ? 'whole number' : 'number', ...rangeInWords(node)].join(', ');
    case 'boolean':
      return '`true` | `false`';
    case 'string':
      return 'text';
    case 'null':
      return '`null`';
    case 'object':
      return 'map of keys';
    default:
      break;
  }
  if (node.prefixItems !== undefined)
    return `list of ${node.prefixItems.length}: ${typeInWords(node.prefixItems[0] ?? {})}`;
  if (node.items !== undefined) return `list of ${typeInWords(node.items)}`;
  throw new Error(`No words for a part of the configuration schema: ${JSON.stringify(node)}`);
}

function rangeInWords(node: SchemaNode): string[] {
  return [
    node.minimum === undefined ? '' : `at least ${node.minimum}`,
    node.exclusiveMinimum === undefined ? '' : `above ${node.exclusiveMinimum}`,
    node.maximum === undefined ? '' : `at most ${node.maximum}`,
    node.exclusiveMaximum === undefined ? '' : `below ${node.exclusiveMaximum}`,
  ].filter((words) => words !== '');
}

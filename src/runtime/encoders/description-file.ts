import { z } from 'zod';
import { isPlain, type Layer, parseLayer } from '../../config/layer.ts';
import { suggest } from '../../config/suggest.ts';
import { InputError } from '../../errors.ts';
import { readText } from '../../io/filesystem.ts';
import type { Modality } from './open-encoder.ts';

/** Collects what is wrong with an encoder's files and says it at once, with lines of the description. */
export class DescriptionFaults {
  readonly #faults: { readonly line: number; readonly message: string }[] = [];
  readonly #file: string;
  readonly #lineOf: Layer['lineOf'];

  constructor(file: string, lineOf: Layer['lineOf'] = () => undefined) {
    this.#file = file;
    this.#lineOf = lineOf;
  }

  /** @param key dotted; '' for the whole file */
  add(key: string, message: string): void {
    const line = this.#lineOf(key.split('.')) ?? 0;
    this.#faults.push({ line, message: key === '' ? message : `${key}: ${message}` });
  }

  /** @throws InputError of that code where anything was added */
  throwAny(code: string, headline: string): void {
    if (this.#faults.length === 0) return;
    const lines = this.#faults
      .toSorted((left, right) => left.line - right.line)
      .map(({ line, message }) => `  ${this.#file}${line === 0 ? '' : `:${line}`}  ${message}`);
    throw new InputError(code, `${headline}\n${lines.join('\n')}`);
  }
}

/** A description that was read, and where its keys stand. */
export interface ReadDescription<Description> {
  readonly file: string;
  readonly description: Description;
  readonly lineOf: Layer['lineOf'];
}

/**
 * Reads a description of an encoder.
 * @throws InputError `ENCODER_DESCRIPTION_INVALID` with every fault and its line, `ENCODER_MODALITY`
 */
export async function readDescription<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  modality: Modality,
): Promise<ReadDescription<z.output<Schema>>> {
  const { layer, problems } = parseLayer(await readText(file), file);
  if (problems.length > 0) {
    const lines = problems.map(({ where, message }) => `  ${where}  ${message}`);
    throw new InputError('ENCODER_DESCRIPTION_INVALID', `The encoder cannot be read:\n${lines.join('\n')}`);
  }
  const { values, lineOf } = layer;
  const other = modality === 'visual' ? 'audio' : 'visual';
  if (values.modality === other) {
    throw new InputError(
      'ENCODER_MODALITY',
      `${file} describes an encoder of modality "${other}"; model.${modality}Encoder needs ${modality === 'visual' ? 'a visual' : 'an audio'} one.`,
    );
  }
  const parsed = schema.safeParse(values);
  if (parsed.success) return { file, description: parsed.data, lineOf };
  const faults = new DescriptionFaults(file, lineOf);
  addIssues(faults, schema, parsed.error.issues, values);
  faults.throwAny('ENCODER_DESCRIPTION_INVALID', `The encoder ${file} is not described well:`);
  throw parsed.error;
}

type Issue = z.core.$ZodIssue;

function addIssues(faults: DescriptionFaults, schema: z.ZodType, issues: readonly Issue[], values: unknown) {
  for (const issue of issues.flatMap((one) => intoChoice(one, values))) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const known = keysAt(schema, issue.path);
        const meant = suggest(key, known);
        const hint = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean "${meant}"?`;
        faults.add([...issue.path, key].join('.'), `unknown key; ${hint}`);
      }
    } else {
      const value = valueAt(values, issue.path);
      const found = value === undefined ? 'missing' : `found ${JSON.stringify(value)}`;
      faults.add(issue.path.join('.'), `${found}; ${issue.message}`);
    }
  }
}

/** Of a choice between a path or number and a map, the faults of the map where a map was given. */
function intoChoice(issue: Issue, values: unknown): Issue[] {
  if (issue.code !== 'invalid_union' || !isPlain(valueAt(values, issue.path))) return [issue];
  const branch = issue.errors.find((errors) =>
    errors.some((error) => error.path.length > 0 || error.code === 'unrecognized_keys'),
  );
  return (branch ?? []).flatMap((inner) =>
    intoChoice({ ...inner, path: [...issue.path, ...inner.path] } as Issue, values),
  );
}

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value);

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly anyOf?: readonly SchemaNode[];
}

/** Names of the keys that may stand at a place of a description. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  const node = path.reduce<SchemaNode | undefined>(
    (inner, key) => propertiesOf(inner)[String(key)],
    z.toJSONSchema(schema, { io: 'input' }) as SchemaNode,
  );
  return Object.keys(propertiesOf(node));
}

function propertiesOf(node: SchemaNode | undefined): Readonly<Record<string, SchemaNode>> {
  return node?.properties ?? Object.assign({}, ...(node?.anyOf ?? []).map(propertiesOf));
}

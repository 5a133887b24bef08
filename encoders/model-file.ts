import { z } from 'zod';
import { InputError } from '../src/errors.ts';

/** A size or a number of things. */
export const count = z.int().positive();

const shown = (value: unknown): string => JSON.stringify(value) ?? 'undefined';

/** Square sizes as Hugging Face writes them: one number, or twice the same. */
export const squareSize = z.union(
  [
    count,
    z
      .tuple([count, count])
      .refine(([height, width]) => height === width)
      .transform(([edge]) => edge),
  ],
  { error: ({ input }) => `is ${shown(input)}; supported are squares, given as one number of pixels` },
);

/** A switch of which one value is supported, which is also its default; any other would change the features. */
export function only<Value extends string | number | boolean | null>(value: Value) {
  const error = (issue: { readonly input?: unknown }): string =>
    `is ${shown(issue.input)}; only ${shown(value)} is supported`;
  return z.literal(value, { error }).default(value as never);
}

/** One of several names, where the key is there at all. */
export function oneOf<const Name extends string>(...names: readonly Name[]) {
  const error = (issue: { readonly input?: unknown }): string =>
    `is ${shown(issue.input)}; supported is ${names.join(', ')}`;
  return z.enum(names as readonly [Name, ...Name[]], { error }).optional();
}

/**
 * Checks parsed JSON of a model folder against a schema.
 * @throws InputError `ENCODER_CONFIG_INVALID` naming the file and every fault
 */
export function parseModelFile<Schema extends z.ZodType>(
  schema: Schema,
  json: unknown,
  fileName: string,
): z.output<Schema> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const faults = result.error.issues.map(
    (issue) => `${issue.path.join('.') || '(whole file)'}: ${issue.message}`,
  );
  throw new InputError(
    'ENCODER_CONFIG_INVALID',
    `The ${fileName} does not describe a usable model: ${faults.join('; ')}.`,
  );
}

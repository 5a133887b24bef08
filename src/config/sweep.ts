import { z } from 'zod';
import { InputError } from '../errors.ts';
import { inWords, isPlain, type Plain, type Problem } from './layer.ts';
import { suggest } from './suggest.ts';
import { seed, text } from './values.ts';

/** A figure of a run, and which of two is better. */
const metric = z.union([
  text(),
  z.strictObject({
    name: text().describe('Which figure.'),
    better: z.enum(['lower', 'higher']).describe('Which of two values is the better one.'),
  }),
]);

/** A sweep file: a configuration and what varies in it. Unknown keys are errors. */
export const sweepSchema = z.strictObject({
  base: text().describe(
    'Configuration that every point begins with: a file beside the sweep file, or found as `--config` is.',
  ),
  set: z
    .record(text(), z.unknown())
    .default({})
    .describe('Dotted configuration keys that hold for all points, over those of the base.'),
  grid: z
    .record(text(), z.array(z.unknown()).min(1))
    .default({})
    .describe(
      'Axes that multiply. Of each a dotted configuration key with a list of its values; or any name with a list of `{label, set: {key: value, …}}`, so that one axis sets several keys.',
    ),
  zip: z
    .array(z.record(text(), z.array(z.unknown()).min(1)))
    .default([])
    .describe(
      'Axes of several keys that move together: of each item the first values of all its keys, then the second ones, … Several items multiply.',
    ),
  exclude: z
    .array(z.record(text(), z.unknown()))
    .default([])
    .describe('Points that are left out: those that have all the values of an item.'),
  seeds: z
    .array(seed())
    .default([])
    .describe(
      'Values of `train.seed` that every point is trained with; means and deviations are taken over them. None: the seed of the base.',
    ),
  metric: z
    .union([metric, z.array(metric).min(1)])
    .default('train.loss')
    .describe(
      'What is reported, one or several: `train.loss` (mean of the last tenth of the logged steps), `validation.METRIC` and `validation.best.METRIC`, `evaluation.METRIC` (such as `evaluation.accuracy` or `evaluation.weighted.f1`), `mer-unibench.SET` or `mer-unibench.mean`, or `FILE.json:KEY.KEY` of a file in the run folder. Lower is better of a loss, higher of all else, unless given as `{name, better}`.',
    ),
  compare: z
    .record(text(), z.unknown())
    .nullable()
    .default(null)
    .describe(
      'Values of the point that all others are compared with. `null` takes the one that equals the base, or else the first.',
    ),
  published: z
    .array(text())
    .default([])
    .describe(
      'Ablations of the AffectGPT paper that the results are laid over: `pre-fusion`, `visual-encoder`, `acoustic-encoder`, `lora-rank`, `inputs`, `frames`, `data-filter`. For `mer-unibench.mean`, `.fine`, `.basic` and `.sentiment`.',
    ),
  after: z
    .array(text())
    .default([])
    .describe(
      'Commands of affectgpt that follow the training of each point, words separated by spaces, such as `eval mer-unibench --checkpoint {run} --data-root DIR`; `{run}` stands for the run folder.',
    ),
  output: text().describe('Folder of the sweep: points in `points/`, results, and what was asked for.'),
});

export type SweepFile = z.infer<typeof sweepSchema>;
export type MetricName = z.infer<typeof metric>;

/** The keys of a sweep file. */
export const sweepKeys = Object.keys(sweepSchema.shape);

/** The keys of a sweep file with what they mean, a line each. */
export function sweepKeyLines(): string[] {
  const width = Math.max(...sweepKeys.map((key) => key.length));
  return Object.entries(sweepSchema.shape).map(([key, { description }]) => {
    // Keys without a default have to be given.
    const isRequired = !sweepSchema.shape[key as keyof SweepFile].safeParse(undefined).success;
    return `${key.padEnd(width)}  ${description ?? ''}${isRequired ? ' Required.' : ''}`;
  });
}

/** One error that lists every problem. @returns InputError `SWEEP_INVALID` */
export function sweepInvalid(problems: readonly Problem[], label: string): InputError {
  const lines = problems.map(({ where, message }) => `  ${where}  ${message}`);
  const errors = problems.length === 1 ? '1 error' : `${problems.length} errors`;
  return new InputError(
    'SWEEP_INVALID',
    `The sweep ${label} is not valid (${errors}):\n${lines.join('\n')}\nNothing was started.`,
  );
}

/**
 * Checks the keys of a sweep file.
 * @param whereIs `file:line` of a key
 */
export function parseSweepFile(
  values: Plain,
  whereIs: (path: readonly PropertyKey[]) => string,
): { readonly file?: SweepFile; readonly problems: readonly Problem[] } {
  const parsed = sweepSchema.safeParse(values);
  if (parsed.success) return { file: parsed.data, problems: [] };
  const problems = parsed.error.issues.flatMap((issue): Problem[] => {
    const where = whereIs(issue.path);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => {
        const meant = suggest(key, sweepKeys);
        const hint =
          meant === undefined ? `; known are ${sweepKeys.join(', ')}` : `; did you mean "${meant}"?`;
        const path = [...issue.path, key];
        return { where: whereIs(path), message: `${path.join('.')}: unknown key${hint}` };
      });
    }
    const key = issue.path.join('.') || 'the sweep';
    const found = issue.path.reduce<unknown>(
      (inner, name) =>
        Array.isArray(inner) ? inner[Number(name)] : isPlain(inner) ? inner[String(name)] : undefined,
      values,
    );
    const what = found === undefined ? 'missing' : `found ${inWords(found)}`;
    return [{ where, message: `${key}: ${expected(key, issue.message)}; ${what}` }];
  });
  return { problems };
}

/** What a key takes, in words. */
function expected(key: string, message: string): string {
  if (/^grid\.[^0-9]/.test(key)) return 'expected a list of values, at least one';
  if (/^zip\.\d+\./.test(key)) return 'expected a list of values, as long as the others of this item';
  if (/^zip/.test(key)) return 'expected a list of maps, each of keys with lists of equal length';
  if (/^(grid|set|compare|exclude\.\d+)$/.test(key)) return 'expected a map of dotted keys';
  if (/^seeds/.test(key)) return 'expected a list of whole numbers from 0';
  if (/^metric/.test(key))
    return 'expected the name of a figure, {name, better: lower | higher}, or a list of these';
  if (/^(base|output)$/.test(key)) return 'expected text';
  return message.toLowerCase().replace(/^invalid input: /, '');
}

import { existsSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { Engine } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { readText } from '../../src/io/filesystem.ts';
import { readTensors } from '../support/fixture.ts';
import { reasonOf } from './compare.ts';
import type { Comparison, Golden, ParityFixture } from './handler.ts';
import { parityKinds } from './kinds.ts';

export interface FixtureReport {
  readonly folder: string;
  /** null where the folder could not be read. */
  readonly kind: string | null;
  readonly ok: boolean;
  readonly seconds: number;
  readonly tensors: readonly Comparison[];
  /** Why nothing, or not everything, was compared. */
  readonly error?: string;
  /** Stored tensors that golden.json does not describe: they are not compared. */
  readonly undescribed?: readonly string[];
}

export interface Report {
  readonly engine: string;
  readonly fixtures: readonly FixtureReport[];
  readonly ok: boolean;
}

const tensorSchema = z.looseObject({
  role: z.enum(['input', 'expected']),
  dtype: z.string(),
  shape: z.array(z.int().nonnegative()),
  max_abs_diff: z
    .number()
    .nonnegative()
    .nullish()
    .transform((value) => value ?? undefined),
});
const goldenSchema = z.looseObject({
  fixture: z.string(),
  tensors: z.record(z.string(), tensorSchema).optional(),
});

/**
 * Opens a folder of reference results.
 * @throws InputError where it, its golden.json or its golden.safetensors cannot be read, `PARITY_GOLDEN_INVALID`
 */
async function openFixture(folder: string): Promise<ParityFixture> {
  const file = path.join(folder, 'golden.json');
  const invalid = (what: string, cause?: unknown): InputError =>
    new InputError('PARITY_GOLDEN_INVALID', `${file} does not describe a fixture: ${what}.`, { cause });
  const text = await readText(file);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(`it is not JSON (${(error as Error).message})`, error);
  }
  const parsed = goldenSchema.safeParse(json);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw invalid(faults.join('; '));
  }
  const stored = path.join(folder, 'golden.safetensors');
  return {
    folder,
    golden: parsed.data as Golden,
    tensors: existsSync(stored) ? await readTensors(stored) : {},
  };
}

/** Whether a folder could not even be read, which is another exit code than a miss. */
export const isUnreadable = ({ kind }: FixtureReport): boolean => kind === null;

/** Runs the handler of one folder; whatever goes wrong is in the report. */
export async function runFixture(folder: string, engine: Engine): Promise<FixtureReport> {
  const begin = performance.now();
  const seconds = (): number => (performance.now() - begin) / 1000;
  const failed = (kind: string | null, error: string): FixtureReport => ({
    folder,
    kind,
    ok: false,
    seconds: seconds(),
    tensors: [],
    error,
  });
  let fixture: ParityFixture;
  try {
    fixture = await openFixture(folder);
  } catch (error) {
    return failed(null, reasonOf(error));
  }
  const kind = fixture.golden.fixture;
  const handler = Object.hasOwn(parityKinds, kind) ? parityKinds[kind] : undefined;
  if (handler === undefined) {
    return failed(
      kind,
      `"${kind}" is not a known kind of fixture; known are ${Object.keys(parityKinds).join(', ')}.`,
    );
  }
  try {
    const tensors = await handler(fixture, engine);
    const described = fixture.golden.tensors ?? {};
    const undescribed = Object.keys(fixture.tensors).filter((name) => described[name] === undefined);
    return {
      folder,
      kind,
      ok: tensors.length > 0 && tensors.every((comparison) => comparison.ok),
      seconds: seconds(),
      tensors,
      ...(tensors.length === 0 && { error: 'Nothing was compared: golden.json lists no expected tensor.' }),
      ...(undescribed.length > 0 && { undescribed }),
    };
  } catch (error) {
    return failed(kind, reasonOf(error));
  }
}

import { join } from 'node:path';
import { z } from 'zod';
import type { HostTensor, HostTensorMap } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import { writeFileAtomic, writeFolderAtomic } from '../src/io/atomic.ts';
import { readText } from '../src/io/filesystem.ts';
import {
  openSafetensors,
  readTensor,
  type SafetensorsTensor,
  writeSafetensors,
} from '../src/io/safetensors.ts';
import { checkpointName } from './checkpoint-folders.ts';

const dumpFormatVersion = 1;

const files = {
  step: 'step.json',
  config: 'config.yaml',
  batch: 'batch.safetensors',
  parameters: 'parameters.safetensors',
} as const;

/** JSON has no NaN and no infinity. */
const number = z
  .union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity'])])
  .transform((value) => Number(value));
const jsonNumber = (value: number): number | string => (Number.isFinite(value) ? value : String(value));

const count = z.number().int().min(0);
const stepSchema = z.strictObject({
  formatVersion: z.literal(dumpFormatVersion),
  step: count.min(1),
  epoch: count.min(1),
  seed: z.number().int(),
  engine: z.string(),
  /** Samples of each micro-batch. */
  samples: z.array(z.array(z.string())) as z.ZodType<readonly (readonly string[])[]>,
  /** Micro-batches whose inputs are stored: those with supervised tokens. */
  microBatches: count.min(1),
  supervisedTokens: count.min(1),
  learningRate: z.number(),
  /** Updates of the parameters, this one included. */
  update: count.min(1),
  accumulate: z.boolean(),
  loss: number,
  gradNorm: number,
  /** The first tensor that was not finite. */
  fault: z.strictObject({ tensor: z.string(), value: number }),
  /** The checkpoint that the run had saved last, or gone on from. */
  lastCheckpoint: z.string().nullable(),
});

/** `step.json` of a dump. */
export type DumpedStep = z.output<typeof stepSchema>;

/** A step with all that it takes to compute it again, save the frozen weights. */
export interface Dump {
  readonly step: DumpedStep;
  readonly microBatches: readonly HostTensorMap[];
  /** The trained tensors as they were before the step. */
  readonly parameters: HostTensorMap;
}

const dtypes = { float32: 'F32', int32: 'I32', bool: 'U8' } as const;

const stored = ({ dtype, shape, data }: HostTensor): SafetensorsTensor => ({
  dtype: dtypes[dtype],
  shape,
  data,
});

const storedAll = (tensors: HostTensorMap, prefix = ''): Record<string, SafetensorsTensor> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${prefix}${name}`, stored(tensor)]));

/**
 * Writes `dumps/step-<step>` into a run folder, complete or not at all. It holds what is learnt from (token ids and
 * features, no media), the weights that are trained, and the configuration.
 *
 * @param configText the run's `config.yaml`; without it the dump cannot be replayed by the command
 * @returns the folder
 * @throws InputError those of `fileError`
 */
async function writeDump(
  runFolder: string,
  {
    step,
    microBatches,
    parameters,
  }: { step: Omit<DumpedStep, 'formatVersion' | 'microBatches'> } & Omit<Dump, 'step'>,
  configText: string | undefined,
): Promise<string> {
  const folder = join(runFolder, 'dumps', checkpointName(step.step));
  const { loss, gradNorm, fault, ...rest } = step;
  const json = {
    formatVersion: dumpFormatVersion,
    ...rest,
    microBatches: microBatches.length,
    loss: jsonNumber(loss),
    gradNorm: jsonNumber(gradNorm),
    fault: { ...fault, value: jsonNumber(fault.value) },
  };
  const inputs = microBatches.map((batch, i) => storedAll(batch, `${i}/`));
  await writeFolderAtomic(
    folder,
    async (temporary) => {
      await writeSafetensors(join(temporary, files.batch), Object.assign({}, ...inputs));
      await writeSafetensors(join(temporary, files.parameters), storedAll(parameters));
      await writeFileAtomic(join(temporary, files.step), `${JSON.stringify(json, null, 2)}\n`);
      if (configText !== undefined) await writeFileAtomic(join(temporary, files.config), configText);
    },
    { existing: 'replace' },
  );
  return folder;
}

/** As `writeDump`; one that cannot be written stops nothing, since the numbers are what counts. @returns what to say of it */
export const tryDump = (...dump: Parameters<typeof writeDump>): Promise<string> =>
  writeDump(...dump).then(
    (folder) => `Written to ${folder}; affectgpt train --replay ${folder} computes it again.`,
    (error: unknown) => `Its batch could not be written: ${error instanceof Error ? error.message : error}`,
  );

async function readTensors(path: string): Promise<HostTensorMap> {
  const tensors: Record<string, HostTensor> = {};
  for (const [name, entry] of (await openSafetensors(path)).entries) {
    const dtype = (Object.keys(dtypes) as (keyof typeof dtypes)[]).find((key) => dtypes[key] === entry.dtype);
    if (dtype === undefined) {
      throw new InputError(
        'DUMP_INVALID',
        `${path}: tensor "${name}" has the unexpected type ${entry.dtype}.`,
      );
    }
    tensors[name] = { dtype, shape: [...entry.shape], data: (await readTensor(entry)) as HostTensor['data'] };
  }
  return tensors;
}

/** @throws InputError `DUMP_INVALID`, and those of `fileError` and `openSafetensors` */
export async function readDump(folder: string): Promise<Dump> {
  const path = join(folder, files.step);
  const text = await readText(path);
  let step: DumpedStep;
  try {
    step = stepSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new InputError(
      'DUMP_INVALID',
      `${path} is not what a training dumps (format version ${dumpFormatVersion}): ${error instanceof z.ZodError ? z.prettifyError(error) : 'it is no JSON'}.`,
      { cause: error },
    );
  }
  const inputs = await readTensors(join(folder, files.batch));
  const microBatches = Array.from({ length: step.microBatches }, (_, i) =>
    Object.fromEntries(
      Object.entries(inputs)
        .filter(([name]) => name.startsWith(`${i}/`))
        .map(([name, tensor]) => [name.slice(`${i}/`.length), tensor]),
    ),
  );
  return { step, microBatches, parameters: await readTensors(join(folder, files.parameters)) };
}

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { packageVersion } from '../src/config/package-folder.ts';
import { findMediaTools } from '../src/data/media/ffmpeg.ts';
import type { Engine } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import { writeFileAtomic } from '../src/io/atomic.ts';
import { readText } from '../src/io/filesystem.ts';
import { isJsonObject } from '../src/io/json.ts';

const environmentName = 'environment.json';

const environmentSchema = z.object({
  startedAt: z.string(),
  /** Step that the run went on from. */
  step: z.number().int().min(0),
  affectgpt: z.string(),
  node: z.string(),
  engine: z.object({
    name: z.string(),
    threads: z.number().nullable(),
    /** That trained together, where there were several. */
    devices: z.number().optional(),
    /** fp32 where absent. */
    precision: z.enum(['fp32', 'bf16']).optional(),
    /** The shared library that computes, and its version, where it comes from no package. */
    library: z.object({ file: z.string(), version: z.string() }).optional(),
  }),
  /** Versions of the packages that compute, by name. */
  packages: z.record(z.string(), z.string()),
  os: z.string(),
  cpu: z.string(),
  /** That the process may use. */
  cores: z.number(),
  memoryBytes: z.number(),
  host: z.string(),
  workingFolder: z.string(),
  command: z.array(z.string()).nullable(),
  /** Of the working folder; null where it is in no repository, or there is no git. */
  git: z.object({ commit: z.string(), changed: z.boolean() }).nullable(),
  /** First line of `ffmpeg -version`; null where there is none. */
  ffmpeg: z.string().nullable(),
});

/** Where and with what a run was started: an entry of `environment.json`. */
export type Environment = z.output<typeof environmentSchema>;

const computingPackages = [
  'onnxruntime-node',
  'koffi',
  '@tensorflow/tfjs',
  '@tensorflow/tfjs-backend-wasm',
  '@tensorflow/tfjs-node-gpu',
  '@tensorflow/tfjs-node',
  '@huggingface/tokenizers',
  '@huggingface/transformers',
];

/** The version of an installed package; some do not let their package.json be imported, so it is looked for. */
function versionOf(name: string): string | undefined {
  for (const folder of createRequire(import.meta.url).resolve.paths(name) ?? []) {
    try {
      const json: unknown = JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8'));
      return isJsonObject(json) ? String(json.version) : undefined;
    } catch {
      // It may lie further up.
    }
  }
  return undefined;
}

async function git(): Promise<Environment['git']> {
  const run = async (...args: string[]): Promise<string | undefined> => {
    const result = await execa('git', args, { reject: false, timeout: 5000, stdin: 'ignore' });
    return result.exitCode === 0 ? result.stdout : undefined;
  };
  const commit = await run('rev-parse', 'HEAD');
  if (commit === undefined) return null;
  const changes = await run('status', '--porcelain', '--untracked-files=no');
  return { commit: commit.trim(), changed: changes?.trim() !== '' };
}

/** @param threads of the engine; null where it has no such number */
export async function describeEnvironment(
  engine: Engine,
  { step, command }: { readonly step: number; readonly command: readonly string[] | null },
): Promise<Environment> {
  const [commit, tools] = await Promise.all([git(), findMediaTools().catch(() => undefined)]);
  const versions = computingPackages.flatMap((name) => {
    const version = versionOf(name);
    return version === undefined ? [] : [[name, version] as const];
  });
  const { name, devices = 1, precision = 'fp32', library } = engine;
  const threads = 'threads' in engine && typeof engine.threads === 'number' ? engine.threads : null;
  return {
    startedAt: new Date().toISOString(),
    step,
    affectgpt: packageVersion(),
    node: process.versions.node,
    engine: {
      ...{ name, threads, precision },
      ...(devices > 1 && { devices }),
      ...(library !== undefined && { library: { ...library } }),
    },
    packages: Object.fromEntries(versions),
    os: `${os.type()} ${os.release()} ${process.arch}`,
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    host: os.hostname(),
    workingFolder: process.cwd(),
    command: command === null ? null : [...command],
    git: commit,
    ffmpeg: tools?.version ?? null,
  };
}

/**
 * The starts of a run so far, oldest first; none where nothing is noted.
 * @throws InputError `ENVIRONMENT_INVALID`, and those of `readText`
 */
export async function readEnvironments(folder: string): Promise<readonly Environment[]> {
  const path = join(folder, environmentName);
  let text: string;
  try {
    text = await readText(path);
  } catch (error) {
    if (error instanceof InputError && error.code === 'FILE_NOT_FOUND') return [];
    throw error;
  }
  try {
    return z.object({ starts: z.array(environmentSchema) }).parse(JSON.parse(text)).starts;
  } catch (error) {
    throw new InputError('ENVIRONMENT_INVALID', `${path} is not the record of the starts of a run.`, {
      cause: error,
    });
  }
}

/**
 * Adds a start to `environment.json`: `{"starts": [...]}`, one entry for the beginning of a run and for each resumption.
 * A run that begins has no earlier ones.
 *
 * @throws InputError those of `fileError`
 */
export async function recordEnvironment(folder: string, environment: Environment): Promise<void> {
  // One that was damaged begins anew: a record of the past does not stop a training.
  const before = environment.step === 0 ? [] : await readEnvironments(folder).catch(() => []);
  const text = JSON.stringify({ starts: [...before, environment] }, null, 2);
  await writeFileAtomic(join(folder, environmentName), `${text}\n`);
}

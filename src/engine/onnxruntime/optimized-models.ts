import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as ort from 'onnxruntime-node';
import { cacheFolder } from '../cache-folder.ts';
import { CompileCache } from '../compile-cache.ts';

/** Names the folder of optimized graphs; empty keeps none. */
export const optimizedModelsVariable = 'AFFECTGPT_ONNXRUNTIME_CACHE';

/** Where optimized graphs are kept between runs; null for nowhere. */
export const optimizedModelsFolder = (): string | null =>
  cacheFolder(optimizedModelsVariable, 'onnxruntime-graphs');

/** Smaller graphs are optimized faster than it is worth a file. */
export const leastModelBytes = 2 ** 16;

/** What optimizing may add: constants of sizes. Where it has folded weights, they would lie on disk twice. */
const mostAddedBytes = 2 ** 18;

/** Host tensors above this are not read for their checksum. */
const mostHashedBytes = 2 ** 24;

type SessionOptions = ort.InferenceSession.SessionOptions;

/** A graph to make a session of. */
export interface SessionModel {
  readonly model: Uint8Array;
  readonly options: SessionOptions;
  /** Files that the graph takes weights from. */
  readonly weightFiles: readonly string[];
  /** Host tensors that the graph takes weights from. */
  readonly weightData: readonly Uint8Array[];
}

/**
 * What an optimized graph depends on beside the graph: folded constants may be of weights, and kernels are chosen for
 * the processor. Undefined where that is not to be had.
 */
async function identityOf({ options, weightFiles, weightData }: SessionModel): Promise<string[] | undefined> {
  if (weightData.reduce((sum, { byteLength }) => sum + byteLength, 0) > mostHashedBytes) return undefined;
  const { graphOptimizationLevel, extra } = options;
  const files = await Promise.all(
    weightFiles.map(async (file) => {
      const { size, mtimeMs } = await stat(file);
      return `${file} ${size} ${Math.round(mtimeMs)}`;
    }),
  );
  const hash = createHash('sha256');
  for (const data of weightData) hash.update(data);
  return [
    `onnxruntime ${ort.env.versions.node}`,
    `${process.platform} ${process.arch} ${os.cpus()[0]?.model ?? ''}`,
    JSON.stringify({ graphOptimizationLevel, extra }),
    hash.digest('hex'),
    ...files,
  ];
}

/** Makes a session and gives the graph as onnxruntime has optimized it; undefined where that cannot be written. */
async function createAndSave({ model, options }: SessionModel, folder: string) {
  const draft = path.join(folder, `${randomUUID()}.part`);
  try {
    await mkdir(folder, { recursive: true });
    const session = await ort.InferenceSession.create(model, { ...options, optimizedModelFilePath: draft });
    return { session, optimized: await readFile(draft) };
  } catch {
    return undefined;
  } finally {
    await rm(draft, { force: true }).catch(() => {});
  }
}

/**
 * A session of a graph. What onnxruntime makes of the graph is kept on disk, so that the next run need not optimize it
 * again; the results are the same to the bit. Where nothing can be kept the session is made all the same.
 *
 * @throws Error of onnxruntime where it does not take the graph
 */
export async function createSession(
  source: SessionModel,
  folder: string | null = optimizedModelsFolder(),
): Promise<ort.InferenceSession> {
  const { model, options } = source;
  const isWorthIt = folder !== null && model.byteLength >= leastModelBytes;
  const identity = isWorthIt ? await identityOf(source).catch(() => undefined) : undefined;
  if (folder === null || identity === undefined) return ort.InferenceSession.create(model, options);
  const cache = new CompileCache(folder, identity);
  const kept = await cache.read(model);
  if (kept !== undefined && kept.length > 0) {
    return ort.InferenceSession.create(kept, { ...options, graphOptimizationLevel: 'disabled' });
  }
  const made = kept === undefined ? await createAndSave(source, folder) : undefined;
  if (made === undefined) return ort.InferenceSession.create(model, options);
  const { session, optimized } = made;
  // Nothing is kept of a graph with folded weights but that there is nothing.
  const isSmall = optimized.length <= model.length + mostAddedBytes;
  await cache.write(model, isSmall ? optimized : Buffer.alloc(0));
  return session;
}

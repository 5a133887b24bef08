import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

/** All calls of one ONNX operator in a run. */
export interface ProfileRow {
  readonly op: string;
  /** Mean calls in a run. */
  readonly calls: number;
  /** Mean milliseconds in a run. */
  readonly milliseconds: number;
  /** Multiplications and additions in a run; matrix products only. */
  readonly flops?: number;
}

/** Where the time of a compiled function goes, means over its runs; the first, which allocates, is left out where there are others. */
export interface Profile {
  readonly runs: number;
  /** Of a whole run; what the rows do not account for is spent between operators. */
  readonly milliseconds: number;
  /** By time, largest first. */
  readonly rows: readonly ProfileRow[];
}

/** What is read of an event of onnxruntime's trace (Chrome's trace format; times in microseconds). */
interface TraceEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

const products = new Set(['MatMul', 'Gemm', 'FusedMatMul', 'FusedGemm']);

/** 2 x size of the left side x columns of the result: right for any combination of transposes and batch axes. */
function productFlops({ args }: TraceEvent): number {
  const left = Object.values(args?.input_type_shape?.[0] ?? {})[0] ?? [];
  const result = Object.values(args?.output_type_shape?.[0] ?? {})[0] ?? [];
  return 2 * left.reduce((product, size) => product * size, 1) * (result.at(-1) ?? 1);
}

/** @param trace the JSON text that onnxruntime writes when profiling ends */
export function parseProfile(trace: string): Profile {
  const events = JSON.parse(trace) as TraceEvent[];
  const allRuns = events.filter((event) => event.cat === 'Session' && event.name === 'model_run');
  const runs = allRuns.length > 1 ? allRuns.slice(1) : allRuns;
  if (runs.length === 0) return { runs: 0, milliseconds: 0, rows: [] };
  const from = Math.min(...runs.map((run) => run.ts));
  const sums = new Map<string, { calls: number; microseconds: number; flops: number }>();
  for (const event of events) {
    const op = event.args?.op_name;
    if (event.cat !== 'Node' || op === undefined || !event.name.endsWith('_kernel_time')) continue;
    if (event.ts < from) continue;
    const sum = sums.get(op) ?? { calls: 0, microseconds: 0, flops: 0 };
    sum.calls++;
    sum.microseconds += event.dur;
    if (products.has(op)) sum.flops += productFlops(event);
    sums.set(op, sum);
  }
  const rows = [...sums].map(([op, { calls, microseconds, flops }]): ProfileRow => {
    const means = { calls: calls / runs.length, milliseconds: microseconds / 1000 / runs.length };
    return products.has(op) ? { op, ...means, flops: flops / runs.length } : { op, ...means };
  });
  rows.sort((a, b) => b.milliseconds - a.milliseconds);
  const total = runs.reduce((sum, run) => sum + run.dur, 0);
  return { runs: runs.length, milliseconds: total / 1000 / runs.length, rows };
}

/** A folder of its own that one session writes its trace to. */
export class ProfileFolder {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(): Promise<ProfileFolder> {
    return new ProfileFolder(await mkdtemp(path.join(os.tmpdir(), 'affectgpt-profile-')));
  }

  /** To be given to the session, which adds the time to it. */
  get prefix(): string {
    return path.join(this.#folder, 'trace');
  }

  /** What has been written, after profiling ended; the folder is removed. */
  async take(): Promise<Profile> {
    const [file] = await readdir(this.#folder);
    const profile = parseProfile(
      file === undefined ? '[]' : await readFile(path.join(this.#folder, file), 'utf8'),
    );
    await this.remove();
    return profile;
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

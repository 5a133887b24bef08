import type { OpenCase } from '../../bench/case.ts';
import { profileLines, profileTable } from '../../bench/profile.ts';
import { benchResult, benchTable } from '../../bench/result.ts';
import { measureRoof } from '../../bench/roof.ts';
import { createEngine, type EngineName } from '../../engine/engines.ts';
import type { Precision } from '../../engine/types.ts';
import { usageError } from '../errors.ts';

export interface RunOptions {
  readonly engine: EngineName;
  readonly precision: Precision | 'auto';
  readonly threads: number;
  readonly runs: number;
  readonly profile: boolean;
  readonly json: boolean;
}

const write = (text: string): boolean => process.stdout.write(text);

/** Measures one case and prints what was found: a line of JSON, or tables. */
export async function runBench(open: OpenCase, options: RunOptions): Promise<void> {
  const { engine: type, precision, threads, runs, json } = options;
  if (options.profile && type !== 'onnxruntime')
    throw usageError(`--profile needs the engine onnxruntime; ${type} records no operators.`);
  const engine = await createEngine({ type, precision, threads });
  const one = await open(engine);
  const result = await benchResult(one, engine, { threads, runs }, () => measureRoof(engine)).finally(() =>
    one.dispose(),
  );
  if (!json) write(benchTable([result]));
  const profile = options.profile ? await recordProfiles(open, options, result.roof_gflops_per_s) : undefined;
  if (json) write(`${JSON.stringify({ ...result, ...(profile && { profile: profile.lines }) })}\n`);
  else if (profile !== undefined) write(profile.tables);
}

/** Runs the case again while the engine records: recording slows it down, so its times are no result. */
async function recordProfiles(open: OpenCase, { threads, runs }: RunOptions, knownRoof: number | undefined) {
  const { OnnxruntimeEngine } = await import('../../engine/onnxruntime/engine.ts');
  const roof = knownRoof ?? (await measureRoof(new OnnxruntimeEngine({ threads })));
  const engine = new OnnxruntimeEngine({ threads, profile: true });
  const one = await open(engine);
  try {
    for (let run = 0; run < runs; run++) await one.run();
    const profiles = Object.entries(await engine.takeProfiles());
    return {
      lines: Object.fromEntries(profiles.map(([name, profile]) => [name, profileLines(profile, roof)])),
      tables: profiles.map(([name, profile]) => profileTable(name, profile, roof)).join(''),
    };
  } finally {
    await one.dispose();
  }
}

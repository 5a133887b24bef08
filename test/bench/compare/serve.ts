import { createInterface } from 'node:readline';
import { env } from 'onnxruntime-node';
import type { OpenCase } from '../../../src/bench/case.ts';
import { openEncode } from '../../../src/bench/encode.ts';
import { openGenerate } from '../../../src/bench/generate.ts';
import { peakMemory } from '../../../src/bench/machine.ts';
import { measureRoof } from '../../../src/bench/roof.ts';
import { openTrainStep } from '../../../src/bench/train-step.ts';
import { createEngine, type EngineName } from '../../../src/engine/engines.ts';
import type { Precision } from '../../../src/engine/types.ts';

/**
 * Our side of a comparison: one case in a process of its own, in the same lines as the peer; see `LineProcess`. Its argument
 * is JSON with case, size, engine and threads.
 */
interface Spec {
  readonly case: string;
  readonly size: string;
  readonly engine: EngineName;
  readonly precision: Precision;
  readonly threads: number;
}

const openers: Readonly<Record<string, (size: string) => OpenCase>> = {
  'train-step': (size) => (engine) => openTrainStep(engine, size as 's'),
  encode: (size) => (engine) => openEncode(engine, size as 'clip'),
  generate: (size) => (engine) => openGenerate(engine, size as 'm'),
};

const spec = JSON.parse(process.argv[2]!) as Spec;
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

try {
  const engine = await createEngine({ type: spec.engine, precision: spec.precision, threads: spec.threads });
  const one = await openers[spec.case]!(spec.size)(engine);
  const versions = { node: process.versions.node, 'onnxruntime-node': env.versions.node ?? 'unknown' };
  say(`ready ${JSON.stringify({ first_ms: one.firstMs, versions })}`);
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, count] = line.split(' ');
    if (word === 'run') {
      const runs = [];
      for (let i = 0; i < Number(count); i++) {
        const { ms, promptMs } = await one.run();
        runs.push({ ms, ...(promptMs !== undefined && { prompt_ms: promptMs }) });
      }
      say(JSON.stringify({ runs }));
    } else if (word === 'end') {
      const peak = peakMemory();
      await one.dispose();
      say(JSON.stringify({ peak_rss_mb: peak, roof_gflops_per_s: await measureRoof(engine) }));
      break;
    }
  }
  // Some engines keep threads that would keep the process.
  process.exit(0);
} catch (error) {
  say(`failed ${JSON.stringify({ reason: error instanceof Error ? error.message : String(error) })}`);
  process.exit(1);
}

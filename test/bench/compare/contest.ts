import { setTimeout as pause } from 'node:timers/promises';
import { median } from '../../../src/bench/machine.ts';
import { type LineProcess, ProcessFailure, type Run } from './line-process.ts';

/** What one process reached in one case. */
export interface Figures {
  readonly ms: number;
  readonly promptMs: number | null;
  readonly firstMs: number;
  readonly peakMb: number;
  readonly roof: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** Figures, or why there are none. */
export type Outcome = Figures | { readonly failure: string };
export const isFigures = (outcome: Outcome | undefined): outcome is Figures =>
  outcome !== undefined && 'ms' in outcome;

export interface Contestant {
  readonly name: string;
  start(): LineProcess;
}

/** How long threads that wait actively for work may do so after a block. */
const settleMilliseconds = 300;

/**
 * Starts one process after the other, then has each measure a block while the others idle, round after round. A process
 * that fails drops out with its reason; the others go on.
 *
 * @param notify told what is being done
 */
export async function contest(
  contestants: readonly Contestant[],
  { block, rounds }: { readonly block: number; readonly rounds: number },
  notify: (message: string) => void,
): Promise<Readonly<Record<string, Outcome>>> {
  const outcomes: Record<string, Outcome> = {};
  const running = new Map<string, { process: LineProcess; runs: Run[] }>();
  const started = new Map<string, Pick<Figures, 'firstMs' | 'versions'>>();
  const attempt = async (name: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ProcessFailure)) throw error;
      outcomes[name] = { failure: error.message };
      notify(`${name} failed: ${error.message}`);
      await running.get(name)?.process.kill();
      running.delete(name);
    }
  };
  try {
    for (const { name, start } of contestants) {
      notify(`starting ${name} …`);
      running.set(name, { process: start(), runs: [] });
      await attempt(name, async () => {
        const { first_ms: firstMs, versions } = await running.get(name)!.process.ready();
        started.set(name, { firstMs, versions });
      });
    }
    for (let round = 0; round < rounds; round++) {
      for (const [name, { process, runs }] of [...running]) {
        await pause(settleMilliseconds);
        await attempt(name, async () => {
          const measured = await process.run(block);
          runs.push(...measured);
          const ms = median(measured.map((run) => run.ms)).toFixed(1);
          notify(`round ${round + 1} of ${rounds}: ${name} ${ms} ms`);
        });
      }
    }
    for (const [name, { process, runs }] of [...running]) {
      await attempt(name, async () => {
        const { peak_rss_mb: peakMb, roof_gflops_per_s: roof } = await process.end();
        const prompts = runs.flatMap((run) => run.prompt_ms ?? []);
        outcomes[name] = {
          ...{ ms: median(runs.map((run) => run.ms)), peakMb, roof, ...started.get(name)! },
          promptMs: prompts.length === 0 ? null : median(prompts),
        };
      });
    }
    return outcomes;
  } finally {
    for (const { process } of running.values()) await process.kill();
  }
}

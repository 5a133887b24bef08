import { setTimeout } from 'node:timers/promises';
import { type Collective, everyRanks, single } from '../src/collective/collective.ts';
import { AffectGptError } from '../src/errors.ts';
import type { OpenSamples } from '../src/runtime/samples.ts';
import { type Interrupt, type InterruptSignal, interruptExitCodes } from './interrupts.ts';
import { formatDuration } from './progress.ts';
import { agreeOnSignal } from './ranks.ts';

/** Says that a signal came while features were computed. */
function stoppedBefore(
  signal: InterruptSignal,
  ready: number,
  { source, store }: OpenSamples,
): AffectGptError {
  const kept = store.folder === null ? 'nothing keeps them (data.featureCache is null)' : 'they are kept';
  return new AffectGptError(
    'STOPPED',
    `Stopped by ${signal} before the first step, while features were computed: those of ${ready} of ${source.names.length} samples are ready, and ${kept}. The same command goes on from there.`,
    interruptExitCodes[signal],
  );
}

/** Between two messages about features that are being computed. */
const featureMessageMilliseconds = 15_000;
/** Between two looks of the ranks at each other. */
const lookMilliseconds = 500;

/**
 * Does this rank's part of what takes long. A signal to any rank stops all of them.
 *
 * @param work is to end soon when `isStopped` says so
 * @returns the signal, on every rank
 */
async function workTogether(
  collective: Collective,
  interrupt: Interrupt | undefined,
  work: (isStopped: () => boolean) => Promise<void>,
): Promise<InterruptSignal | undefined> {
  let signal: InterruptSignal | undefined;
  let isWorking = true;
  let failure: { readonly error: unknown } | undefined;
  const working = work(() => (signal ?? interrupt?.requested) !== undefined)
    .catch((error: unknown) => {
      failure = { error };
    })
    .finally(() => {
      isWorking = false;
    });
  if (collective.size === 1) await working;
  for (let isOver = false; !isOver; ) {
    if (failure !== undefined) throw failure.error;
    ({ signal, isOver } = await agreeOnSignal(collective, interrupt?.requested, isWorking));
    if (!isOver) await (isWorking ? Promise.race([working, setTimeout(lookMilliseconds)]) : setTimeout(50));
  }
  await working;
  if (failure !== undefined) throw failure.error;
  return signal;
}

/**
 * Fills the feature cache, says how much of it was there, and frees the encoders: the model needs the memory. Ranks that
 * share a cache on disk divide the samples that it does not hold yet; each then reads all of them.
 *
 * @throws AffectGptError `STOPPED` with the exit code of a signal, after the samples in progress
 */
export async function prepareFeatures(
  samples: OpenSamples,
  say: (message: string) => void,
  interrupt?: Interrupt,
  collective: Collective = single,
): Promise<void> {
  const started = performance.now();
  let said = started;
  const { source, store } = samples;
  let ready = 0;
  const onProgress = (done: number, total: number): void => {
    ready = done;
    if (performance.now() - said < featureMessageMilliseconds) return;
    said = performance.now();
    say(`Features: ${done} of ${total} samples are ready.`);
  };
  const parts = [(isStopped: () => boolean) => source.prepare(onProgress, isStopped)];
  if (collective.size > 1 && store.folder !== null) {
    parts.unshift((isStopped) => source.prepareShare(collective, onProgress, isStopped));
  }
  for (const part of parts) {
    const signal = await workTogether(collective, interrupt, part);
    if (signal !== undefined) throw everyRanks(stoppedBefore(signal, ready, samples));
  }
  const counts = Float64Array.of(store.counts.computed);
  await collective.allReduce(counts);
  const computed = counts[0]!;
  if (computed > 0) {
    const seconds = (performance.now() - started) / 1000;
    const cached = collective.size > 1 ? '' : `, ${store.counts.fromDisk} from the cache`;
    say(`Features: ${computed} computed${cached}, in ${formatDuration(seconds)}.`);
  }
  await samples.releaseEncoders();
}

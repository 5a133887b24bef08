/** Signals that ask a run to stop after saving. */
export type InterruptSignal = 'SIGINT' | 'SIGTERM' | 'SIGUSR2';

/** Exit codes of a run that was stopped; 75 asks for a requeue. */
export const interruptExitCodes = { SIGINT: 130, SIGTERM: 143, SIGUSR2: 75 } as const;

/** Asked between steps: whether the run is to stop. */
export interface Interrupt {
  readonly requested: InterruptSignal | undefined;
}

/** What the watch needs of a process. */
interface SignalSource {
  on(signal: InterruptSignal, listener: () => void): unknown;
  off(signal: InterruptSignal, listener: () => void): unknown;
}

/** What a program is doing when a signal comes. */
export type Activity = 'preparing' | 'training' | 'scoring';

/** What a first signal brings about, by what is being done, before the process stops. */
const consequences: Readonly<Record<Activity, string>> = {
  preparing: 'finishing the samples in progress, then stopping before the first step',
  training: 'finishing this step, saving, then stopping',
  scoring: 'finishing the samples in progress, then stopping without a score',
};

/** An interrupt that listens to signals until it is disposed of. */
export interface SignalWatch extends Interrupt {
  /** To be kept up to date by whoever goes from one to the next; `training` at first. */
  activity: Activity;
  dispose(): void;
}

/**
 * Listens to Ctrl-C (SIGINT), SIGTERM and SIGUSR2. The first signal is kept for the run to see between two steps. A
 * second SIGINT or SIGTERM ends the process at once, with the exit code of that signal; what was saved stays whole. A
 * scheduler's SIGTERM after its SIGUSR2 does not count as second. Signals are seen when the running step is done.
 *
 * @param options.notify is told what happens next
 */
export function watchInterrupts(options: {
  readonly notify: (message: string) => void;
  readonly source?: SignalSource;
  readonly exit?: (code: number) => void;
}): SignalWatch {
  const { notify, source = process, exit = process.exit } = options;
  let requested: InterruptSignal | undefined;
  let stopsAsked = 0;
  const receive = (signal: InterruptSignal): void => {
    if (signal !== 'SIGUSR2') stopsAsked++;
    if (stopsAsked > 1) {
      exit(interruptExitCodes[signal]);
    } else if (requested === undefined) {
      requested = signal;
      const atOnce = watch.activity === 'training' ? 'at once, without saving' : 'at once';
      const again = signal === 'SIGUSR2' ? '' : ` (once more: ${atOnce})`;
      notify(`${signal}: ${consequences[watch.activity]}${again}.`);
    }
  };
  // Windows has no SIGUSR2 to listen to.
  const signals: InterruptSignal[] =
    process.platform === 'win32' ? ['SIGINT', 'SIGTERM'] : ['SIGINT', 'SIGTERM', 'SIGUSR2'];
  const listeners = signals.map((signal) => [signal, () => receive(signal)] as const);
  for (const [signal, listener] of listeners) source.on(signal, listener);
  const watch: SignalWatch = {
    activity: 'training',
    get requested() {
      return requested;
    },
    dispose: () => {
      for (const [signal, listener] of listeners) source.off(signal, listener);
    },
  };
  return watch;
}

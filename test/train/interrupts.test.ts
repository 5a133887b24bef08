import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type InterruptSignal, watchInterrupts } from '../../train/interrupts.ts';

function watch() {
  const source = new EventEmitter();
  const exits: number[] = [];
  const messages: string[] = [];
  const interrupt = watchInterrupts({
    source,
    exit: (code) => exits.push(code),
    notify: (message) => messages.push(message),
  });
  const send = (...signals: InterruptSignal[]) => {
    for (const signal of signals) source.emit(signal);
  };
  return { source, exits, messages, interrupt, send };
}

describe('watchInterrupts', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGUSR2'] as const)('keeps a first %s for the run to see', (signal) => {
    const { interrupt, exits, messages, send } = watch();
    expect(interrupt.requested).toBeUndefined();
    send(signal);
    expect(interrupt.requested).toBe(signal);
    expect(exits).toEqual([]);
    expect(messages).toEqual([expect.stringContaining(signal)]);
  });

  it.each([
    [
      'preparing',
      'SIGINT',
      'finishing the samples in progress, then stopping before the first step (once more: at once).',
    ],
    [
      'training',
      'SIGTERM',
      'finishing this step, saving, then stopping (once more: at once, without saving).',
    ],
    ['scoring', 'SIGUSR2', 'finishing the samples in progress, then stopping without a score.'],
  ] as const)('says what happens next while %s', (activity, signal, next) => {
    const { interrupt, messages, send } = watch();
    interrupt.activity = activity;
    send(signal);
    expect(messages).toEqual([`${signal}: ${next}`]);
  });

  it.each([
    ['SIGINT', 'SIGINT', 130],
    ['SIGINT', 'SIGTERM', 143],
    ['SIGTERM', 'SIGINT', 130],
  ] as const)('%s and then %s ends the process at once', (first, second, code) => {
    const { exits, send } = watch();
    send(first, second);
    expect(exits).toEqual([code]);
  });

  it('goes on saving for a requeue when the scheduler follows SIGUSR2 by SIGTERM', () => {
    const { interrupt, exits, send } = watch();
    send('SIGUSR2', 'SIGUSR2', 'SIGTERM');
    expect(interrupt.requested).toBe('SIGUSR2');
    expect(exits).toEqual([]);
    send('SIGTERM');
    expect(exits).toEqual([143]);
  });

  it('stops listening when disposed of', () => {
    const { source, interrupt } = watch();
    expect(source.listenerCount('SIGINT')).toBe(1);
    interrupt.dispose();
    expect(source.eventNames()).toEqual([]);
  });

  it('hears real signals', async () => {
    const interrupt = watchInterrupts({ notify: () => {}, exit: () => {} });
    process.kill(process.pid, 'SIGUSR2');
    await expect.poll(() => interrupt.requested).toBe('SIGUSR2');
    interrupt.dispose();
  });
});

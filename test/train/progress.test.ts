import { describe, expect, it } from 'vitest';
import { formatBar, formatDuration, formatProgress, ProgressDisplay } from '../../train/progress.ts';

const shown = {
  ...{ step: 5, steps: 20, loss: 1.23456, lr: 1e-5, tokensPerSecond: 321.4, mfu: 0.4567 },
  ...{ memory: { now: 1.234e9, peak: 1.5e9 }, secondsLeft: 75 },
};
const line =
  'step 5/20  loss 1.2346  lr 1.00e-5  321 tokens/s  MFU 45.7 %  RSS 1.23 GB (peak 1.50)  ETA 1m 15s';

describe('a line of progress', () => {
  it('shows loss, learning rate, speed, utilisation, memory and time left', () => {
    expect(formatProgress(shown)).toBe(line);
    expect([0.4, 59.4, 60, 3599, 3600, 90_061].map(formatDuration)).toEqual([
      ...['0s', '59s', '1m 00s', '59m 59s', '1h 00m', '25h 01m'],
    ]);
  });

  it('leaves out what is not known', () => {
    const { mfu: _, memory: __, ...known } = shown;
    expect(formatProgress(known)).toBe('step 5/20  loss 1.2346  lr 1.00e-5  321 tokens/s  ETA 1m 15s');
  });

  it('on a terminal has a bar, and loses the least important parts where it is narrow', () => {
    expect(formatBar(shown, 200)).toBe(`[#####---------------] ${line}`);
    expect(formatBar(shown, 110)).toBe(`[###-------] ${line.replaceAll('  ', ' ')}`);
    expect(formatBar(shown, 80)).toBe(
      '[###-------] step 5/20 loss 1.2346 lr 1.00e-5 321 tokens/s MFU 45.7 % ETA 1m 15s',
    );
    expect(formatBar(shown, 79)).toBe(
      '[###-------] step 5/20 loss 1.2346 lr 1.00e-5 321 tokens/s ETA 1m 15s',
    );
    expect(formatBar(shown, 60)).toBe('[###-------] step 5/20 loss 1.2346 321 tokens/s ETA 1m 15s');
    expect(formatBar(shown, 50)).toBe('[###-------] step 5/20 loss 1.2346 ETA 1m 15s');
    expect(formatBar(shown, 20)).toBe('[###-------] step 5/');
    expect(formatBar({ ...shown, step: 20 }, 30, 'decoder: ')).toBe('[##########] decoder: step 20/');
  });
});

describe('the display', () => {
  const terminal = (columns: number, isTTY = true) => {
    const written: string[] = [];
    return { isTTY, columns, write: (text: string) => written.push(text), written };
  };

  it('is one line that is drawn over, no wider than the terminal, with messages above it', () => {
    const stream = terminal(61);
    const display = new ProgressDisplay(stream, 'decoder');
    display.message('Before.');
    display.update(shown, false);
    display.message('Saved.');
    display.close();
    const drawn = '\r\u001b[2K[###-------] decoder: step 5/20 loss 1.2346 ETA 1m 15s';
    expect(stream.written).toEqual([
      'decoder: Before.\n',
      drawn,
      '\r\u001b[2Kdecoder: Saved.\n',
      drawn,
      '\n',
    ]);
  });

  it('is plain lines in a pipe, without a bar', () => {
    const stream = terminal(40, false);
    const display = new ProgressDisplay(stream);
    display.update(shown, false);
    display.update(shown, true);
    display.message('Saved.');
    display.close();
    expect(stream.written).toEqual([`${line}\n`, 'Saved.\n']);
  });
});

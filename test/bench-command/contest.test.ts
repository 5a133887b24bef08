import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Contestant, contest } from '../bench/compare/contest.ts';
import { LineProcess } from '../bench/compare/line-process.ts';
import { checkPeer } from '../bench/compare/peer.ts';

const script = fileURLToPath(new URL('fake-peer.mjs', import.meta.url));
const fake = (name: string, milliseconds: number, fault = ''): Contestant => ({
  name,
  start: () => new LineProcess(process.execPath, [script, String(milliseconds), fault]),
});

describe('a contest', () => {
  it('takes turns and gives the median of each', async () => {
    const messages: string[] = [];
    const outcomes = await contest([fake('ours', 10), fake('eager', 50)], { block: 3, rounds: 2 }, (m) =>
      messages.push(m),
    );
    // 10 to 15: the upper of the two in the middle.
    expect(outcomes.ours).toEqual({
      ...{ ms: 13, promptMs: null, firstMs: 12.5, peakMb: 100, roof: 200, versions: { fake: '1.0' } },
    });
    expect(outcomes.eager).toMatchObject({ ms: 53 });
    const turns = messages.filter((message) => message.startsWith('round')).map((m) => m.split(' ')[4]);
    expect(turns).toEqual(['ours', 'eager', 'ours', 'eager']);
  });

  it('goes on without a process that fails, and says why it did', async () => {
    const outcomes = await contest(
      [
        fake('ours', 10),
        fake('eager', 50, 'death'),
        fake('compiled', 50, 'compilation'),
        fake('short', 50, 'fewer'),
        fake('loud', 50, 'noise'),
        { name: 'absent', start: () => new LineProcess('/nowhere/python', []) },
      ],
      { block: 2, rounds: 2 },
      () => {},
    );
    expect(outcomes.ours).toMatchObject({ ms: 12 });
    expect(outcomes).toMatchObject({
      eager: { failure: 'it ended with exit code 3: out of memory' },
      compiled: { failure: 'no compiler' },
      short: { failure: '2 runs were due, it answered with 1' },
      loud: { failure: '"ready" was due, it wrote: hello' },
    });
    expect(outcomes.absent).toMatchObject({ failure: expect.stringContaining('ENOENT') });
  });

  it('needs an interpreter that has the packages', async () => {
    await expect(checkPeer('/nowhere/python')).rejects.toMatchObject({ code: 'PEER_MISSING', exitCode: 4 });
    await expect(checkPeer('/nowhere/python')).rejects.toThrow('pip install torch transformers peft');
  });
});

import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { makeWorkspace, run, set, succeed } from './workspace.ts';

const workspace = await makeWorkspace();
const { path, config, rows, writeManifest } = workspace;
const argv = (settings: Record<string, unknown>, ...more: string[]) => [
  ...['train', '--config', config, ...set(settings), ...more],
];
/** Weights beyond all measure after the first step: the loss of the second is NaN. */
const explosive = { 'train.optimizer.lr': 1e30, 'train.optimizer.weightDecay': 0, 'train.steps': 3 };

afterEach(() => writeManifest('manifest.jsonl', rows));

describe('a training whose numbers explode', () => {
  const output = path('exploded');
  it('stops with exit code 3, names the step, and leaves a dump that replays', async () => {
    const { exitCode, err } = await run(...argv({ output, ...explosive }));
    expect(err).toMatch(/error\[(LOSS|GRADIENT)_NOT_FINITE\]: Step \d: .*samples of this step: /);
    expect(exitCode).toBe(3);
    const [name] = await readdir(path('exploded', 'dumps'));
    const dump = path('exploded', 'dumps', name!);
    expect(err).toContain(`affectgpt train --replay ${dump}`);
    expect((await readdir(dump)).sort()).toEqual([
      ...['batch.safetensors', 'config.yaml', 'parameters.safetensors', 'step.json'],
    ]);
    // Nothing but the dump and the model is needed.
    const manifest = path('clips', 'manifest.jsonl');
    await rm(manifest);
    for (const engine of [undefined, 'cpu']) {
      const again = await run('train', '--replay', dump, ...(engine ? ['--engine', engine] : []));
      expect(again.exitCode).toBe(3);
      expect(again.err).toMatch(/error\[REPLAY_NOT_FINITE\]/);
      expect(again.out).toMatch(new RegExp(`Now, on ${engine ?? 'onnxruntime'}: loss `));
      if (engine === undefined) expect(again.out).toContain('the same bits');
      expect(again.out).toMatch(/Gradients: [1-9]\d* of \d+ tensors are not finite/);
    }
  }, 60_000);

  it('is refused a dump that is none, and --engine without --replay', async () => {
    const none = await run('train', '--replay', path('clips'));
    expect(none.exitCode).toBe(2);
    const engine = await run(...argv({ output }, '--engine', 'cpu'));
    expect({ exitCode: engine.exitCode, text: engine.err }).toEqual({
      exitCode: 2,
      text: expect.stringContaining('replay'),
    });
  });
});

describe('a run that cannot go on', () => {
  const output = path('done');
  it('is refused before features are computed', async () => {
    await succeed(...argv({ output, 'train.steps': 2 }));
    const elsewhere = { output, 'data.featureCache': path('other-features') };
    const complete = await run(...argv({ ...elsewhere, 'train.steps': 2 }));
    expect(complete.err).toMatch(/error\[RUN_COMPLETE\]: .*step 2 of 2.*Set train\.steps higher to train on/);
    const changed = rows.map((row, i) => (i === 1 ? { ...row, subtitle: 'Something else.' } : row));
    await writeManifest('manifest.jsonl', [...changed.slice(1), { ...rows[0]!, name: 'another' }]);
    const data = await run(...argv({ ...elsewhere, 'train.steps': 4 }));
    await writeManifest('manifest.jsonl', rows);
    expect(data.err).toContain('error[RESUME_DATA_CHANGED]');
    expect(data.err).toContain(
      `1 added (another), 1 removed (${rows[0]!.name}), 1 changed (${rows[1]!.name})`,
    );
    expect([complete.exitCode, data.exitCode]).toEqual([2, 2]);
    expect(existsSync(path('other-features'))).toBe(false);
    // As before it goes on.
    await succeed(...argv({ ...elsewhere, output, 'train.steps': 3 }));
  });
});

describe('a training that is stopped while features are computed', () => {
  it('keeps those that are ready and exits with the code of the signal', async () => {
    const features = path('stopped-features');
    const running = run(...argv({ output: path('early'), 'data.featureCache': features }));
    let over = false;
    void running.finally(() => {
      over = true;
    });
    while (!existsSync(features) && !over) await setTimeout(2);
    process.emit('SIGINT');
    const { exitCode, err } = await running;
    expect(err).toMatch(
      /error\[STOPPED\]: Stopped by SIGINT before the first step, while features were computed: those of [0-4] of 5 samples are ready, and they are kept\. The same command goes on from there\./,
    );
    expect(exitCode).toBe(130);
    expect(existsSync(path('early'))).toBe(false);
    const again = await succeed(
      ...argv({ output: path('early'), 'data.featureCache': features, 'train.steps': 1 }),
    );
    expect(again.err).toMatch(/Features: \d computed, [1-9] from the cache/);
  });
});

import { mkdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import type { RunStatus } from '../../train/run-status.ts';
import { jsonLines } from '../support/json-lines.ts';

/** Writes files below a folder: text as it is, lists as JSON Lines, anything else as JSON. */
export async function fill(folder: string, files: Readonly<Record<string, unknown>>): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    const text =
      typeof content === 'string'
        ? content
        : Array.isArray(content)
          ? jsonLines(content)
          : JSON.stringify(content);
    await writeFile(path, text);
  }
  return folder;
}

/** A status that says that the run is done. */
export const status = (change: Partial<RunStatus> = {}): RunStatus => ({
  ...{ state: 'done', pid: 1, host: hostname(), processStart: null },
  ...{ startedAt: '2026-03-01T10:00:00.000Z', updatedAt: '2026-03-01T11:00:00.000Z' },
  ...{ step: 40, steps: 40, checkpoint: 'step-000040', exitCode: 0, version: '0.1.0' },
  command: ['affectgpt', 'train', '--config', 'my config.yaml', '--set', "data.root=a'b"],
  ...change,
});

/** Lines of metrics, one each step. */
export const metrics = (steps: number) =>
  Array.from({ length: steps }, (_, i) => ({
    ...{ step: i + 1, loss: 3 - i / steps, lr: 1e-4, gradNorm: 1 + (i % 3) },
    ...{ tokens: 100 * (i + 1), tokensPerSecond: 50, samples: 2 * (i + 1), seconds: 2 * (i + 1) },
  }));

/** A validation with an answer about one clip. */
export const validation = (step: number, loss: number, text: string, name = 'clip-1') => ({
  ...{ step, loss, samples: 1, supervisedTokens: 5, seconds: 1, set: 'abc' },
  metrics: { emotionF: step / 100 },
  answers: [{ name, question: 'What is felt?', text, finish: 'stop', expected: 'joy' }],
});

import { execFileSync } from 'node:child_process';
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FeatureStore } from '../../src/data/feature-store.ts';
import { FeatureExtractor } from '../../src/data/features.ts';
import { startMediaClock } from '../../src/data/media/ffmpeg.ts';
import { probeMedia } from '../../src/data/media/probe.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const folder = folderForFile();
const path = process.env.PATH;
/** Programs that hang on every file, and that start another one which holds their output open. */
beforeAll(async () => {
  for (const name of ['ffmpeg', 'ffprobe']) {
    const lines = [
      '#!/bin/sh',
      'if [ "$1" = "-version" ]; then echo "ffmpeg version hanging"; exit 0; fi',
      `echo $$ >> "${folder}/processes"`,
      `sh -c 'echo $$ >> "${folder}/processes"; exec sleep 300' &`,
      'wait',
    ];
    await writeFile(join(folder, name), `${lines.join('\n')}\n`);
    await chmod(join(folder, name), 0o755);
  }
  process.env.PATH = `${folder}${delimiter}${path}`;
  await writeFile(join(folder, 'clip.mp4'), 'content');
});
afterAll(async () => {
  process.env.PATH = path;
});

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    // A process that nobody has waited for yet is dead all the same.
    return !/^State:\s*Z/m.test(execFileSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' }));
  } catch {
    return false;
  }
};

/** Both processes of every run are gone. */
async function expectNoneAlive(runs: number): Promise<void> {
  const processes = (await readFile(join(folder, 'processes'), 'utf8')).trim().split('\n').map(Number);
  expect(processes).toHaveLength(2 * runs);
  for (let tries = 0; tries < 100 && processes.some(isAlive); tries++) await setTimeout(50);
  expect(processes.filter(isAlive)).toEqual([]);
  await rename(join(folder, 'processes'), join(folder, 'seen'));
}

it('a program that hangs is ended with its children, and the error names file and setting', async () => {
  const file = join(folder, 'clip.mp4');
  await expect(probeMedia(file, { timeoutSeconds: 0.5 })).rejects.toMatchObject({
    code: 'MEDIA_TIMEOUT',
    exitCode: 2,
    message: expect.stringMatching(/clip\.mp4 took longer than 0\.5 s.*data\.decodeTimeout/),
  });
  await expectNoneAlive(1);
});

it('all runs over a file share its time', async () => {
  const clock = startMediaClock({ timeoutSeconds: 0.5 });
  const deadline = performance.now() - 1;
  await expect(probeMedia(join(folder, 'clip.mp4'), { ...clock, deadline })).rejects.toMatchObject({
    code: 'MEDIA_TIMEOUT',
  });
});

it('training is told which file it waits for, then which sample it is', async () => {
  const notices: string[] = [];
  const notify = (message: string): void => void notices.push(message);
  const features = new FeatureExtractor({
    store: new FeatureStore({ folder: null, notify }),
    visual: { identity: 'v', encode: () => Promise.reject(new Error('nothing to encode')) },
    frames: 8,
    audioTail: 'div8',
    faceColors: { stored: 'bgr', encoded: 'bgr' },
    media: { timeoutSeconds: 0.5 },
    notify,
  });
  const file = join(folder, 'clip.mp4');
  const record = { name: 'a', video: file, origin: 'm.jsonl, row 1' };
  await expect(features.one(record, { kind: 'frame', file, column: 'video' })).rejects.toMatchObject({
    code: 'MEDIA_TIMEOUT',
    message: expect.stringMatching(/^m\.jsonl, row 1, sample "a": .*clip\.mp4 took longer than 0\.5 s/),
  });
  expect(notices).toEqual([expect.stringMatching(/Still reading .*clip\.mp4 after 0\.25 s/)]);
});

it('a pipe is refused before anything opens it', async () => {
  const pipe = join(folder, 'pipe.mp4');
  execFileSync('mkfifo', [pipe]);
  await expect(probeMedia(pipe)).rejects.toMatchObject({
    code: 'MEDIA_MISSING',
    message: expect.stringContaining('a pipe'),
  });
});

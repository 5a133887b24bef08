import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { makeWorkspace, set, succeed } from '../e2e/workspace.ts';
import { exportAndAsk } from '../support/asked-run.ts';
import { copyExample } from '../support/example-copy.ts';

const { path, config, manifest } = await makeWorkspace();
await succeed('train', '--config', config, ...set({ 'train.steps': 12, 'train.log.every': 12 }));
const { exported, clips } = await exportAndAsk(path('run'), manifest, path());

const { folder, remove } = await copyExample('node');
afterAll(remove);
const { path: packagedFfmpeg } = createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as {
  path: string;
};
/** Runs the copied program as a user would. */
const answer = async (...args: string[]) => {
  // After those that are there: the program under test takes the same one as `predict`.
  const env = { ...process.env, PATH: `${process.env.PATH}${delimiter}${dirname(packagedFfmpeg)}` };
  const options = { cwd: folder, env };
  return promisify(execFile)(process.execPath, [join(folder, 'answer.mjs'), exported, ...args], options);
};

describe('the example for Node, copied out of this project', () => {
  it('answers as predict does about every clip, token for token', async () => {
    expect(new Set(clips.map(({ text }) => text)).size).toBeGreaterThan(2);
    for (const { video, subtitle, text, tokens } of clips) {
      const { stdout, stderr } = await answer(video, '--subtitle', subtitle, '--json');
      expect({ ...JSON.parse(stdout), stderr }).toEqual({ text, tokens, stderr: '' });
    }
  });

  it('prints the text alone, and takes another question', async () => {
    const { video, subtitle, text } = clips[0]!;
    expect((await answer(video, '--subtitle', subtitle)).stdout).toBe(`${text}\n`);
    const question = 'Is the person happy?';
    const given = ['--subtitle', subtitle, '--question', question];
    const { out } = await succeed('predict', '--checkpoint', path('run'), video, ...given);
    expect(out).not.toBe(`${text}\n`);
    expect((await answer(video, ...given)).stdout).toBe(out);
  });
});

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { formatBytes, PullProgressDisplay } from '../../src/cli/pull-progress.ts';
import { findModelFolder } from '../../src/runtime/model-folder.ts';
import { commandInFolder } from '../support/command-output.ts';
import { faults, HubServer } from '../support/hub-server.ts';

const commit = 'a'.repeat(40);
const weights = Buffer.alloc(1_500_000, 7);
const model = (content: Buffer) => ({
  revisions: { main: commit, v2: commit },
  files: { 'config.json': { content: Buffer.from('{}') }, 'model.safetensors': { content, lfs: true } },
});
let server: HubServer;
beforeAll(async () => {
  server = await HubServer.start();
  Object.assign(server.models, { 'org/llm': model(weights), 'org/sound': model(Buffer.from('sound')) });
});
afterAll(() => server.stop());

const command = commandInFolder('pull', (folder) => ({
  HF_ENDPOINT: server.endpoint,
  HF_HOME: folder,
  ...{ HF_TOKEN: '', HF_HUB_CACHE: '', HUGGINGFACE_HUB_CACHE: '' },
  ...{ HUGGING_FACE_HUB_TOKEN: '', HF_HUB_OFFLINE: '' },
}));
const { run, written } = command;

describe('affectgpt pull', () => {
  it('gets models that configurations then find', async () => {
    const { exitCode, out, err } = await run('org/llm', 'org/sound@v2');
    expect({ exitCode, err }).toMatchObject({ exitCode: 0 });
    expect(out).toBe(`${findModelFolder('org/llm')}\n${findModelFolder('org/sound@v2')}\n`);
    expect(readFileSync(join(findModelFolder('org/llm')!, 'model.safetensors')).equals(weights)).toBe(true);
    expect(err).toContain('org/llm: 2 of 2 files are missing, 1.5 MB to come of 1.5 MB.');
    expect(err).toMatch(/model\.safetensors {2}1\.5 MB of 1\.5 MB \(100 %\)/);
    const again = await run('org/llm');
    expect(again.err).toBe('org/llm is complete: 2 files, 1.5 MB.\n');
    expect((await run('org/llm', '--quiet')).err).toBe('');
  });

  it('gets what a configuration lacks, and no more', async () => {
    const file = join(command.folder, 'run.yaml');
    writeFileSync(
      file,
      `model: {llm: org/llm, audioEncoder: {model: org/sound}, inputs: audioonly}\noutput: x\ndata: {manifest: m}\n`,
    );
    await run('org/sound');
    const { exitCode, out, err } = await run('--config', file);
    expect(exitCode).toBe(0);
    expect(out).toBe(`${findModelFolder('org/llm')}\n`);
    expect(err).toContain('model.audioEncoder.model "org/sound" is on this machine');
    const unknown = await run('--config', file, '--set', 'model.llm=./nowhere');
    expect(unknown).toMatchObject({ exitCode: 2, out: '' });
    expect(unknown.err).toMatch(/^error\[MODEL_NOT_FOUND\]: model\.llm "\.\/nowhere"/m);
  });

  it('takes exactly what matches --include', async () => {
    expect(await run('org/llm', '--include', '*.json')).toMatchObject({ exitCode: 0 });
    expect(server.transfers(/org\/llm\/resolve/).at(-1)!.path).toMatch(/config\.json$/);
    const none = await run('org/llm', '--include', '*.json', '--include', '*.gguf');
    expect(none).toMatchObject({ exitCode: 2, out: '' });
    expect(none.err).toMatch(/^error\[HUB_NO_FILES\]: .*"\*\.gguf"[^\n]*\n$/);
  });

  it('says what is wrong with all models before it downloads any', async () => {
    const { exitCode, out, err } = await run('org/llm', 'org/missing', 'org/llm@v9');
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(/error\[HUB_REPOSITORY_NOT_FOUND\]: .*"org\/missing".*\n.*no revision "v9"/);
    expect(findModelFolder('org/llm')).toBeUndefined();
    expect((await run('./models', 'https://x')).err).toMatch(
      /^error\[HUB_ID_INVALID\]: "\.\/models", "https:/,
    );
    expect((await run('org/llm@v1@v2')).err).toMatch(/^error\[HUB_ID_INVALID\]: "org\/llm@v1@v2" cannot be/);
    expect((await run()).err).toMatch(/^error\[USAGE\]: Name a model/);
    expect((await run('org/llm', '--set', 'a=1')).err).toMatch(/^error\[USAGE\]: --set needs/);
    expect((await run('--config', 'a', '--include', 'b')).err).toMatch(/^error\[USAGE\]: --include needs/);
    expect((await run('org/llm', '--token', 'x')).err).toMatch(/^error\[USAGE\]: Unknown argument: token/);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect((await run('org/llm')).err).toMatch(/^error\[HUB_OFFLINE\]/);
  });

  it('says that it waits for another attempt, also where it is quiet', async () => {
    server.faults.push({ path: /api\/models/, times: 1, host: 'hub', act: faults.status(503) });
    const { exitCode, err } = await run('org/llm', '--quiet');
    expect(exitCode).toBe(0);
    expect(err).toMatch(
      /^127\.0\.0\.1:\d+ answered 503 for org\/llm\..* Trying again in 1 s \(attempt 2 of 6\)\.\n$/,
    );
  });

  it('stops on Ctrl-C so that the same command goes on', async () => {
    const interrupt = () => void process.emit('SIGINT', 'SIGINT');
    const begun = () => written.err.includes('to come');
    server.faults.push({ path: /lfs/, times: 1, act: faults.cutAfter(100_000, begun, interrupt) });
    const { exitCode, err } = await run('org/llm');
    expect(exitCode).toBe(130);
    expect(err).toMatch(/error\[STOPPED\]: Stopped by SIGINT\. The same command goes on from here\.\n$/);
    expect(findModelFolder('org/llm')).toBeUndefined();
    expect((await run('org/llm')).exitCode).toBe(0);
    expect(process.listenerCount('SIGINT')).toBe(0);
  });
});

describe('progress', () => {
  it('is a line for a file, and one that is drawn over on a terminal', () => {
    const shown = (isTTY: boolean) => {
      let text = '';
      let now = 0;
      const stream = { isTTY, columns: 40, write: (piece: string) => (text += piece) };
      const display = new PullProgressDisplay(stream, () => now);
      for (const [time, bytes] of [
        [0, 0],
        [50, 1e6],
        [1000, 2e6],
        [2000, 4e6],
      ] as const) {
        now = time;
        display.update('a.bin', bytes, 4e6);
      }
      display.message('done');
      display.finish();
      return text;
    };
    expect(shown(false)).toBe('a.bin  4.0 MB of 4.0 MB (100 %)  2.0 MB/s\ndone\n');
    expect(shown(true)).toContain('\r\u001b[2Ka.bin  2.0 MB of 4.0 MB (50 %)  2.0 MB/');
    expect(shown(true)).not.toContain('(25 %)');
    expect([0, 999, 1000, 15_231_000_000].map(formatBytes)).toEqual([
      '0 bytes',
      '999 bytes',
      '1.0 kB',
      '15.2 GB',
    ]);
  });
});

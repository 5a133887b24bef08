import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { checkSpace, planPull } from '../../src/hub/pull.ts';
import { parseReference } from '../../src/hub/reference.ts';
import { faults, gitHash, sha256 } from '../support/hub-server.ts';
import { bytes, firstCommit, hubWorkspace, pull, refusalOf, secondCommit } from './workspace.ts';

const workspace = hubWorkspace();
const config = Buffer.from('{"model_type":"qwen2"}');
const weights = bytes(200_000);
const id = 'org/model';
const repository = 'models--org--model';

beforeEach(() => {
  const { server } = workspace;
  server.seen.length = 0;
  server.faults.length = 0;
  server.pageSize = 3;
  server.linkOrigin = undefined;
  server.rewriteTree = (entries) => entries;
  server.models[id] = {
    revisions: { main: firstCommit },
    files: {
      'config.json': { content: config },
      'model.safetensors': { content: weights, lfs: true },
      'tokenizer.json': { content: bytes(5000, 3) },
      'merges.txt': { content: Buffer.alloc(0) },
      'README.md': { content: Buffer.from('read me') },
      'pytorch_model.bin': { content: bytes(100, 9), lfs: true },
      'onnx/model.onnx': { content: bytes(100, 8), lfs: true },
    },
  };
});

describe('pull', () => {
  it('lays the cache out as the Python client does', async () => {
    const { connection, cache } = await workspace.connect();
    const { snapshot } = await pull(connection, id);
    expect(snapshot).toBe(join(cache, repository, 'snapshots', firstCommit));
    expect(readdirSync(snapshot).sort()).toEqual([
      'config.json',
      'merges.txt',
      'model.safetensors',
      'tokenizer.json',
    ]);
    expect(readlinkSync(join(snapshot, 'model.safetensors'))).toBe(`../../blobs/${sha256(weights)}`);
    expect(readlinkSync(join(snapshot, 'config.json'))).toBe(`../../blobs/${gitHash(config)}`);
    expect(readFileSync(join(snapshot, 'model.safetensors')).equals(weights)).toBe(true);
    expect(readFileSync(join(cache, repository, 'refs', 'main'), 'utf8')).toBe(firstCommit);
    expect(readdirSync(join(cache, repository, 'blobs')).filter((name) => !/^[0-9a-f]+$/.test(name))).toEqual(
      [],
    );
    const tree = JSON.parse(readFileSync(join(cache, repository, 'trees', `${firstCommit}.json`), 'utf8'));
    expect(tree).toMatchObject({
      format_version: 1,
      files: {
        'config.json': { size: config.length, blob_id: gitHash(config) },
        'model.safetensors': { lfs_sha256: sha256(weights), lfs_size: weights.length },
      },
    });
  });

  it('asks for the commit alone where all is there, and for nothing where the commit is named', async () => {
    const { connection } = await workspace.connect();
    await pull(connection, id);
    workspace.server.seen.length = 0;
    const again = await pull(connection, id);
    expect(again.missing).toEqual([]);
    expect(workspace.server.seen.map(({ path }) => path)).toEqual([`/api/models/${id}/revision/main`]);
    workspace.server.seen.length = 0;
    const offline = { ...connection, settings: { ...connection.settings, offline: true } };
    expect((await pull(offline, `${id}@${firstCommit}`)).missing).toEqual([]);
    expect(workspace.server.seen).toEqual([]);
    expect(await refusalOf(pull(offline, id))).toMatch(/^HUB_OFFLINE: HF_HUB_OFFLINE/);
  });

  it('takes over what a new commit shares with the last, and leaves that one as it is', async () => {
    const { connection, cache } = await workspace.connect();
    await pull(connection, id);
    const { server } = workspace;
    server.models[id]!.revisions.main = secondCommit;
    server.models[id]!.files['config.json'] = { content: Buffer.from('{"new":1}') };
    server.seen.length = 0;
    const { snapshot } = await pull(connection, id);
    expect(server.transfers(/resolve|lfs/).map(({ path }) => path)).toEqual([
      `/${id}/resolve/${secondCommit}/config.json`,
    ]);
    expect(readFileSync(join(snapshot, 'model.safetensors')).equals(weights)).toBe(true);
    expect(
      readFileSync(join(cache, repository, 'snapshots', firstCommit, 'config.json')).equals(config),
    ).toBe(true);
    expect(readFileSync(join(cache, repository, 'refs', 'main'), 'utf8')).toBe(secondCommit);
  });

  it('fetches branches with a slash, files of subfolders, and names that addresses have to encode', async () => {
    const { connection, cache } = await workspace.connect();
    const model = workspace.server.models[id]!;
    model.revisions['pr/1'] = firstCommit;
    model.files['sub folder/ä#?%.txt'] = { content: Buffer.from('here') };
    const { snapshot } = await pull(connection, `${id}@pr/1`, ['sub folder/', 'config.json']);
    expect(readFileSync(join(snapshot, 'sub folder', 'ä#?%.txt'), 'utf8')).toBe('here');
    expect(readlinkSync(join(snapshot, 'sub folder', 'ä#?%.txt'))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
    expect(readFileSync(join(cache, repository, 'refs', 'pr', '1'), 'utf8')).toBe(firstCommit);
    expect(existsSync(join(snapshot, 'model.safetensors'))).toBe(false);
  });

  it('puts files themselves where there are no links', async () => {
    const { connection, cache } = await workspace.connect({ HF_HUB_DISABLE_SYMLINKS: '1' });
    const { snapshot } = await pull(connection, id);
    expect(lstatSync(join(snapshot, 'model.safetensors')).isFile()).toBe(true);
    expect(readFileSync(join(snapshot, 'model.safetensors')).equals(weights)).toBe(true);
    expect(readdirSync(join(cache, repository, 'blobs'))).toEqual([]);
    expect((await pull(connection, id)).missing).toEqual([]);
  });

  it('sends the token to the endpoint and to no other host', async () => {
    const { server } = workspace;
    server.models[id] = { ...server.models[id]!, token: 'hub_secret' };
    const { connection } = await workspace.connect({ HF_TOKEN: ' hub_secret\n' });
    await pull(connection, id);
    const sent = (host: string) =>
      new Set(server.seen.filter((one) => one.host === host).map((one) => one.authorization));
    expect(sent('hub')).toEqual(new Set(['Bearer hub_secret']));
    expect(sent('cdn')).toEqual(new Set([undefined]));
  });

  it('reads all pages of a listing from the endpoint, even where links name the mirrored host', async () => {
    workspace.server.pageSize = 1;
    for (const origin of ['https://huggingface.co', '']) {
      workspace.server.linkOrigin = origin;
      const { connection } = await workspace.connect();
      expect((await pull(connection, id)).selected).toHaveLength(4);
    }
  });

  it('follows redirects of the endpoint itself, as renamed models have them', async () => {
    const { server } = workspace;
    server.faults.push({
      path: /old\/name/,
      times: 100,
      act: (response, _, request) =>
        void response.writeHead(307, { location: request.url!.replace('old/name', id) }).end(),
    });
    const { connection, cache } = await workspace.connect();
    await pull(connection, 'old/name');
    expect(existsSync(join(cache, 'models--old--name', 'snapshots', firstCommit, 'config.json'))).toBe(true);
  });

  it('says how much is to come, and refuses what the disk has no room for', async () => {
    const { connection, cache } = await workspace.connect();
    const plan = await planPull(connection, parseReference(id)!);
    const total = config.length + weights.length + 5000;
    expect(plan.bytesToCome).toBe(total);
    await checkSpace(connection, [plan, plan], async () => 2 * total);
    const message = await refusalOf(checkSpace(connection, [plan, plan], async () => 2 * total - 1));
    expect(message).toMatch(/^DISK_FULL: /);
    expect(message).toContain(`${2 * total} bytes`);
    expect(message).toContain(cache);
    await checkSpace(connection, [{ ...plan, bytesToCome: 0 }], async () => 0);
  });

  it('names files that lead outside, hashes that are paths and listings that are none', async () => {
    const { server } = workspace;
    const git = '0'.repeat(40);
    const hostile: Record<string, unknown>[] = [
      { path: '../evil.json' },
      { path: 'a/../../evil.json' },
      { path: '/etc/evil.json' },
      { path: 'a\\..\\evil.json' },
      { path: 'C:evil.json' },
      { path: 'a//evil.json' },
      { path: 'evil\u0000.json' },
      { path: 'evil.json', oid: `../../${git}`.slice(0, 40) },
      { path: 'evil.json', oid: undefined },
      { path: 'evil.json', size: -1 },
      { path: 'evil.json', lfs: { oid: '../../evil', size: 1 } },
      { path: 'evil.json', xetHash: 'a'.repeat(64) },
    ];
    for (const entry of hostile) {
      server.rewriteTree = (entries) => [...entries, { type: 'file', size: 1, oid: git, ...entry }];
      const { connection, cache } = await workspace.connect();
      const message = await refusalOf(pull(connection, id));
      expect(message, JSON.stringify(entry)).toMatch(/^HUB_ANSWER_INVALID: .*evil/);
      expect(existsSync(cache)).toBe(false);
    }
    server.faults.push({ path: /revision/, times: 1, act: faults.send(Buffer.from('<html>log in</html>')) });
    const { connection } = await workspace.connect();
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_ANSWER_INVALID: .*HF_ENDPOINT/);
    server.faults.push({ path: /revision/, times: 1, act: faults.send(Buffer.from('{"sha":"../.."}')) });
    expect(await refusalOf(pull(connection, id))).toMatch(/^HUB_ANSWER_INVALID: .*commit/);
  });

  it('by two at once gives both the whole model', async () => {
    const { connection } = await workspace.connect();
    workspace.server.faults.push({ path: /lfs/, times: 1, act: workspace.cutAfter(50_000) });
    const both = await Promise.all([pull(connection, id), pull(connection, id)]);
    for (const { snapshot } of both) {
      expect(readFileSync(join(snapshot, 'model.safetensors')).equals(weights)).toBe(true);
    }
    // The second waited: no byte came twice.
    expect(workspace.server.transfers(/lfs/).map(({ range }) => range === undefined)).toEqual([true, false]);
  });
});

import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type Environment, hubSettings } from '../../src/hub/environment.ts';
import { type PullPlan, planPull, runPull } from '../../src/hub/pull.ts';
import { parseReference } from '../../src/hub/reference.ts';
import type { HubConnection } from '../../src/hub/request.ts';
import { faults, HubServer } from '../support/hub-server.ts';

export const firstCommit = '1'.repeat(40);
export const secondCommit = '2'.repeat(40);

/** Bytes that differ from place to place, so that a part in the wrong place shows. */
export const bytes = (length: number, seed = 0): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 255));

/** What is thrown, as `code: message`. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return `${code}: ${message}`;
  }
  throw new Error('nothing was thrown');
}

/** One server for the tests of a file, and a fresh cache for each one that asks. */
export function hubWorkspace() {
  const folders: string[] = [];
  let latest = '';
  /** Size of the largest unfinished file of the cache that was connected last. */
  const unfinishedBytes = (): number => {
    const names = readdirSync(latest, { recursive: true, encoding: 'utf8' });
    const sizes = names
      .filter((name) => name.includes('blobs') && name.endsWith('.incomplete'))
      .map((name) => statSync(join(latest, name), { throwIfNoEntry: false })?.size ?? 0);
    return Math.max(0, ...sizes);
  };
  const workspace = {
    server: undefined as unknown as HubServer,
    unfinishedBytes,
    /** Cuts a connection when so many bytes of it are on the disk; or does something else then. */
    cutAfter: (count: number, cut?: () => void) =>
      faults.cutAfter(count, (total) => unfinishedBytes() >= total, cut),
    /** A cache of its own, and how to reach the server. */
    async connect(environment: Environment = {}, options: Partial<HubConnection> = {}) {
      const home = await mkdtemp(join(tmpdir(), 'affectgpt-hub-'));
      folders.push(home);
      latest = home;
      const messages: string[] = [];
      const connection: HubConnection = {
        settings: hubSettings({ HF_ENDPOINT: workspace.server.endpoint, HF_HOME: home, ...environment }),
        retries: { attempts: 3, firstWait: 1, longestWait: 1000 },
        signal: new AbortController().signal,
        notify: (message) => void messages.push(message),
        ...options,
      };
      return { connection, messages, cache: connection.settings.cacheFolder };
    },
  };
  beforeAll(async () => {
    workspace.server = await HubServer.start();
  });
  afterAll(async () => {
    await workspace.server.stop();
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  });
  return workspace;
}

/** Plans and runs a pull. */
export async function pull(
  connection: HubConnection,
  name: string,
  include: readonly string[] = [],
): Promise<PullPlan> {
  const plan = await planPull(connection, parseReference(name)!, include);
  await runPull(connection, plan);
  return plan;
}

import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { type ChatClient, createChatClient } from '../../src/llm/client.ts';
import type { ChatClientOptions } from '../../src/llm/settings.ts';
import { ChatServer } from '../support/chat-server.ts';

export const secret = 'sk-test-0123456789';

/** One server for the tests of a file; clients that wait without waiting, and what they said. */
export function chatWorkspace() {
  const folders: string[] = [];
  const workspace = {
    server: undefined as unknown as ChatServer,
    messages: [] as string[],
    waits: [] as number[],
    async folder(): Promise<string> {
      const folder = await mkdtemp(join(tmpdir(), 'affectgpt-llm-'));
      folders.push(folder);
      return folder;
    },
    client(options: Partial<ChatClientOptions> = {}): ChatClient {
      return createChatClient({
        baseUrl: workspace.server.baseUrl,
        model: 'qwen',
        cacheFolder: null,
        environment: { OPENAI_API_KEY: secret },
        random: () => 0.5,
        sleep: async (milliseconds) => void workspace.waits.push(milliseconds),
        notify: (message) => void workspace.messages.push(message),
        retries: { attempts: 4, firstWait: 100, longestWait: 10_000 },
        ...options,
      });
    },
  };
  beforeAll(async () => {
    workspace.server = await ChatServer.start();
  });
  beforeEach(() => {
    workspace.server.reset();
    workspace.messages.length = 0;
    workspace.waits.length = 0;
  });
  afterAll(async () => {
    await workspace.server.stop();
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  });
  return workspace;
}

export const user = (content: string) => [{ role: 'user', content }] as const;

/** Files below a folder, leaving out folders. */
export const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

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

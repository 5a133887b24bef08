import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { copyExample } from './example-copy.ts';

const programs = ['chromium', 'chromium-browser', 'google-chrome'];

/** Said where a test is skipped. */
export const noChromium = `No Chromium: none of ${programs.join(', ')} is on PATH, and AFFECTGPT_CHROMIUM is not set.`;

/** The Chromium that `AFFECTGPT_CHROMIUM` names, or one on PATH; undefined where there is none. */
export function findChromium(): string | undefined {
  const named = process.env.AFFECTGPT_CHROMIUM;
  if (named !== undefined && named !== '') return named;
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders
    .flatMap((folder) => programs.map((program) => join(folder, program)))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** What is handed over instead of a clip. */
export interface GivenMedia {
  readonly subtitle: string;
  readonly frame: { readonly data: Uint8Array; readonly dims: readonly number[] };
  readonly audio: Float32Array;
}

/** Runs in the page: the same functions that the page itself calls. */
const askWithMedia = `async ({ subtitle, frame, dims, audio }) => {
  const { answer, openModel } = await import('/model.mjs');
  globalThis.opened ??= openModel(new URL('/model/', location.href).href);
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const media = { frame: { data: bytes(frame), dims }, audio: new Float32Array(bytes(audio).buffer) };
  return answer(await globalThis.opened, { subtitle, ...media });
}`;

const base64 = ({ buffer, byteOffset, byteLength }: Uint8Array | Float32Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');

/** The server of a copy of the browser example. */
export interface ExampleServer {
  readonly address: string;
  close(): Promise<void>;
}

/** Copies the browser example and starts its server for an exported model, on a free port. */
export async function serveExample(exported: string): Promise<ExampleServer> {
  const { folder, remove } = await copyExample('browser');
  const script = join(folder, 'serve.mjs');
  const server = spawn(process.execPath, [script, exported, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const close = async (): Promise<void> => {
    server.kill();
    await remove();
  };
  const address = new Promise<string>((done, fail) => {
    server.stdout.once('data', (line) => done(String(line).trim()));
    server.once('exit', (code) => fail(new Error(`serve.mjs ended with exit code ${code}`)));
  });
  try {
    return { address: await address, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The browser example, copied, served by its own server, and open in a browser. */
export class ExamplePage {
  readonly #page: Page;
  readonly #browser: Browser;
  readonly #server: ExampleServer;
  /** Errors of the page and of its console. */
  readonly errors: string[] = [];

  private constructor(page: Page, browser: Browser, server: ExampleServer) {
    this.#page = page;
    this.#browser = browser;
    this.#server = server;
    page.setDefaultTimeout(30_000);
    page.on('pageerror', ({ message }) => this.errors.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(`${message.text()} (${message.location().url})`);
    });
  }

  /** Opens the page for an exported model and waits until it can be asked. */
  static async open(executablePath: string, exported: string): Promise<ExamplePage> {
    const server = await serveExample(exported);
    const browser = await chromium
      .launch({ executablePath, args: ['--no-sandbox'] })
      .catch(async (error: unknown) => {
        await server.close();
        throw error;
      });
    const opened = new ExamplePage(await browser.newPage(), browser, server);
    try {
      await opened.#page.goto(server.address);
      await opened.#unlessFailed(() => opened.#page.locator('button:enabled').waitFor());
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  /** Fills in the form of the page with a clip. */
  async ask(video: string, subtitle: string): Promise<{ text: string; tokens: number[] }> {
    const page = this.#page;
    await page.setInputFiles('input[name=clip]', video);
    await page.fill('input[name=subtitle]', subtitle);
    await page.click('button');
    const output = page.locator('output[data-tokens]:not([data-tokens=""])');
    await this.#unlessFailed(() => output.waitFor());
    const tokens = await output.getAttribute('data-tokens');
    return { text: (await output.textContent())!, tokens: tokens!.split(',').map(Number) };
  }

  /** Calls the functions of the page with pixels and samples. */
  async askWith({ subtitle, frame, audio }: GivenMedia): Promise<{ text: string; tokens: number[] }> {
    const given = { subtitle, frame: base64(frame.data), dims: frame.dims, audio: base64(audio) };
    return (await this.#page.evaluate(`(${askWithMedia})(${JSON.stringify(given)})`)) as {
      text: string;
      tokens: number[];
    };
  }

  /** Waits for something of the page; where that does not come, says what went wrong in the page. */
  async #unlessFailed(wait: () => Promise<unknown>): Promise<void> {
    try {
      await wait();
    } catch (error) {
      throw new Error([...this.errors, (error as Error).message].join('\n'), { cause: error });
    }
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#server.close();
  }
}

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { zipOf } from '../io/zip-writer.ts';
import type { Fault, SeenRequest } from './hub-server.ts';

export const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

/** A wheel of these members, compressed. */
export const wheelOf = (members: Readonly<Record<string, Buffer>>): Buffer =>
  zipOf(Object.entries(members).map(([name, content]) => ({ name, content, deflate: true })));

/** Speaks as much of a simple package index as downloads use, on the loopback interface; files come from a second port. */
export class IndexServer {
  /** Files of the projects by name. */
  readonly projects: Record<string, Record<string, Buffer>> = {};
  /** Hashes that the pages tell in place of the true ones. */
  readonly listedHashes: Record<string, string> = {};
  form: 'json' | 'html' = 'json';
  /** `name:password` that the index wants. */
  credentials: string | undefined;
  readonly seen: SeenRequest[] = [];
  readonly faults: Fault[] = [];
  readonly #index: Server = createServer((request, response) => this.#answerIndex(request, response));
  readonly #files: Server = createServer((request, response) => this.#answerFile(request, response));

  static async start(): Promise<IndexServer> {
    const server = new IndexServer();
    for (const one of [server.#index, server.#files]) {
      await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
    }
    return server;
  }

  async stop(): Promise<void> {
    for (const one of [this.#index, this.#files]) {
      one.closeAllConnections();
      await new Promise((resolve) => one.close(resolve));
    }
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#index.address() as AddressInfo).port}/simple`;
  }
  get #filesUrl(): string {
    return `http://127.0.0.1:${(this.#files.address() as AddressInfo).port}`;
  }

  #note(host: 'hub' | 'cdn', { method = '', url = '', headers }: IncomingMessage): void {
    const { range, authorization } = headers;
    this.seen.push({ host, method, path: url, range, authorization });
  }

  #answerIndex(request: IncomingMessage, response: ServerResponse): void {
    this.#note('hub', request);
    const wanted = this.credentials && `Basic ${Buffer.from(this.credentials).toString('base64')}`;
    const project = /^\/simple\/([^/]+)\/$/.exec(request.url ?? '')?.[1];
    const files = this.projects[project ?? ''];
    if (wanted !== undefined && request.headers.authorization !== wanted) response.writeHead(401).end();
    else if (files === undefined) response.writeHead(404).end();
    else this.#answerPage(response, files);
  }

  #answerPage(response: ServerResponse, files: Record<string, Buffer>): void {
    const listed = Object.entries(files).map(([filename, content]) => ({
      filename,
      url: `${this.#filesUrl}/packages/${filename}`,
      hashes: { sha256: this.listedHashes[filename] ?? sha256(content) },
    }));
    if (this.form === 'json') {
      response.writeHead(200, { 'content-type': 'application/vnd.pypi.simple.v1+json' });
      response.end(JSON.stringify({ meta: { 'api-version': '1.0' }, name: 'x', files: listed }));
      return;
    }
    const links = listed.map(
      ({ filename, url, hashes }) =>
        `<a data-requires-python="&gt;=3.9" href="${url}?a=1&amp;b=2#sha256=${hashes.sha256}">${filename}</a><br/>`,
    );
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(`<!DOCTYPE html><html><body>${links.join('\n')}</body></html>`);
  }

  #answerFile(request: IncomingMessage, response: ServerResponse): void {
    this.#note('cdn', request);
    const path = new URL(request.url ?? '/', this.#filesUrl).pathname;
    const name = path.split('/').at(-1) ?? '';
    const content = Object.values(this.projects).find((files) => files[name] !== undefined)?.[name];
    const fault = this.faults.find((one) => one.times > 0 && one.path.test(path));
    if (content === undefined) response.writeHead(404).end();
    else if (fault !== undefined) {
      fault.times--;
      fault.act(response, content, request);
    } else sendBytes(request, response, content);
  }
}

function sendBytes(request: IncomingMessage, response: ServerResponse, content: Buffer): void {
  const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? Number.NaN);
  const isPart = !Number.isNaN(start);
  const body = isPart ? content.subarray(start) : content;
  const range = `bytes ${start}-${content.length - 1}/${content.length}`;
  response.writeHead(isPart ? 206 : 200, {
    'content-length': body.length,
    ...(isPart && { 'content-range': range }),
  });
  response.end(body);
}

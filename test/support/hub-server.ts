import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A file of a served model. */
export interface ServedFile {
  readonly content: Buffer;
  /** Big files are named by their SHA-256 and come from another host, the content delivery network. */
  readonly lfs?: boolean;
}

export interface ServedModel {
  /** Commit of each branch and tag. */
  readonly revisions: Record<string, string>;
  readonly files: Record<string, ServedFile>;
  /** Only for this token. */
  readonly token?: string;
  /** Listed for all, files for nobody. */
  readonly gated?: boolean;
}

export interface SeenRequest {
  readonly host: 'hub' | 'cdn';
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Misbehaviour: answers requests whose path matches in the server's place, so many times. */
export interface Fault {
  readonly path: RegExp;
  times: number;
  readonly host?: 'hub' | 'cdn';
  act(response: ServerResponse, content: Buffer, request: IncomingMessage): void;
}

export const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
export const gitHash = (content: Buffer): string =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

/**
 * Speaks as much of the Hugging Face hub's protocol as downloads use, on two ports of the loopback interface: the hub,
 * and a content delivery network that big files are redirected to.
 */
export class HubServer {
  readonly models: Record<string, ServedModel> = {};
  readonly seen: SeenRequest[] = [];
  readonly faults: Fault[] = [];
  /** Entries of a listing on one page. */
  pageSize = 3;
  /** Changes a listing before it is sent. */
  rewriteTree: (entries: Record<string, unknown>[]) => Record<string, unknown>[] = (entries) => entries;
  /** The address that links to further pages name; the hub's own unless set. */
  linkOrigin: string | undefined;
  readonly #hub: Server;
  readonly #cdn: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#answer('hub', request, response));
    this.#cdn = createServer((request, response) => this.#answer('cdn', request, response));
  }

  static async start(): Promise<HubServer> {
    const server = new HubServer();
    for (const one of [server.#hub, server.#cdn]) {
      await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
    }
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }
  get cdn(): string {
    return `http://127.0.0.1:${(this.#cdn.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const one of [this.#hub, this.#cdn]) {
      one.closeAllConnections();
      await new Promise((resolve) => one.close(resolve));
    }
  }

  /** Requests for the bytes of a file, in order. */
  transfers(pattern: RegExp): SeenRequest[] {
    return this.seen.filter(({ method, path }) => method === 'GET' && pattern.test(path));
  }

  #answer(host: 'hub' | 'cdn', request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.endpoint);
    const path = decodeURIComponent(url.pathname);
    const { range, authorization } = request.headers;
    this.seen.push({ host, method: request.method ?? '', path, range, authorization });
    const content = host === 'cdn' ? this.#byHash(path) : this.#byPath(path);
    const fault = this.faults.find(
      (one) => one.times > 0 && one.path.test(path) && (one.host ?? host) === host,
    );
    if (fault !== undefined) {
      fault.times--;
      fault.act(response, content ?? Buffer.alloc(0), request);
    } else if (host === 'cdn') {
      if (content === undefined) response.writeHead(404).end();
      else sendBytes(request, response, content, { etag: `"cdn-${content.length}"` });
    } else this.#answerHub(request, response, url);
  }

  #byHash(path: string): Buffer | undefined {
    const files = Object.values(this.models).flatMap((model) => Object.values(model.files));
    return files.find(({ content }) => path === `/lfs/${sha256(content)}`)?.content;
  }

  #byPath(path: string): Buffer | undefined {
    const [, id = '', name = ''] = /^\/(.+)\/resolve\/[^/]+\/(.+)$/.exec(path) ?? [];
    return this.models[id]?.files[name]?.content;
  }

  #answerHub(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const refuse = (status: number, code: string, message: string): void => {
      response.writeHead(status, { 'x-error-code': code, 'x-error-message': message }).end();
    };
    const parts =
      /^\/api\/models\/(.+)\/(revision|tree)\/([^/]+)$/.exec(url.pathname) ??
      /^\/(.+)\/(resolve)\/([^/]+)\/(.+)$/.exec(url.pathname) ??
      [];
    const [, id = '', verb, revision = '', name = ''] = parts.map((part = '') => decodeURIComponent(part));
    const model = this.models[id];
    const { authorization } = request.headers;
    if (model === undefined || (model.token !== undefined && authorization !== `Bearer ${model.token}`)) {
      // As the hub does: strangers are not told whether a model exists.
      refuse(authorization === undefined ? 401 : 404, 'RepoNotFound', 'Repository not found');
      return;
    }
    const commit = Object.values(model.revisions).includes(revision) ? revision : model.revisions[revision];
    if (commit === undefined) refuse(404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
    else if (verb === 'revision') sendJson(response, { id, _id: '1', sha: commit, private: false });
    else if (verb === 'tree') this.#answerTree(response, url, model);
    else if (model.gated) refuse(authorization === undefined ? 401 : 403, 'GatedRepo', 'Restricted');
    else if (model.files[name] === undefined) refuse(404, 'EntryNotFound', 'Entry not found');
    else this.#answerFile(request, response, model.files[name], commit);
  }

  #answerFile(request: IncomingMessage, response: ServerResponse, file: ServedFile, commit: string): void {
    const about = { 'x-repo-commit': commit };
    if (file.lfs !== true) {
      sendBytes(request, response, file.content, { ...about, etag: `"${gitHash(file.content)}"` });
      return;
    }
    const hash = sha256(file.content);
    const linked = { 'x-linked-etag': `"${hash}"`, 'x-linked-size': file.content.length };
    response.writeHead(302, { ...about, ...linked, location: `${this.cdn}/lfs/${hash}?signature=1` }).end();
  }

  #answerTree(response: ServerResponse, url: URL, model: ServedModel): void {
    const entries = Object.entries(model.files).map(([path, { content, lfs }]) => {
      const size = content.length;
      const oid = gitHash(content);
      const big = { oid: sha256(content), size, pointerSize: 130 };
      return { type: 'file', path, size, oid, ...(lfs === true && { lfs: big }) };
    });
    const all = this.rewriteTree([
      { type: 'directory', path: 'onnx', size: 0, oid: '0'.repeat(40) },
      ...entries,
    ]);
    const start = Number(url.searchParams.get('cursor') ?? 0);
    const end = start + this.pageSize;
    if (end < all.length) {
      url.searchParams.set('cursor', String(end));
      const origin = this.linkOrigin ?? this.endpoint;
      response.setHeader('link', `<${origin}${url.pathname}${url.search}>; rel="next"`);
    }
    sendJson(response, all.slice(start, end));
  }
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

/** Sends a file or the end of it that was asked for. */
function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
  headers: Record<string, string | number>,
): void {
  const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? Number.NaN);
  const isPart = !Number.isNaN(start);
  const body = isPart ? content.subarray(start) : content;
  const range = `bytes ${start}-${content.length - 1}/${content.length}`;
  response.writeHead(isPart ? 206 : 200, {
    ...headers,
    'accept-ranges': 'bytes',
    'content-length': body.length,
    ...(isPart && { 'content-range': range }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Faults that the tests inject. */
export const faults = {
  status:
    (status: number, headers: Record<string, string> = {}): Fault['act'] =>
    (response) =>
      void response.writeHead(status, headers).end(),
  /**
   * Sends the head of what was asked for, then cuts the connection.
   * @param arrived whether so many bytes of the file have been read at the other end: what was not would be lost
   */
  cutAfter:
    (bytes: number, arrived: (total: number) => boolean, cut?: () => void): Fault['act'] =>
    (response, content, request) => {
      const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const range = `bytes ${start}-${content.length - 1}/${content.length}`;
      response.writeHead(start > 0 ? 206 : 200, {
        'content-length': content.length - start,
        ...(start > 0 && { 'content-range': range }),
      });
      response.flushHeaders();
      response.write(content.subarray(start, start + bytes));
      const wait = setInterval(() => {
        if (!arrived(start + bytes)) return;
        clearInterval(wait);
        if (cut === undefined) response.destroy();
        else cut();
      }, 2);
    },
  /** Sends the head, then nothing, and leaves the connection open. */
  stallAfter:
    (bytes: number): Fault['act'] =>
    (response, content) => {
      response.writeHead(200, { 'content-length': content.length });
      response.write(content.subarray(0, bytes));
    },
  /** Sends these bytes, whatever was asked for. */
  send:
    (body: Buffer, headers: Record<string, string | number> = {}): Fault['act'] =>
    (response) =>
      void response.writeHead(200, { 'content-length': body.length, ...headers }).end(body),
};

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenChat {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: Record<string, unknown>;
  /** Text of the last message, where it is one. */
  readonly text: string;
}

/** Does something in place of an answer. */
export type Fault = (response: ServerResponse, request: IncomingMessage) => void;

/** Speaks OpenAI's chat completions on the loopback interface, and misbehaves where it is told to. */
export class ChatServer {
  readonly seen: SeenChat[] = [];
  /** Taken from the front, one a request; `undefined` answers as usual. */
  readonly faults: (Fault | undefined)[] = [];
  /** Answers nothing before it resolves. */
  before: (chat: SeenChat) => Promise<unknown> | undefined = () => undefined;
  reply: (chat: SeenChat) => string = ({ text }) => `about ${text}`;
  finish = 'stop';
  /** Most requests that were open at once. */
  mostAtOnce = 0;
  #open = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<ChatServer> {
    const server = new ChatServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /** Forgets what it saw and was told. */
  reset(): void {
    this.seen.length = 0;
    this.faults.length = 0;
    this.mostAtOnce = 0;
    this.before = () => undefined;
    this.reply = ({ text }) => `about ${text}`;
    this.finish = 'stop';
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#open++;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#open);
    response.on('close', () => this.#open--);
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = JSON.parse(Buffer.concat(pieces).toString()) as Record<string, unknown>;
    const content = (body.messages as { content: unknown }[]).at(-1)?.content;
    const chat: SeenChat = {
      path: `${request.method} ${request.url}`,
      authorization: request.headers.authorization,
      body,
      text: typeof content === 'string' ? content : '',
    };
    this.seen.push(chat);
    const fault = this.faults.shift();
    if (fault !== undefined) return fault(response, request);
    await this.before(chat);
    const message = { role: 'assistant', content: this.reply(chat) };
    send(200, { model: body.model, choices: [{ index: 0, message, finish_reason: this.finish }] })(
      response,
      request,
    );
  }
}

/** An answer of one's own. */
export const send =
  (status: number, body: unknown, headers: Record<string, string> = {}): Fault =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };

/** An error as OpenAI words it. */
export const sendError = (
  status: number,
  message: string,
  headers: Record<string, string> = {},
  code?: string,
): Fault => send(status, { error: { message, type: 'error', code } }, headers);

/** Part of an answer, and then nothing more. */
export const cut: Fault = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
  response.write('{"choices": [', () => response.destroy());
};

/** No answer, and the connection stays open. */
export const silence: Fault = () => undefined;

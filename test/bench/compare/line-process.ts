import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const failedSchema = z.object({ reason: z.string() });
const readySchema = z.object({ first_ms: z.number(), versions: z.record(z.string(), z.string()) });
const runsSchema = z.object({
  runs: z.array(z.object({ ms: z.number(), prompt_ms: z.number().optional() })),
});
const endSchema = z.object({ peak_rss_mb: z.number(), roof_gflops_per_s: z.number() });

export type Ready = z.output<typeof readySchema>;
export type Run = z.output<typeof runsSchema>['runs'][number];
export type End = z.output<typeof endSchema>;

/** A process could not do what it was asked; the message says why, in one line. */
export class ProcessFailure extends Error {}

/**
 * A process that measures one case and speaks lines: `ready {...}` or `failed {...}` once it has run once, then an answer
 * to every `run N` and to `end`.
 */
export class LineProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<string>;
  #lastError = '';

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    const { stdin, stdout, stderr } = this.#child;
    // One that died does not read; its end says why.
    stdin!.on('error', () => {});
    this.#lines = createInterface({ input: stdout! })[Symbol.asyncIterator]();
    createInterface({ input: stderr! }).on('line', (line) => {
      if (line.trim() !== '') this.#lastError = line.trim();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('close', (exitCode, signal) => {
        const how = signal === null ? `it ended with exit code ${exitCode}` : `it was ended by ${signal}`;
        resolve(this.#lastError === '' ? how : `${how}: ${this.#lastError}`);
      });
    });
  }

  /** Waits until the case has run once. @throws ProcessFailure */
  async ready(): Promise<Ready> {
    const line = await this.#line();
    const [word = '', rest = ''] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
    if (word === 'failed') throw new ProcessFailure(this.#parse(failedSchema, rest).reason);
    if (word !== 'ready') throw new ProcessFailure(`"ready" was due, it wrote: ${line.slice(0, 200)}`);
    return this.#parse(readySchema, rest);
  }

  /** @throws ProcessFailure */
  async run(count: number): Promise<readonly Run[]> {
    const { runs } = this.#parse(runsSchema, await this.#ask(`run ${count}`));
    if (runs.length !== count)
      throw new ProcessFailure(`${count} runs were due, it answered with ${runs.length}`);
    return runs;
  }

  /** Peak memory, and the roof, which it measures now. @throws ProcessFailure */
  async end(): Promise<End> {
    return this.#parse(endSchema, await this.#ask('end'));
  }

  /** Ends the process where it has not ended. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  #ask(line: string): Promise<string> {
    this.#child.stdin!.write(`${line}\n`);
    return this.#line();
  }

  async #line(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done) throw new ProcessFailure(await this.#ended);
    return value;
  }

  #parse<Value>(schema: z.ZodType<Value>, text: string): Value {
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      throw new ProcessFailure(`it wrote what cannot be read: ${text.slice(0, 200)}`);
    }
  }
}

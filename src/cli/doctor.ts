import os from 'node:os';
import type { CommandModule } from 'yargs';
import { EngineError } from '../errors.ts';
import { checkEngines } from './doctor-engines.ts';

/** One thing that was looked at. */
export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** Whether the program cannot do its usual work without it. */
  readonly needed: boolean;
  readonly detail: string;
  /** It is there and does not work. */
  readonly broken?: boolean;
  /** What to do where it is not well. */
  readonly advice?: string;
  /** Where it is an engine that is there: what a process that tried it found. */
  readonly engine?: {
    readonly devices: readonly string[];
    readonly selfTest: { readonly difference: number; readonly milliseconds: number };
  };
}

const OLDEST_NODE = 20;
const GIBIBYTE = 1024 ** 3;

/** `affectgpt doctor` */
export const doctorCommand: CommandModule<object, { json: boolean }> = {
  command: 'doctor',
  describe: 'Check what this machine offers: Node, memory, ffmpeg; try every engine',
  builder: (args) => args.option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  async handler({ json }) {
    const findings = [node(), machine(), await ffmpeg(), ...(await checkEngines()), await transformers()];
    const missing = findings.filter((finding) => finding.needed && !finding.ok);
    process.stdout.write(
      json
        ? `${JSON.stringify({ ok: missing.length === 0, checks: findings }, null, 2)}\n`
        : asText(findings),
    );
    if (missing.length > 0) {
      const names = missing.map((finding) => finding.name).join(', ');
      throw new EngineError('DOCTOR', `Not usable on this machine, and needed: ${names}.`);
    }
  },
};

function asText(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.flatMap(({ name, ok, needed, broken, detail, advice }) => {
    const state = ok ? 'ok     ' : broken ? 'BROKEN ' : needed ? 'MISSING' : 'absent ';
    const line = `${state}  ${name.padEnd(width)}  ${detail}`;
    return ok || advice === undefined ? [line] : [line, `${' '.repeat(width + 11)}${advice}`];
  });
  return `${lines.join('\n')}\n`;
}

function node(): Finding {
  const major = Number(process.versions.node.split('.')[0]);
  return {
    name: 'node',
    ok: major >= OLDEST_NODE,
    needed: true,
    detail: `${process.versions.node} on ${process.platform} ${process.arch}`,
    advice: `Install Node.js ${OLDEST_NODE} or newer.`,
  };
}

function machine(): Finding {
  // A container may allow less than the machine has; 0 or a huge number means no such limit.
  const limit = process.constrainedMemory();
  const memory = limit > 0 ? Math.min(limit, os.totalmem()) : os.totalmem();
  const gibibytes = (bytes: number) => `${(bytes / GIBIBYTE).toFixed(1)} GiB`;
  return {
    name: 'machine',
    ok: true,
    needed: true,
    detail: `${os.availableParallelism()} cores, ${gibibytes(memory)} memory`,
  };
}

async function ffmpeg(): Promise<Finding> {
  const base = { name: 'ffmpeg', needed: true };
  try {
    const { findMediaTools } = await import('../data/media/ffmpeg.ts');
    const tools = await findMediaTools();
    const version = tools.version.split(' Copyright')[0];
    return { ...base, ok: true, detail: `${version?.trim()} (${tools.ffmpeg}, ${tools.ffprobe})` };
  } catch (error) {
    return { ...base, ok: false, detail: messageOf(error), advice: 'Put ffmpeg and ffprobe on PATH.' };
  }
}

async function transformers(): Promise<Finding> {
  const base = { name: 'transformers', needed: false };
  const advice = 'Optional, for encoders of type "transformers": npm install @huggingface/transformers';
  const { findTransformers, loadTransformers } = await import('../runtime/encoders/transformers-package.ts');
  if (findTransformers() === undefined) return { ...base, ok: false, detail: 'not installed', advice };
  try {
    return { ...base, ok: true, detail: `@huggingface/transformers ${loadTransformers().env.version}` };
  } catch (error) {
    return { ...base, ok: false, detail: messageOf(error), advice };
  }
}

/** The first line of an error: native loaders append lists of paths. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}

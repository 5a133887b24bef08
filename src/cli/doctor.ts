import { createRequire } from 'node:module';
import os from 'node:os';
import type { CommandModule } from 'yargs';
import { EngineError } from '../errors.ts';

/** One thing that was looked at. */
interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** Whether the program cannot do its usual work without it. */
  readonly needed: boolean;
  readonly detail: string;
  /** What to do where it is not well. */
  readonly advice?: string;
}

const OLDEST_NODE = 20;
const GIBIBYTE = 1024 ** 3;
/** Optional packages of the `tensorflow` engine, the preferred one first. */
const TENSORFLOW_PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];

/** `affectgpt doctor` */
export const doctorCommand: CommandModule<object, { json: boolean }> = {
  command: 'doctor',
  describe: 'Check what this machine offers: Node, memory, ffmpeg, engines',
  builder: (args) => args.option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  async handler({ json }) {
    const findings = [
      node(),
      machine(),
      await ffmpeg(),
      await onnxruntime(),
      await wasm(),
      await cpu(),
      await tensorflow(),
      await transformers(),
    ];
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
  const lines = findings.flatMap(({ name, ok, needed, detail, advice }) => {
    const state = ok ? 'ok     ' : needed ? 'MISSING' : 'absent ';
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

async function onnxruntime(): Promise<Finding> {
  const base = { name: 'onnxruntime', needed: true };
  try {
    const runtime = await import('onnxruntime-node');
    const backends = runtime.listSupportedBackends().filter(({ bundled }) => bundled);
    const names = backends.map(({ name }) => name).join(', ');
    return { ...base, ok: true, detail: `onnxruntime-node ${runtime.env.versions.node} (${names})` };
  } catch (error) {
    const advice = 'Run: npm install onnxruntime-node --onnxruntime-node-install=skip';
    return { ...base, ok: false, detail: messageOf(error), advice };
  }
}

async function wasm(): Promise<Finding> {
  const base = { name: 'wasm', needed: false };
  try {
    const { version_wasm: version } = await import('@tensorflow/tfjs-backend-wasm');
    const { prepareWasm } = await import('../engine/eager/wasm.ts');
    await prepareWasm();
    return { ...base, ok: true, detail: `@tensorflow/tfjs-backend-wasm ${version}` };
  } catch (error) {
    const advice = 'Run: npm install @tensorflow/tfjs-backend-wasm';
    return { ...base, ok: false, detail: messageOf(error), advice };
  }
}

async function cpu(): Promise<Finding> {
  const base = { name: 'cpu', needed: true };
  try {
    const { version } = await import('@tensorflow/tfjs');
    return { ...base, ok: true, detail: `@tensorflow/tfjs ${version.tfjs} (plain JavaScript, slow)` };
  } catch (error) {
    return { ...base, ok: false, detail: messageOf(error), advice: 'Run: npm install @tensorflow/tfjs' };
  }
}

async function tensorflow(): Promise<Finding> {
  const base = { name: 'tensorflow', needed: false };
  const advice = `Optional: npm install ${TENSORFLOW_PACKAGES[0]} (CUDA) or npm install ${TENSORFLOW_PACKAGES[1]} (CPU).`;
  const failures: string[] = [];
  for (const name of TENSORFLOW_PACKAGES) {
    if (!isInstalled(name)) continue;
    try {
      const loaded = (await import(name)) as { version?: { 'tfjs-node'?: string } };
      return { ...base, ok: true, detail: `${name} ${loaded.version?.['tfjs-node'] ?? ''}`.trim() };
    } catch (error) {
      failures.push(`${name} is installed but does not load: ${messageOf(error)}`);
    }
  }
  return { ...base, ok: false, detail: failures.join('; ') || 'not installed', advice };
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

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** The first line of an error: native loaders append lists of paths. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}

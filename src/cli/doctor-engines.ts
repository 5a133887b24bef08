import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Finding } from './doctor.ts';
import type { EngineCheck } from './engine-check.ts';

/** An engine that could be here. */
interface Candidate {
  readonly name: string;
  readonly needed: boolean;
  /** The one command that gets it. */
  readonly install: string;
  /** Undefined where it is not here. */
  readonly found: { readonly where?: string; readonly plugin?: string } | undefined;
}

/** All engines, in the order in which they are shown. */
async function candidates(): Promise<Candidate[]> {
  const { findInstalledEngine } = await import('../engine/install-folder.ts');
  const { locateOpenvino } = await import('../engine/openvino/library.ts');
  const { findTensorflow } = await import('../engine/tensorflow/load.ts');
  const plugins = ['xla-cpu', 'xla-cuda12', 'xla-cuda13'].map((name): Candidate => {
    const installed = findInstalledEngine(name);
    const found = installed && { plugin: installed.libraryPath, where: `${name} ${installed.version}` };
    return { name, needed: false, install: `affectgpt engine install ${name}`, found };
  });
  const other = await otherPlugin(plugins);
  const tensorflow = findTensorflow();
  const forGpu = tensorflow?.forGpu ? ' --gpu' : '';
  return [
    {
      ...{ name: 'onnxruntime', needed: true, found: {} },
      install: 'npm install onnxruntime-node --onnxruntime-node-install=skip',
    },
    { name: 'wasm', needed: false, found: {}, install: 'npm install @tensorflow/tfjs-backend-wasm' },
    { name: 'cpu', needed: true, found: {}, install: 'npm install @tensorflow/tfjs' },
    {
      ...{ name: 'tensorflow', needed: false, found: tensorflow && {} },
      install: `affectgpt engine install tensorflow${forGpu}`,
    },
    ...plugins,
    ...other,
    {
      ...{ name: 'openvino', needed: false, install: 'affectgpt engine install openvino' },
      found: locateOpenvino() === undefined ? undefined : {},
    },
  ];
}

/** A plugin that `engine.type: xla` would take and that was not installed by this program. */
async function otherPlugin(installed: readonly Candidate[]): Promise<Candidate[]> {
  const { findXlaPlugin } = await import('../engine/xla/plugin.ts');
  const base = { name: 'xla', needed: false, install: 'affectgpt engine install xla-cpu' };
  try {
    const found = findXlaPlugin();
    if (found === undefined || installed.some((one) => one.found?.plugin === found.path)) return [];
    return [{ ...base, found: { plugin: found.path, where: `${found.path} (${found.source})` } }];
  } catch {
    // One that is named and does not exist: the process that tries it says so.
    return [{ ...base, found: {} }];
  }
}

/** Tries every engine that is here, each in a process of its own, two at a time; and which one `auto` takes. */
export async function checkEngines(): Promise<Finding[]> {
  const waiting = (await candidates()).map((candidate, place) => ({ candidate, place }));
  const findings: Finding[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      findings[next.place] = await checkEngine(next.candidate);
  };
  await Promise.all([work(), work()]);
  const { chooseEngine } = await import('../engine/choose.ts');
  const { type, reason } = chooseEngine();
  return [
    ...findings,
    { name: 'auto', ok: true, needed: false, detail: `engine.type: auto takes ${type}: ${reason}` },
  ];
}

async function checkEngine({ name, needed, install, found }: Candidate): Promise<Finding> {
  if (found === undefined) {
    return { name, needed, ok: false, detail: 'not installed', advice: `Optional. Run: ${install}` };
  }
  const check = await tryEngine(name, found.plugin);
  const where = found.where === undefined ? '' : `${found.where}: `;
  if (!check.ok) {
    const detail = `${where}${check.message.split('\n')[0]}`;
    return { name, needed, ok: false, broken: true, detail, advice: adviceFor(name, check.message, install) };
  }
  const { version, devices, difference, milliseconds } = check;
  const equality = difference === 0 ? 'exact' : `equal to ${difference.toExponential(0)}`;
  const test = `self-test ${Math.ceil(milliseconds)} ms, ${equality}`;
  return {
    ...{ name, needed, ok: true },
    detail: `${where}${version} on ${devices.join(', ')}; ${test}`,
    engine: { devices, selfTest: { difference, milliseconds } },
  };
}

function adviceFor(name: string, message: string, install: string): string {
  if (/No visible GPU|made for NVIDIA GPUs|CUDA_ERROR_NO_DEVICE|libcuda\.so/.test(message))
    return 'It needs an NVIDIA GPU and its driver on this machine (nvidia-smi shows both).';
  if (/koffi/.test(message)) return 'Run: npm install koffi';
  return install.startsWith('affectgpt') ? `Run: ${install} --force` : `Run: ${install} (for ${name})`;
}

/** How long an engine may take to load, compile and run the self-test. */
const patienceMilliseconds = 120_000;

function tryEngine(name: string, plugin: string | undefined): Promise<EngineCheck> {
  const file = fileURLToPath(import.meta.url);
  const program = path.join(path.dirname(file), `engine-check${path.extname(file)}`);
  // From its sources the program runs only with a loader for TypeScript.
  const loader = file.endsWith('.ts')
    ? ['--import', pathToFileURL(createRequire(file).resolve('tsx')).href]
    : [];
  const args = [...loader, program, name, ...(plugin === undefined ? [] : [plugin])];
  return new Promise((resolve) => {
    const failed = (message: string) => resolve({ ok: false, code: 'ENGINE_FAILED', message });
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: patienceMilliseconds,
      killSignal: 'SIGKILL',
    });
    const written = { out: '', err: '' };
    child.stdout.on('data', (piece) => {
      written.out += String(piece);
    });
    child.stderr.on('data', (piece) => {
      written.err += String(piece);
    });
    child.once('error', (error) => failed(error.message));
    child.once('close', (exitCode, signal) => {
      const last = written.out.trim().split('\n').at(-1) ?? '';
      if (last.startsWith('{')) resolve(JSON.parse(last) as EngineCheck);
      else {
        const how = signal === null ? `ended with exit code ${exitCode}` : `was ended by ${signal}`;
        const said = written.err.trim().split('\n').at(-1) ?? '';
        failed(`its process ${how} when it was tried${said === '' ? '' : `: ${said}`}`);
      }
    });
  });
}

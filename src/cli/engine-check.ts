import type { Engine } from '../engine/types.ts';
import { AffectGptError } from '../errors.ts';

/** What a process that tried an engine says about it. */
export type EngineCheck =
  | {
      readonly ok: true;
      /** Package or library, and version. */
      readonly version: string;
      readonly devices: readonly string[];
      readonly difference: number;
      readonly milliseconds: number;
    }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** An engine that has been opened, and what it says of itself. */
interface Opened {
  readonly engine: Engine;
  readonly version: string;
  readonly devices: readonly string[];
}

const processor = ['cpu'];

async function open(name: string, plugin: string | undefined): Promise<Opened> {
  const { createEngine } = await import('../engine/engines.ts');
  switch (name) {
    case 'onnxruntime': {
      const engine = await createEngine({ type: 'onnxruntime' });
      const { env, listSupportedBackends } = await import('onnxruntime-node');
      const providers = listSupportedBackends().filter(({ bundled }) => bundled);
      const names = providers.map((backend) => backend.name).join(', ');
      const version = `onnxruntime-node ${env.versions.node} (providers: ${names})`;
      return { engine, devices: processor, version };
    }
    case 'wasm': {
      const engine = await createEngine({ type: 'wasm' });
      const { version_wasm: version } = await import('@tensorflow/tfjs-backend-wasm');
      return { engine, devices: processor, version: `@tensorflow/tfjs-backend-wasm ${version}` };
    }
    case 'cpu': {
      const engine = await createEngine({ type: 'cpu' });
      const { version } = await import('@tensorflow/tfjs');
      const what = `@tensorflow/tfjs ${version.tfjs} (plain JavaScript, slow)`;
      return { engine, devices: processor, version: what };
    }
    case 'tensorflow': {
      const engine = await createEngine({ type: 'tensorflow' });
      const { loadTensorflow } = await import('../engine/tensorflow/load.ts');
      const { source, version, usesGpu } = loadTensorflow();
      return {
        engine,
        devices: usesGpu ? ['gpu'] : processor,
        version: `TensorFlow ${version} (${source.name})`,
      };
    }
    case 'openvino': {
      const { OpenvinoEngine } = await import('../engine/openvino/engine.ts');
      const { precision: best, runtime } = new OpenvinoEngine();
      // What rounds less shows more faults.
      const engine = new OpenvinoEngine({ precision: 'fp32' });
      const version = `OpenVINO ${runtime.version.split('-')[0]} (${best === 'bf16' ? 'fp32 and bf16' : 'fp32'})`;
      return { engine, devices: processor, version };
    }
    default: {
      const { XlaEngine } = await import('../engine/xla/engine.ts');
      const engine = new XlaEngine({ executables: null, ...(plugin !== undefined && { plugin }) });
      const { pjrt, platform, platformVersion } = engine.client;
      const [runtime = ''] = platformVersion.split('\n');
      const version = `PJRT ${pjrt.version}${runtime === platform ? '' : `, ${runtime.slice(0, 60)}`}`;
      return { engine, devices: [platform], version };
    }
  }
}

/**
 * The program of the process that tries an engine: arguments are its name and, for `xla`, the plugin. A native library that
 * crashes takes this process with it and nothing else. Writes an `EngineCheck` as the last line.
 */
async function check(name: string, plugin: string | undefined): Promise<EngineCheck> {
  try {
    const { engine, version, devices } = await open(name, plugin);
    const { selfTest } = await import('../engine/self-test.ts');
    return { ok: true, version, devices, ...(await selfTest(engine)) };
  } catch (error) {
    const code = error instanceof AffectGptError ? error.code : 'ENGINE_FAILED';
    return { ok: false, code, message: error instanceof Error ? error.message : String(error) };
  }
}

const [name = '', plugin] = process.argv.slice(2);
const answer = JSON.stringify(await check(name, plugin));
// Some libraries keep threads that would keep the process.
process.stdout.write(`\n${answer}\n`, () => process.exit(0));

import type { CommandModule } from 'yargs';
import type { InstallOptions } from '../install/install-plugin.ts';
import { commandGroup } from './command-group.ts';
import { usageError } from './errors.ts';

interface InstallArguments {
  name: string;
  gpu: boolean;
  force: boolean;
  'index-url'?: string | undefined;
  'wheel-dir'?: string | undefined;
  quiet: boolean;
}

const installCommand: CommandModule<object, InstallArguments> = {
  command: 'install <name>',
  describe: 'Download an engine from the Python package index; needs no Python',
  builder: (args) =>
    args
      .positional('name', {
        type: 'string',
        demandOption: true,
        choices: ['xla-cpu', 'xla-cuda12', 'xla-cuda13', 'openvino', 'tensorflow'],
        describe: 'XLA on the processor or on NVIDIA GPUs (CUDA 12 or 13), OpenVINO, or TensorFlow',
      })
      .option('gpu', {
        type: 'boolean',
        default: false,
        describe: 'tensorflow: the build for NVIDIA GPUs, an error where there is none',
      })
      .option('force', { type: 'boolean', default: false, describe: 'Install again what is there already' })
      .option('index-url', {
        type: 'string',
        requiresArg: true,
        describe: 'Simple package index; by default the one that pip would use',
      })
      .option('wheel-dir', {
        type: 'string',
        requiresArg: true,
        describe: 'Folder that holds the wheel: nothing is downloaded',
      })
      .option('quiet', { type: 'boolean', default: false, describe: 'No progress; only errors and waits' })
      .epilogue(
        'Environment: PIP_INDEX_URL and the files of pip (which index), AFFECTGPT_ENGINES (where engines go; ~/.cache/affectgpt/engines by default).',
      ),
  async handler(args) {
    if (args.gpu && args.name !== 'tensorflow') {
      throw usageError(`--gpu is for tensorflow; ${args.name} says itself what it runs on.`);
    }
    await withInstallation(args, async (options, notify, signal) => {
      const { engine, wasThere } = await install(args, options, notify, signal);
      notify(
        wasThere
          ? `${engine.name} ${engine.version} is installed already; --force installs it again.`
          : `${engine.name} ${engine.version} is installed.`,
      );
      process.stdout.write(`${engine.libraryPath}\n`);
    });
  },
};

async function install(
  { name, gpu }: InstallArguments,
  options: InstallOptions,
  notify: (message: string) => void,
  signal: AbortSignal,
) {
  if (name === 'tensorflow') {
    const { installTensorflow } = await import('../install/install-tensorflow.ts');
    return installTensorflow({ ...options, gpu, notify, signal });
  }
  const { pluginEngines } = await import('../install/wheels.ts');
  const { installPlugin } = await import('../install/install-plugin.ts');
  return installPlugin(pluginEngines.find((engine) => engine.name === name)!, options);
}

/** Reads the options that installations have in common, and keeps the progress line and signals in order. */
async function withInstallation(
  args: InstallArguments,
  work: (options: InstallOptions, notify: (message: string) => void, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { PullProgressDisplay } = await import('./pull-progress.ts');
  const { stopOnSignals } = await import('./pull.ts');
  const { findPackageIndex } = await import('../install/package-index.ts');
  const { defaultRetryPolicy } = await import('../io/retries.ts');
  const display = args.quiet ? undefined : new PullProgressDisplay(process.stderr);
  const waiting = (message: string): void => {
    if (display === undefined) process.stderr.write(`${message}\n`);
    else display.message(message);
  };
  const stop = stopOnSignals();
  try {
    const folder = args['wheel-dir'];
    const from =
      folder === undefined
        ? {
            ...{ index: findPackageIndex(args['index-url']), retries: defaultRetryPolicy },
            ...{ signal: stop.signal, notify: waiting, stallMilliseconds },
          }
        : { folder };
    await work(
      {
        from,
        force: args.force,
        onBytes: (wheel, bytes) => display?.update(wheel.file, bytes, wheel.bytes),
      },
      (message) => display?.message(message),
      stop.signal,
    );
  } finally {
    stop.dispose();
    display?.finish();
  }
}

const stallMilliseconds = 30_000;

const listCommand: CommandModule<object, { json: boolean }> = {
  command: 'list',
  describe: 'Engines that were installed with "affectgpt engine install"',
  builder: (args) => args.option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  async handler({ json }) {
    const { enginesFolder, listInstalledEngines } = await import('../engine/install-folder.ts');
    const engines = listInstalledEngines();
    if (json) process.stdout.write(`${JSON.stringify(engines, null, 2)}\n`);
    else if (engines.length === 0) process.stdout.write(`None in ${enginesFolder()}.\n`);
    else {
      for (const { name, version, date, libraryPath } of engines)
        process.stdout.write(`${name} ${version}  installed ${date.slice(0, 10)}  ${libraryPath}\n`);
    }
  },
};

const removeCommand: CommandModule<object, { name: string }> = {
  command: 'remove <name>',
  describe: 'Remove an engine that was installed with "affectgpt engine install"',
  builder: (args) => args.positional('name', { type: 'string', demandOption: true, describe: 'Its name' }),
  async handler({ name }) {
    const { removeEngine } = await import('../install/install-plugin.ts');
    for (const folder of await removeEngine(name)) process.stdout.write(`${folder}\n`);
  },
};

/** `affectgpt engine install | list | remove` */
export const engineCommand = commandGroup(
  'engine',
  'Install, list and remove engines beyond the built-in ones',
  [installCommand, listCommand, removeCommand],
  'Say what to do: install, list or remove.',
);

import type { CommandModule } from 'yargs';
import { interruptExitCodes } from '../../train/interrupts.ts';
import { AffectGptError, InputError } from '../errors.ts';
import type { PullPlan } from '../hub/pull.ts';
import type { ModelReference } from '../hub/reference.ts';
import type { HubConnection } from '../hub/request.ts';
import { usageError } from './errors.ts';
import type { PullProgressDisplay } from './pull-progress.ts';

interface PullArguments {
  ids: string[];
  include: string[];
  config?: string | undefined;
  set: string[];
  quiet: boolean;
}

/** `affectgpt pull ID[@revision] … [--include GLOB …]` or `affectgpt pull --config FILE` */
export const pullCommand: CommandModule<object, PullArguments> = {
  command: 'pull [ids..]',
  describe: 'Download models of the Hugging Face hub into its cache',
  builder: (args) =>
    args
      .positional('ids', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: 'Models: organisation/name, or organisation/name@revision (branch, tag or commit)',
      })
      .option('include', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe: 'Exactly the files that match, as in --include "*.json"; may be given many times',
      })
      .option('config', {
        type: 'string',
        requiresArg: true,
        describe: 'All models that a configuration names and that are not on this machine',
      })
      .option('set', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe: 'Set one key of the configuration; may be given many times',
      })
      .option('quiet', {
        type: 'boolean',
        default: false,
        describe: 'No progress; only errors and waits for another attempt',
      })
      .epilogue(
        'Environment: HF_TOKEN (or a login with "hf auth login"), HF_ENDPOINT (a mirror), HF_HUB_CACHE or HF_HOME (where files go).',
      ),
  async handler({ ids, include, config, set, quiet }) {
    if (ids.length === 0 && config === undefined) {
      throw usageError('Name a model, as in affectgpt pull Qwen/Qwen2.5-7B-Instruct, or give --config FILE.');
    }
    if (set.length > 0 && config === undefined) throw usageError('--set needs --config.');
    if (include.length > 0 && ids.length === 0) {
      throw usageError('--include needs a model: a configuration says itself which files it takes.');
    }
    const progress = await import('./pull-progress.ts');
    const display = quiet ? undefined : new progress.PullProgressDisplay(process.stderr);
    const notify = (message: string) => display?.message(message);
    // Half a minute of silence would look like a stall.
    const retrying =
      display === undefined ? (message: string) => void process.stderr.write(`${message}\n`) : notify;
    const configured = config === undefined ? [] : await missingModels(config, set, notify);
    const named = (await parseAll(ids)).map((reference) => ({ reference, include }));
    await pullAll([...named, ...configured], { notify, retrying, display });
  },
};

/** @throws InputError `HUB_ID_INVALID` with all that are none */
async function parseAll(ids: readonly string[]): Promise<ModelReference[]> {
  const { parseReference } = await import('../hub/reference.ts');
  const wrong = ids.filter((id) => parseReference(id) === undefined);
  if (wrong.length > 0) {
    const named = wrong.map((id) => `"${id}"`).join(', ');
    throw new InputError(
      'HUB_ID_INVALID',
      `${named} cannot be a model of the Hugging Face hub; expected is organisation/name, or organisation/name@revision.`,
    );
  }
  return ids.map((id) => parseReference(id)!);
}

/** What is to be downloaded of a model; without patterns all that opening it usually takes. */
interface Download {
  readonly reference: ModelReference;
  readonly include: readonly string[];
}

/** Models of a configuration that have to be downloaded. */
async function missingModels(
  config: string,
  set: readonly string[],
  notify: (message: string) => void,
): Promise<Download[]> {
  const { loadConfig } = await import('../config/load.ts');
  const { configuredModels } = await import('../runtime/configured-models.ts');
  const { locateModel, wantedFiles } = await import('../runtime/model-folder.ts');
  const { wanted } = await configuredModels(loadConfig({ config, set }).config);
  const missing: Download[] = [];
  const unknown: string[] = [];
  for (const [key, model] of Object.entries(wanted)) {
    const { name, include } = wantedFiles(model);
    const location = locateModel(model);
    if ('folder' in location) notify(`${key} "${name}" is on this machine: ${location.folder}`);
    else if (location.reference === undefined) unknown.push(`${key} "${name}"`);
    else missing.push({ reference: location.reference, include });
  }
  if (unknown.length > 0) {
    throw new InputError(
      'MODEL_NOT_FOUND',
      `${unknown.join(' and ')}: neither a folder that exists nor an id of the Hugging Face hub.`,
    );
  }
  return missing;
}

/** Plans all before the first is downloaded, so that mistakes and a full disk show at once. */
async function pullAll(
  downloads: readonly Download[],
  {
    notify,
    retrying,
    display,
  }: {
    readonly notify: (message: string) => void;
    readonly retrying: (message: string) => void;
    readonly display: PullProgressDisplay | undefined;
  },
): Promise<void> {
  const { hubSettings } = await import('../hub/environment.ts');
  const { defaultRetryPolicy, TransientFailure } = await import('../io/retries.ts');
  const { checkSpace, planPull, runPull } = await import('../hub/pull.ts');
  const stop = stopOnSignals();
  try {
    const connection: HubConnection = {
      settings: hubSettings(),
      retries: defaultRetryPolicy,
      signal: stop.signal,
      notify: retrying,
    };
    const plans: PullPlan[] = [];
    const faults: InputError[] = [];
    for (const { reference, include } of downloads) {
      try {
        plans.push(await planPull(connection, reference, include));
      } catch (error) {
        // A hub out of reach is the same for all of them; a wrong name is one of perhaps several.
        if (!(error instanceof InputError) || error.cause instanceof TransientFailure) throw error;
        faults.push(error);
      }
    }
    if (faults.length > 0) throw allOf(faults);
    await checkSpace(connection, plans);
    for (const plan of plans) {
      notify(await announcement(plan));
      await runPull(connection, plan, ({ name, bytes: total }, bytes) => display?.update(name, bytes, total));
      process.stdout.write(`${plan.snapshot}\n`);
    }
  } finally {
    stop.dispose();
    display?.finish();
  }
}

/** One error for several, each of them said once. */
function allOf(faults: readonly InputError[]): InputError {
  const messages = [...new Set(faults.map(({ message }) => message))];
  return messages.length === 1 ? faults[0]! : new InputError(faults[0]!.code, messages.join('\n  '));
}

async function announcement({ reference, selected, missing, bytesToCome }: PullPlan): Promise<string> {
  const { formatReference } = await import('../hub/reference.ts');
  const { formatBytes } = await import('./pull-progress.ts');
  const name = formatReference(reference);
  const total = formatBytes(selected.reduce((sum, { bytes }) => sum + bytes, 0));
  if (missing.length === 0) return `${name} is complete: ${selected.length} files, ${total}.`;
  return `${name}: ${missing.length} of ${selected.length} files are missing, ${formatBytes(bytesToCome)} to come of ${total}.`;
}

/** Ctrl-C and SIGTERM end the download in order; what came is kept. A second one ends the process at once. */
export function stopOnSignals(): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const listeners = (['SIGINT', 'SIGTERM'] as const).map((name) => {
    const message = `Stopped by ${name}. The same command goes on from here.`;
    const stop = () => controller.abort(new AffectGptError('STOPPED', message, interruptExitCodes[name]));
    process.once(name, stop);
    return () => process.off(name, stop);
  });
  return {
    signal: controller.signal,
    dispose: () => {
      for (const remove of listeners) remove();
    },
  };
}

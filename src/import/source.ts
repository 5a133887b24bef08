import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { type LoraSettings, parseAdapterConfig } from '../../lora/config.ts';
import { InputError } from '../errors.ts';
import { readText } from '../io/filesystem.ts';
import { isJsonObject } from '../io/json.ts';
import type { PickleValue } from '../io/pickle.ts';
import { openSafetensors, type SafetensorsEntry } from '../io/safetensors.ts';
import { openTorchCheckpoint, TorchTensor, tensorsIn, topLevelTensors } from '../io/torch.ts';
import { type KnownKeys, publishedConfig } from './published-config.ts';

/** Weights to be imported, read by nobody yet. */
export interface ImportSource {
  /** The file that holds the tensors. */
  readonly file: string;
  /** Under the names that the file gives them. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** Undefined where the file says nothing of its configuration. */
  readonly known: KnownKeys | undefined;
  readonly epoch: number | undefined;
  /** What of the file is no tensor of the model, in words. */
  readonly leftOut: readonly string[];
}

const noModel = (file: string, what: string): InputError =>
  new InputError(
    'IMPORT_NO_MODEL',
    `${file} is not a checkpoint of the published AffectGPT code: ${what} Expected is a dictionary with "model" (names to tensors) and, as a rule, "config".`,
  );

/** Keys of the published checkpoint that a run folder has no place for, in words. */
const unusedKeys: Readonly<Record<string, string>> = {
  optimizer: "the optimizer's state (an imported run is not trained on)",
  scaler: 'the state of the fp16 loss scaler',
};

type Dictionary = Map<PickleValue, PickleValue>;

const hasTensors = (dictionary: Dictionary): boolean =>
  [...dictionary.values()].some((member) => member instanceof TorchTensor);

/** A `.pth` of the published code, or its `model` saved alone. */
async function openPublished(file: string): Promise<ImportSource> {
  const checkpoint = await openTorchCheckpoint(file);
  const { content } = checkpoint;
  if (!(content instanceof Map)) throw noModel(file, 'it holds no dictionary.');
  if (hasTensors(content)) {
    return {
      file,
      tensors: topLevelTensors(checkpoint),
      known: undefined,
      epoch: undefined,
      leftOut: [],
    };
  }
  const model = content.get('model');
  if (!(model instanceof Map) || !hasTensors(model)) {
    const keys = [...content.keys()].slice(0, 10).map((key) => `"${typeof key === 'string' ? key : '…'}"`);
    throw noModel(file, `below "model" are no tensors. It has ${keys.join(', ') || 'no keys'}.`);
  }
  const config = content.get('config');
  const epoch = content.get('epoch');
  return {
    file,
    tensors: tensorsIn(checkpoint, model),
    known: config instanceof Map ? publishedConfig(config) : undefined,
    epoch: typeof epoch === 'number' && Number.isSafeInteger(epoch) && epoch >= 0 ? epoch : undefined,
    leftOut: [...content.keys()].flatMap((key) => {
      if (typeof key !== 'string' || ['model', 'config', 'epoch'].includes(key)) return [];
      return [unusedKeys[key] ?? `"${key.slice(0, 60)}", which has no meaning here`];
    }),
  };
}

const adapterConfigName = 'adapter_config.json';

async function readAdapterConfig(folder: string): Promise<{ settings: LoraSettings; base: unknown }> {
  const file = path.join(folder, adapterConfigName);
  let json: unknown;
  try {
    json = JSON.parse(await readText(file));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InputError('ADAPTER_CONFIG_INVALID', `${file} is not JSON: ${error.message}.`, {
      cause: error,
    });
  }
  try {
    return {
      settings: parseAdapterConfig(json),
      base: isJsonObject(json) ? json.base_model_name_or_path : undefined,
    };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(error.code, `${file}: ${error.message}`, { cause: error });
  }
}

/** A folder that PEFT's `save_pretrained` wrote. It adapts the language model alone, so the model is given text alone. */
async function openAdapter(folder: string): Promise<ImportSource> {
  const { settings, base } = await readAdapterConfig(folder);
  const [safetensors, torch] = ['adapter_model.safetensors', 'adapter_model.bin'].map((name) =>
    path.join(folder, name),
  ) as [string, string];
  const file = existsSync(safetensors) ? safetensors : torch;
  if (!existsSync(file)) {
    throw new InputError(
      'IMPORT_NO_MODEL',
      `${folder} holds ${adapterConfigName}, but neither adapter_model.safetensors nor adapter_model.bin.`,
    );
  }
  const tensors =
    file === safetensors
      ? (await openSafetensors(file)).entries
      : topLevelTensors(await openTorchCheckpoint(file));
  return {
    file,
    tensors,
    known: {
      defaults: {
        model: { ...(typeof base === 'string' && base !== '' && { llm: base }), inputs: 'textonly' },
      },
      facts: { lora: { ...settings, targets: [...settings.targets] }, train: { parts: { decoder: 'lora' } } },
      stepsPerEpoch: undefined,
    },
    epoch: undefined,
    leftOut: [],
  };
}

/**
 * Opens what is to be imported: a checkpoint file of the published code, or a folder with a PEFT adapter.
 * @throws InputError `IMPORT_NOT_FOUND`, `IMPORT_NO_MODEL`, `ADAPTER_CONFIG_INVALID`, and those of `openTorchCheckpoint`
 */
export async function openImportSource(from: string): Promise<ImportSource> {
  const stat = statSync(from, { throwIfNoEntry: false });
  if (stat?.isFile()) return openPublished(from);
  if (stat?.isDirectory() && existsSync(path.join(from, adapterConfigName))) return openAdapter(from);
  const what = stat === undefined ? 'There is nothing at' : 'There is no adapter_config.json in';
  throw new InputError(
    'IMPORT_NOT_FOUND',
    `${what} ${from}. Give a checkpoint file of the published code (.pth), or a folder with a PEFT adapter.`,
  );
}

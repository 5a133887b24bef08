import path from 'node:path';
import { type LoraSettings, loraScale, parseAdapterConfig } from '../../lora/config.ts';
import { mergeAdapter } from '../../lora/merge.ts';
import { adapterTensorShapes, fromPeftName } from '../../lora/names.ts';
import { decoderTensorShapes } from '../../model/decoder.ts';
import { languageModelBatch, languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import type { Engine, HostTensor, HostTensorMap } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { readFloat32 } from '../../src/io/safetensors.ts';
import { readModelJson } from '../../src/runtime/model-folder.ts';
import { openDecoder, type PretrainedDecoder, type Weights } from '../../src/runtime/pretrained.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import { readTensors } from '../support/fixture.ts';
import { type Actual, largestOf, type Part } from './compare.ts';
import { type DecoderModel, decoderParts, inputTensor, ownName, runDecoder } from './decoder-model.ts';
import { compareForms } from './forms.ts';
import type { ParityFixture, ParityHandler } from './handler.ts';

interface Adapter {
  readonly settings: LoraSettings;
  /** Under our names. */
  readonly tensors: HostTensorMap;
}

/** Reads the folder that PEFT's `save_pretrained` wrote. @throws InputError with everything that does not fit */
async function readAdapter(folder: string, { config }: PretrainedDecoder): Promise<Adapter> {
  const settings = parseAdapterConfig(await readModelJson(folder, 'adapter_config.json'));
  const stored = Object.entries(await readTensors(path.join(folder, 'adapter_model.safetensors')));
  const tensors = Object.fromEntries(stored.map(([name, tensor]) => [fromPeftName(name) ?? name, tensor]));
  const shapes: Readonly<Record<string, readonly number[]>> = adapterTensorShapes(
    decoderTensorShapes(config),
    settings,
  );
  const faults = [...new Set([...Object.keys(shapes), ...Object.keys(tensors)])].filter(
    (name) => shapes[name]?.join() !== tensors[name]?.shape.join(),
  );
  if (faults.length > 0) {
    throw new InputError(
      'PARITY_ADAPTER',
      `The adapter in ${folder} does not fit its adapter_config.json and the model; missing, unexpected or of another shape: ${faults.join(', ')}.`,
    );
  }
  return { settings, tensors };
}

const number = String.raw`(\d+(?:\.\d+)?(?:e[-+]?\d+)?)`;

interface TrainingFacts {
  readonly steps: number;
  readonly learningRate: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly clipNorm: number | null;
  /** What the notes do not say and was taken from the contract of this kind of fixture. */
  readonly assumed: readonly string[];
}

/** The optimizer's settings stand in the notes, as prose. */
function trainingFacts({ golden, tensors }: ParityFixture): TrainingFacts {
  const notes = Array.isArray(golden.notes) ? golden.notes.join('\n') : String(golden.notes ?? '');
  const assumed: string[] = [];
  const find = (label: string, pattern: string, fallback: readonly number[]): readonly number[] => {
    const match = new RegExp(pattern, 'i').exec(notes);
    if (match !== null) return match.slice(1).map(Number);
    assumed.push(`${label} ${fallback.join(' ')}`);
    return fallback;
  };
  const betas = find('betas', `\\bbetas\\W+${number}\\W+${number}`, [0.9, 0.999]);
  const losses = tensors['train.losses']?.data.length;
  const clip = new RegExp(`\\bclip\\w*(?: norm)? (?:at |to |of )?${number}`, 'i').exec(notes);
  return {
    steps: losses === undefined ? find('steps', `${number} AdamW steps`, [5])[0]! : losses - 1,
    learningRate: find('lr', `\\b(?:lr|learning rate) ${number}`, [1e-3])[0]!,
    betas: [betas[0]!, betas[1]!],
    eps: find('eps', `\\beps ${number}`, [1e-8])[0]!,
    weightDecay: find('weight decay', `weight decay ${number}`, [0.05])[0]!,
    clipNorm: clip === null ? null : Number(clip[1]),
    assumed,
  };
}

interface Training {
  /** Before each step and after the last. */
  readonly losses: number[];
  readonly adapter: HostTensorMap;
  readonly note?: string;
}

/** AdamW steps on the one batch, by the step that `affectgpt train` takes. */
async function train(
  fixture: ParityFixture,
  engine: Engine,
  { config, weights }: PretrainedDecoder,
  adapter: Adapter,
): Promise<Training> {
  const facts = trainingFacts(fixture);
  const ids = inputTensor(fixture, 'input_ids');
  const everywhere: HostTensor = { ...ids, data: new Int32Array(ids.data.length).fill(1) };
  const batch = languageModelBatch(
    config,
    ids,
    fixture.tensors.attention_mask ?? everywhere,
    inputTensor(fixture, 'labels'),
  );
  const context = { scale: loraScale(adapter.settings) };
  const step = new TrainStep(engine, {
    name: 'lora',
    lossSum: (tensors) => languageModelLossSum(config, tensors, context),
    inputs: languageModelInputs(config),
    trainable: Object.fromEntries(Object.entries(adapter.tensors).map(([name, { shape }]) => [name, shape])),
    weights,
    optimizer: { betas: facts.betas, eps: facts.eps, weightDecay: facts.weightDecay },
    clipNorm: facts.clipNorm,
    decayUnusedParameters: false,
  });
  const state = createTrainState(engine, adapter.tensors);
  try {
    const losses: number[] = [];
    for (let i = 1; i <= facts.steps; i++) {
      const { loss } = await step.run(state, [batch], {
        supervisedTokens: batch.positions!.shape[0]!,
        learningRate: facts.learningRate,
        step: i,
      });
      losses.push(loss);
    }
    const trained = await state.read(Object.keys(adapter.tensors));
    const model = adapted({ config, weights }, { ...adapter, tensors: trained });
    const after = await runDecoder(fixture, engine, model, {
      from: 'ids',
      logits: false,
      loss: true,
      gradients: [],
    });
    losses.push(after.loss!.data[0]!);
    const note =
      facts.assumed.length === 0 ? {} : { note: `the notes do not say: ${facts.assumed.join(', ')} assumed` };
    return { losses, adapter: trained, ...note };
  } finally {
    state.dispose();
    await step.dispose();
  }
}

const adapted = (
  { config, weights }: Pick<PretrainedDecoder, 'config' | 'weights'>,
  { settings, tensors }: Adapter,
): DecoderModel => ({ config, weights: { ...weights, ...tensors }, lora: settings });

/** Frozen weights in memory. */
async function hostWeights(weights: Weights): Promise<HostTensorMap> {
  const tensors: Record<string, HostTensor> = {};
  for (const [name, source] of Object.entries(weights)) {
    tensors[name] =
      'dtype' in source
        ? source
        : {
            dtype: 'float32',
            shape: source.shape,
            data: await readFloat32({ ...source, name, dtype: source.storage }),
          };
  }
  return tensors;
}

/** Calls `make` at the first call only. */
function once<Result>(make: () => Promise<Result>): () => Promise<Result> {
  let made: Promise<Result> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/**
 * Weights after AdamW steps under a tolerance of the file are compared everywhere. Without one, only where the first
 * gradient is above rounding noise, which AdamW turns into full steps.
 */
const noise = 1e-7;

/** PEFT over a decoder: bare, adapted, trained for some steps, merged. */
export const loraHandler: ParityHandler = (fixture, engine) =>
  compareForms(fixture, async (folder): Promise<Part[]> => {
    const decoder = await openDecoder(folder);
    const adapter = await readAdapter(path.join(folder, 'adapter'), decoder);
    const bare: DecoderModel = { config: decoder.config, weights: decoder.weights, lora: null };
    const whole = adapted(decoder, adapter);
    const training = once(() => train(fixture, engine, decoder, adapter));
    const merged = once(async () =>
      mergeAdapter(await hostWeights(decoder.weights), adapter.tensors, loraScale(adapter.settings)),
    );
    const firstGradients = once(() =>
      runDecoder(fixture, engine, whole, {
        from: 'ids',
        logits: false,
        loss: true,
        gradients: Object.keys(adapter.tensors),
      }),
    );
    const after = (name: string): string => ownName(name.slice(name.indexOf('.') + 1));

    const trained: Part = {
      gives: (name) => name === 'train.losses' || (name.startsWith('final.') && /\.lora_[AB]\./.test(name)),
      compute: async (names) => {
        const { losses, adapter: tensors, note } = await training();
        const notes = note === undefined ? {} : { note };
        const results: Record<string, Actual | string> = {};
        for (const name of names) {
          const tensor = tensors[after(name)];
          if (name === 'train.losses') results[name] = { shape: [losses.length], data: losses, ...notes };
          else if (tensor === undefined) results[name] = 'the adapter has no such tensor';
          else if (typeof fixture.golden.tensors![name]!.max_abs_diff === 'number') {
            results[name] = { ...tensor, ...notes };
          } else {
            const { data } = (await firstGradients())[after(name)]!;
            const least = noise * largestOf(data);
            const left = 'without elements whose gradient is rounding noise';
            results[name] = {
              ...tensor,
              compared: (index) => Math.abs(data[index]!) > least,
              note: note === undefined ? left : `${left}; ${note}`,
            };
          }
        }
        return results;
      },
    };
    const mergedWeights: Part = {
      gives: (name) => /^merged\..+\.(weight|bias)$/.test(name),
      compute: async (names) => {
        const weights = await merged();
        return Object.fromEntries(
          names.map((name) => [name, weights[after(name)] ?? 'the model has no such weight']),
        );
      },
    };
    return [
      trained,
      mergedWeights,
      ...decoderParts(fixture, engine, async () => whole),
      ...decoderParts(fixture, engine, async () => bare, 'base.'),
      ...decoderParts(
        fixture,
        engine,
        async () => adapted(decoder, { ...adapter, tensors: (await training()).adapter }),
        'final.',
      ),
      ...decoderParts(fixture, engine, async () => ({ ...bare, weights: await merged() }), 'merged.'),
    ];
  });

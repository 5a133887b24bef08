import * as tf from '@tensorflow/tfjs';
import { publishedQformer } from '../../fusion/qformer.ts';
import type { LoraSettings } from '../../lora/config.ts';
import { fromPeftName } from '../../lora/names.ts';
import { type AffectGptConfig, adapterContext } from '../../model/affectgpt.ts';
import { causalBias, decoderForward, embedTokens, logits, ropeTables } from '../../model/decoder.ts';
import type { DecoderConfig } from '../../model/decoder-config.ts';
import { crossEntropy, supervisedPositions } from '../../model/loss.ts';
import { inputModes } from '../../model/modes.ts';
import { valueAndGradients } from '../../src/engine/gradients.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { Engine, HostTensor, HostTensorMap, InputSpec, TensorMap } from '../../src/engine/types.ts';
import { InputError } from '../../src/errors.ts';
import { Generator } from '../../src/runtime/generator.ts';
import type { Weights } from '../../src/runtime/pretrained.ts';
import type { Actual, Part } from './compare.ts';
import type { ParityFixture } from './handler.ts';

/** A decoder alone, with or without adapters. */
export interface DecoderModel {
  readonly config: DecoderConfig;
  /** Adapter tensors beside the weights that they change. */
  readonly weights: Weights;
  readonly lora: LoraSettings | null;
}

/** An input of the fixture. @throws InputError `PARITY_INPUT_MISSING` */
export function inputTensor(fixture: ParityFixture, name: string): HostTensor {
  const tensor = fixture.tensors[name];
  if (tensor === undefined) {
    throw new InputError('PARITY_INPUT_MISSING', `The input "${name}" is not in golden.safetensors.`);
  }
  return tensor;
}

const int32 = (data: Int32Array, shape: readonly number[]): HostTensor => ({ dtype: 'int32', shape, data });

/** Our name of a tensor that PEFT may have wrapped. */
export const ownName = (name: string): string =>
  fromPeftName(name) ?? name.replace(/^base_model\.model\./, '').replace('.base_layer.', '.');

/** The model as the generator knows it: text without placeholders. */
function textModel({ config, lora }: DecoderModel): AffectGptConfig {
  return {
    decoder: config,
    mode: inputModes.textonly,
    lora,
    fusion: {
      visualSize: null,
      audioSize: null,
      hiddenSize: config.hiddenSize,
      frames: 1,
      patches: 1,
      audioClips: 1,
      multi: 'none',
      video: 'mean',
      audio: 'mean',
      image: 'mean',
      queryTokens: { multi: 1, video: 1, audio: 1, image: 1 },
      qformer: publishedQformer,
    },
  };
}

/** What is to be computed from ids or from embeddings. */
interface Wanted {
  readonly from: 'ids' | 'embeddings';
  readonly logits: boolean;
  readonly loss: boolean;
  /** Names of weights, or `inputsEmbeds`. */
  readonly gradients: readonly string[];
}

/** Every token sees what stands before it in its row; the fixtures' classes count positions from 0, padded or not. */
function textInputs(fixture: ParityFixture, { config }: DecoderModel, wanted: Wanted): HostTensorMap {
  const first = inputTensor(fixture, wanted.from === 'ids' ? 'input_ids' : 'inputs_embeds');
  const [batch, tokens] = first.shape as [number, number];
  const mask =
    fixture.tensors.attention_mask ?? int32(new Int32Array(batch * tokens).fill(1), [batch, tokens]);
  const positions =
    fixture.tensors.position_ids?.data ?? Int32Array.from({ length: batch * tokens }, (_, i) => i % tokens);
  const inputs: Record<string, HostTensor> = {
    [wanted.from === 'ids' ? 'ids' : 'inputsEmbeds']: first,
    ...ropeTables(config, positions, batch),
    attentionBias: causalBias(mask),
  };
  if (wanted.loss || wanted.gradients.length > 0) {
    const supervised = supervisedPositions(inputTensor(fixture, 'labels'));
    const shape = [supervised.positions.length];
    inputs.positions = int32(supervised.positions, shape);
    inputs.targets = int32(supervised.targets, shape);
    inputs.targetWeights = {
      dtype: 'float32',
      shape,
      data: new Float32Array(shape[0]!).fill(1 / shape[0]!),
    };
  }
  return inputs;
}

function textInputSpecs({ config }: DecoderModel, inputs: HostTensorMap): Record<string, InputSpec> {
  const rope: InputSpec = { dtype: 'float32', shape: ['batch', 1, 'tokens', config.headDim] };
  const specs: Record<string, InputSpec> = {
    ids: { dtype: 'int32', shape: ['batch', 'tokens'] },
    inputsEmbeds: { dtype: 'float32', shape: ['batch', 'tokens', config.hiddenSize] },
    cos: rope,
    sin: rope,
    attentionBias: { dtype: 'float32', shape: ['batch', 1, 'tokens', 'tokens'] },
    positions: { dtype: 'int32', shape: ['supervised'] },
    targets: { dtype: 'int32', shape: ['supervised'] },
    targetWeights: { dtype: 'float32', shape: ['supervised'] },
  };
  return Object.fromEntries(Object.keys(inputs).map((name) => [name, specs[name]!]));
}

/** Runs the decoder once; outputs are `logits`, `loss` (mean over the supervised tokens) and the gradients' names. */
export async function runDecoder(
  fixture: ParityFixture,
  engine: Engine,
  model: DecoderModel,
  wanted: Wanted,
): Promise<HostTensorMap> {
  const inputs = textInputs(fixture, model, wanted);
  const adapter = adapterContext(textModel(model));
  const compiled = await engine.compile(
    ({ inputs: given, weights }) => {
      const parameters = new Parameters(weights);
      const inputsEmbeds = given.inputsEmbeds ?? embedTokens(parameters, given.ids!);
      const forward = (): tf.Tensor => {
        const embeds = given.inputsEmbeds ?? embedTokens(parameters, given.ids!);
        return decoderForward(parameters, model.config, {
          inputsEmbeds: embeds,
          cos: given.cos!,
          sin: given.sin!,
          attentionBias: given.attentionBias!,
          adapter,
        }).hidden;
      };
      const meanLoss = (): tf.Scalar => {
        const scores = logits(
          parameters,
          model.config,
          tf.gather(forward(), given.positions! as tf.Tensor1D),
        );
        return crossEntropy(scores, given.targets!, given.targetWeights!).lossSum;
      };
      const outputs: TensorMap = {};
      if (wanted.logits) {
        const [batch, tokens] = inputsEmbeds.shape as [number, number, number];
        const scores = logits(parameters, model.config, forward());
        outputs.logits = tf.reshape(scores, [batch, tokens, model.config.vocabSize]);
      }
      const variables = Object.fromEntries(
        wanted.gradients.map((name) => [name, name === 'inputsEmbeds' ? inputsEmbeds : weights[name]!]),
      );
      if (wanted.gradients.length === 0) {
        if (wanted.loss) outputs.loss = meanLoss();
        return { outputs };
      }
      const { value, gradients } = valueAndGradients(meanLoss, variables);
      outputs.loss = value;
      for (const [name, gradient] of Object.entries(gradients)) {
        if (gradient !== null) outputs[name] = gradient;
      }
      return { outputs };
    },
    { name: 'decoder', inputs: textInputSpecs(model, inputs), weights: model.weights },
  );
  try {
    return await compiled.run(inputs);
  } finally {
    await compiled.dispose();
  }
}

/** An engine that shows each call's `logits`. */
function listening(engine: Engine, heard: (scores: HostTensor) => void): Engine {
  return {
    name: engine.name,
    createState: (values) => engine.createState(values),
    compile: async (fn, options) => {
      const compiled = await engine.compile(fn, options);
      return {
        name: compiled.name,
        dispose: () => compiled.dispose(),
        run: async (inputs, state) => {
          const outputs = await compiled.run(inputs, state);
          if (outputs.logits !== undefined) heard(outputs.logits);
          return outputs;
        },
      };
    },
  };
}

/** Greedy answers to `prompt_ids` as the program generates them, cached, with the scores that gave each token. */
async function generateGreedily(
  fixture: ParityFixture,
  engine: Engine,
  model: DecoderModel,
  newTokens: number,
): Promise<{ tokens: number[][]; scores: number[] }> {
  const prompt = inputTensor(fixture, 'prompt_ids');
  const [batch, length] = prompt.shape as [number, number];
  const scores: number[] = [];
  const generator = new Generator(
    listening(engine, ({ data }) => scores.push(...data)),
    { config: textModel(model), weights: model.weights, trainable: {} },
  );
  const state = engine.createState({});
  try {
    const answers = await generator.answer(
      state,
      {
        inputs: { inputIds: prompt },
        attentionMask: int32(new Int32Array(batch * length).fill(1), prompt.shape),
        positions: Int32Array.from({ length: batch * length }, (_, i) => i % length),
      },
      { maxNewTokens: newTokens, stop: [], sampling: { method: 'greedy' }, padToken: 0 },
    );
    return { tokens: answers.map(({ tokens }) => tokens), scores };
  } finally {
    state.dispose();
    await generator.dispose();
  }
}

/** Elements of `[batch, tokens, ...]` at tokens that are no padding. */
function atTokens({ tensors }: ParityFixture, elements: number): Pick<Actual, 'compared' | 'note'> {
  const mask = tensors.attention_mask?.data;
  if (mask?.every((value) => value !== 0) ?? true) return {};
  return {
    compared: (index) => mask![Math.floor(index / elements)] !== 0,
    note: 'without padding, where it means nothing',
  };
}

/**
 * Everything that a fixture may list of a decoder, `prefix` before each name: `logits`, `loss` and `grad.<weight>` from
 * ids; `embeds.logits`, `embeds.loss`, `embeds.grad` and `embeds.grad.<weight>` from embeddings; `generate.tokens` and
 * `generate.step_logits`.
 */
export function decoderParts(
  fixture: ParityFixture,
  engine: Engine,
  open: () => Promise<DecoderModel>,
  prefix = '',
): Part[] {
  const { tensors } = fixture;
  const forward = (from: Wanted['from'], before: string): Part => {
    const gradient = `${before}grad.`;
    const ownGradient = from === 'embeddings' ? `${before}grad` : undefined;
    return {
      gives: (name) =>
        [`${before}logits`, `${before}loss`, ownGradient].includes(name) || name.startsWith(gradient),
      compute: async (names) => {
        const model = await open();
        const weightOf = (name: string): string => {
          if (name === ownGradient) return 'inputsEmbeds';
          const weight = ownName(name.slice(gradient.length));
          const tied = model.config.tieWordEmbeddings && weight === 'lm_head.weight';
          return tied ? 'model.embed_tokens.weight' : weight;
        };
        const known = (weight: string) => weight === 'inputsEmbeds' || model.weights[weight] !== undefined;
        const asked = names.filter((name) => name === ownGradient || name.startsWith(gradient)).map(weightOf);
        const results = await runDecoder(fixture, engine, model, {
          from,
          logits: names.includes(`${before}logits`),
          loss: names.includes(`${before}loss`),
          gradients: [...new Set(asked)].filter(known),
        });
        return Object.fromEntries(
          names.map((name): [string, Actual | string] => {
            if (name === `${before}loss`) return [name, results.loss!];
            if (name === `${before}logits`) {
              return [name, { ...results.logits!, ...atTokens(fixture, model.config.vocabSize) }];
            }
            return [
              name,
              results[weightOf(name)] ?? `the model has no weight "${weightOf(name)}" in its loss`,
            ];
          }),
        );
      },
    };
  };
  const tokensName = `${prefix}generate.tokens`;
  const scoresName = `${prefix}generate.step_logits`;
  const generation: Part = {
    gives: (name) => name === tokensName || name === scoresName,
    compute: async () => {
      const model = await open();
      const newTokens = tensors[tokensName]?.shape.at(-1) ?? tensors[scoresName]?.shape[0];
      if (newTokens === undefined) return {};
      const { tokens, scores } = await generateGreedily(fixture, engine, model, newTokens);
      const rows = tokens.length === 1 ? [] : [tokens.length];
      return {
        [tokensName]: {
          // One row may stand alone or in a batch of one.
          shape: tensors[tokensName]?.shape.length === 2 ? [tokens.length, newTokens] : [...rows, newTokens],
          data: tokens.flat(),
        },
        [scoresName]: { shape: [newTokens, ...rows, model.config.vocabSize], data: scores },
      };
    },
  };
  return [forward('ids', prefix), forward('embeddings', `${prefix}embeds.`), generation];
}

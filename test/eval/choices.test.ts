import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AffectGptInputs, adapterContext, embedInputs } from '../../model/affectgpt.ts';
import { embedTokens, logits } from '../../model/decoder.ts';
import { parseConfig } from '../../src/config/load.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import type { HostTensorMap } from '../../src/engine/types.ts';
import { planChoices } from '../../src/eval/choice-plan.ts';
import { scoreChoices } from '../../src/eval/choices.ts';
import { openAffectGpt } from '../../src/runtime/affectgpt.ts';
import { Generator } from '../../src/runtime/generator.ts';
import { openSamples } from '../../src/runtime/samples.ts';
import { int32, runDecoder } from '../support/decoder.ts';
import { readTensors, toTensors } from '../support/fixture.ts';
import { type TinyModels, writeTinyModels } from '../support/tiny-models.ts';

let folder: string;
let models: TinyModels;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'affectgpt-choices-'));
  models = await writeTinyModels(folder);
  await tf.setBackend('cpu');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const rows = [
  { name: 'a', subtitle: 'No.', labels: ['happy'], sentiment: 'positive', split: 'train' },
  { name: 'b', subtitle: 'Oh.', labels: ['sad'], sentiment: 'negative', split: 'train' },
  { name: 'c', subtitle: 'Yes.', labels: ['sad'], sentiment: 'negative', split: 'train' },
  { name: 'd', subtitle: 'They talked about the train.', labels: ['sad'], split: 'test' },
  { name: 'e', subtitle: 'No.', labels: ['happy'], split: 'test' },
  {
    name: 'f',
    subtitle: 'I heard about the garden, and then again at noon.',
    labels: ['sad'],
    split: 'test',
  },
];

async function configure(data: object, given: readonly object[] = rows) {
  const manifest = join(folder, 'rows.jsonl');
  await writeFile(manifest, given.map((row) => JSON.stringify(row)).join('\n'));
  return parseConfig({
    model: { llm: models.llm, inputs: 'textonly' },
    lora: { rank: 4 },
    data: { manifest, labelType: 'ovlabel', ...data },
    engine: { threads: 1 },
    evaluation: {},
    output: join(folder, 'run'),
  });
}
const plan = async (data: object, settings: object = {}, given?: readonly object[]) => {
  const config = await configure(data, given);
  return planChoices(config, { ...config.evaluation!, ...settings });
};

describe('scores of choices', () => {
  const template = { prompt: '{subtitle} =>', answer: ' {label}', begin: false, end: 'none' };
  it.each([
    ['an own template', { template }],
    ['an own template with an end', { template: { ...template, begin: true, end: 'eos' } }],
    ['the published prompt', { template: null }],
  ])('are what the decoder says of the whole sequence: %s', async (_, data) => {
    const config = await configure(data);
    const engine = await createEngine(config.engine);
    const model = await openAffectGpt(config);
    const notify = () => {};
    const { records, type } = await planChoices(config, config.evaluation!);
    const { source } = await openSamples({ config, model, engine, records, forTraining: false, notify });
    // One token or several, and one that another begins with.
    const choices = ['happy', 'sad', 'sad and tired', 'surprised'];
    const answers = choices.map((choice) => source.answerTokens(type, choice));
    expect(Math.max(...answers.map(({ length }) => length))).toBeGreaterThan(2);
    // Adapters that do something.
    const adapters: HostTensorMap = Object.fromEntries(
      Object.entries(model.trainable).map(([name, shape]) => {
        const data = new RandomGenerator(3).split(name).uniformFloat32(shape[0]! * shape[1]!, -0.3, 0.3);
        return [name, { dtype: 'float32', shape, data }];
      }),
    );
    const generator = new Generator(engine, model);
    const state = engine.createState(adapters);
    const scored = new Map<string, Float64Array>();
    const options = { generator, state, source, maxPositionEmbeddings: 1024, type, choices };
    for await (const { name, scores } of scoreChoices(options)) scored.set(name, scores);
    expect([...scored.keys()]).toEqual(['d', 'e', 'f']);

    const decoder = await readTensors(join(models.llm, 'model.safetensors'));
    const tensors = toTensors({ ...decoder, ...adapters });
    const parameters = new Parameters(tensors);
    for (const [name, scores] of scored) {
      const prompt = await source.loadPrompts([name], source.questionOf(name, type));
      const alone = await generator.logLikelihoods(state, prompt, answers);
      const inputs = toTensors(prompt.inputs) as unknown as AffectGptInputs;
      const { inputsEmbeds } = embedInputs(model.config, parameters, inputs);
      const before = inputsEmbeds.shape[1]!;
      for (const [i, tokens] of answers.entries()) {
        const read = embedTokens(parameters, tf.tensor2d(tokens, [1, tokens.length], 'int32'));
        const all = tf.concat([inputsEmbeds, read], 1);
        const length = before + tokens.length;
        const mask = int32(new Int32Array(length).fill(1), [1, length]);
        const adapter = adapterContext(model.config)!;
        const { hidden } = runDecoder(
          tensors,
          model.config.decoder,
          { inputsEmbeds: all, mask },
          { adapter },
        );
        const asked = tf.slice(hidden, [before - 1, 0], [tokens.length, hidden.shape[1]!]);
        const known = tf
          .logSoftmax(logits(parameters, model.config.decoder, asked))
          .arraySync() as number[][];
        const expected = tokens.reduce((sum, token, at) => sum + known[at]![token]!, 0);
        expect(scores[i]).toBeCloseTo(expected, 3);
        expect(alone[0]![i]).toBeCloseTo(scores[i]!, 4);
      }
    }
    state.dispose();
    await generator.dispose();
  });
});

describe('the plan of an evaluation', () => {
  it('takes the labels of the training samples by frequency, and the first samples of the split', async () => {
    const { choices, records, labels, type } = await plan({}, { limit: 2 });
    expect(choices).toEqual(['sad', 'happy']);
    expect(records.map(({ name }) => name)).toEqual(['d', 'e']);
    expect([...labels]).toEqual([
      ['d', 'sad'],
      ['e', 'happy'],
    ]);
    expect(type).toBe('ovlabel');
    const sentiment = await plan({ labelType: 'sentiment' }, { split: 'train' });
    expect(sentiment.choices).toEqual(['negative', 'positive']);
    expect(sentiment.labels.get('a')).toBe('positive');
    expect((await plan({ labelType: 'hybird' })).type).toBe('ovlabel');
  });

  it.each<[object, object, readonly object[] | undefined, string, RegExp]>([
    [{}, { split: 'dev' }, undefined, 'SAMPLES_NONE', /split "dev".*there are: train, test/],
    [
      {},
      { choices: ['sad', 'angry'] },
      undefined,
      'EVALUATION_UNUSABLE',
      /"e" has the label "happy", which is no choice/,
    ],
    [{}, {}, rows.slice(1), 'CHOICES_TOO_FEW', /have 1 different labels/],
    [
      { labelType: 'sentiment' },
      {},
      undefined,
      'EVALUATION_UNUSABLE',
      /"d" has no sentiment.*"f" has no sentiment/,
    ],
    [
      {},
      {},
      [...rows, { ...rows[3], name: 'g', labels: ['sad', 'happy'] }],
      'EVALUATION_UNUSABLE',
      /row 7: sample "g" has 2 labels/,
    ],
  ])('%j %j is refused', async (data, settings, given, code, message) => {
    await expect(plan(data, settings, given)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});

import {
  type AffectGptConfig,
  type AffectGptInputs,
  embeddingInputSpecs,
  embedInputs,
  placeholderRuns,
} from '../../../model/affectgpt.ts';
import type { GeneratedSequence } from '../../../model/generation.ts';
import type { FeatureName, InputModeName } from '../../../model/modes.ts';
import { collatePrompts, type PromptBatch } from '../../../src/data/collate.ts';
import { buildPrompt, stopText } from '../../../src/data/prompts.ts';
import { encodePrompt } from '../../../src/data/sequence.ts';
import type { PromptTokenizer } from '../../../src/data/tokenizer.ts';
import { Parameters } from '../../../src/engine/parameters.ts';
import type {
  CompiledFunction,
  Engine,
  HostTensor,
  HostTensorMap,
  State,
} from '../../../src/engine/types.ts';
import { Generator } from '../../../src/runtime/generator.ts';
import type { AffectGptReference } from '../../support/affectgpt-reference.ts';
import { referenceTokenizer } from '../../support/qwen-tokenizer.ts';
import { largestOf, missed, reasonOf } from '../compare.ts';
import type { Comparison } from '../handler.ts';
import { close, equal, type Rules, sameNames, unknownKeys, within } from './comparisons.ts';
import { endToEndModel, endToEndParameters } from './end-to-end.ts';
import type { RawMedia } from './media.ts';
import { type Case, compareArguments, compareStops, type Generation } from './stops.ts';

const caseKeys = new Set([
  ...[
    'mode',
    'media',
    'subtitle',
    'question',
    'bos_prepended',
    'prompt',
    'prompt_ids',
    'seen_length',
    'note',
  ],
  ...['output_ids', 'smallest_top2_gap', 'stopped_by', 'response', 'max_new_tokens', 'max_length'],
]);
const sections = new Set([
  ...['stop_ids', 'cases', 'generate_arguments', 'stop_rules_met', 'post_processing', 'stop_rule'],
]);

/** An engine that compiles the decoder of all answers once, and shows the scores that it gives. */
class SharedDecoder {
  readonly #engine: Engine;
  #decoder: Promise<CompiledFunction> | undefined;
  #scores: HostTensor[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Scores of each step since the last call. */
  takeScores(): HostTensor[] {
    const scores = this.#scores;
    this.#scores = [];
    return scores;
  }

  engine(): Engine {
    return {
      name: this.#engine.name,
      createState: (values) => this.#engine.createState(values),
      compile: async (fn, options) => {
        if (options.name !== 'generate.decoder') return this.#engine.compile(fn, options);
        this.#decoder ??= this.#engine.compile(fn, options);
        const decoder = await this.#decoder;
        return {
          name: decoder.name,
          dispose: async () => {},
          run: async (inputs, state) => {
            const outputs = await decoder.run(inputs, state);
            this.#scores.push(outputs.logits!);
            return outputs;
          },
        };
      },
    };
  }

  async dispose(): Promise<void> {
    await (await this.#decoder)?.dispose();
  }
}

/** Distance of the two largest scores. */
function topTwoGap({ data }: HostTensor): number {
  let [first, second] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < data.length; i++) {
    const score = data[i]!;
    if (score > first) [first, second] = [score, first];
    else if (score > second) second = score;
  }
  return first - second;
}

/** What ended an answer, in the words of the fixture. */
function stoppedBy(tokenizer: PromptTokenizer, { tokens, finish, stopLength }: GeneratedSequence): string {
  if (finish === 'length') return 'max_new_tokens';
  if (stopLength > 1) return 'pair';
  const last = tokens.at(-1)!;
  if (last === tokenizer.eosId) return 'eos';
  return tokenizer.decode([last]) === stopText ? '###' : 'endoftext (generation config)';
}

/** Greedy answers about raw media, one prompt at a time. */
class Answers {
  readonly #reference: AffectGptReference;
  readonly #media: RawMedia;
  readonly #tensors: HostTensorMap;
  readonly #tokenizer: PromptTokenizer;
  readonly #engine: Engine;
  readonly #decoder: SharedDecoder;
  readonly #state: State;
  readonly #rules: Rules;
  readonly #generators = new Map<string, Generator>();
  readonly #features = new Map<string, Promise<HostTensorMap>>();

  constructor(
    reference: AffectGptReference,
    media: RawMedia,
    tensors: HostTensorMap,
    tokenizer: PromptTokenizer,
    engine: Engine,
    rules: Rules,
  ) {
    this.#reference = reference;
    this.#media = media;
    this.#tensors = tensors;
    this.#tokenizer = tokenizer;
    this.#engine = engine;
    this.#decoder = new SharedDecoder(engine);
    this.#state = engine.createState(this.#trainable);
    this.#rules = rules;
  }

  get #trainable(): HostTensorMap {
    return { ...this.#reference.adapter, ...endToEndParameters(this.#tensors) };
  }

  async dispose(): Promise<void> {
    for (const generator of this.#generators.values()) await generator.dispose();
    await this.#decoder.dispose();
    this.#state.dispose();
  }

  #model(mode: string): AffectGptConfig {
    return endToEndModel(this.#reference, this.#tensors, mode);
  }

  #generator(mode: string): Generator {
    const known = this.#generators.get(mode);
    if (known !== undefined) return known;
    const trainable = Object.entries(this.#trainable).map(([name, { shape }]) => [name, shape] as const);
    const generator = new Generator(this.#decoder.engine(), {
      config: this.#model(mode),
      weights: this.#reference.frozen,
      trainable: Object.fromEntries(trainable),
    });
    this.#generators.set(mode, generator);
    return generator;
  }

  /** Features of one sample; each is encoded once. */
  async #featuresOf(sample: number, needs: readonly FeatureName[], frames: number): Promise<HostTensorMap> {
    const features: HostTensorMap = {};
    for (const kind of needs) {
      const key = `${kind} ${sample}`;
      const encoded = this.#features.get(key) ?? this.#media.batch([kind], [sample], frames);
      this.#features.set(key, encoded);
      Object.assign(features, await encoded);
    }
    return features;
  }

  async #prompt({ mode, media, prompt_ids: ids, seen_length: seen }: Case): Promise<PromptBatch> {
    const model = this.#model(mode);
    const features = await this.#featuresOf(media, model.mode.needs, model.fusion.frames);
    return collatePrompts([ids.slice(-seen)], features, { model, tokenizer: this.#tokenizer });
  }

  /** What the decoder reads, `[1, tokens, hidden]`. */
  async embeddings(given: Case): Promise<HostTensor> {
    const model = this.#model(given.mode);
    const compiled = await this.#engine.compile(
      ({ inputs, weights }) => {
        const embedded = embedInputs(model, new Parameters(weights), inputs as unknown as AffectGptInputs);
        return { outputs: { inputsEmbeds: embedded.inputsEmbeds } };
      },
      {
        name: 'prompt',
        inputs: embeddingInputSpecs(model),
        weights: { ...this.#reference.frozen, ...this.#trainable },
      },
    );
    try {
      return (await compiled.run((await this.#prompt(given)).inputs)).inputsEmbeds!;
    } finally {
      await compiled.dispose();
    }
  }

  /** The prompt as string and ids. The published code cuts long ones from the left; this program does not. */
  #comparePrompt(given: Case, label: string, maxNewTokens: number): Comparison[] {
    const { mode, subtitle, question, bos_prepended: bos, prompt, prompt_ids: ids } = given;
    const start = bos && this.#tokenizer.bosId !== undefined ? [this.#tokenizer.bosId] : [];
    const text = buildPrompt(mode as InputModeName, subtitle, question);
    const runs = placeholderRuns(this.#model(mode), this.#tokenizer.placeholderIds);
    const longest = (given.max_length ?? Number.POSITIVE_INFINITY) - maxNewTokens;
    return [
      equal(`${label}.prompt`, [this.#tokenizer.decode(start) + text], [prompt]),
      equal(`${label}.prompt_ids`, [...start, ...encodePrompt(this.#tokenizer, text, runs, label)], ids),
      equal(
        `${label}.seen_length`,
        [Math.min(ids.length, longest)],
        [given.seen_length],
        ids.length > given.seen_length
          ? 'cut from the left as published, which this program leaves alone'
          : undefined,
      ),
    ];
  }

  /** One answer with all that is stored of it. @returns also what stopped it */
  async compare(given: Case, label: string, maxNewTokens: number): Promise<[Comparison[], string]> {
    const comparisons = this.#comparePrompt(given, label, maxNewTokens);
    this.#decoder.takeScores();
    const [answer] = await this.#generator(given.mode).answer(this.#state, await this.#prompt(given), {
      maxNewTokens,
      stop: this.#tokenizer.stopSequences('published'),
      sampling: { method: 'greedy' },
      padToken: this.#tokenizer.padId,
    });
    const scores = this.#decoder.takeScores();
    const gap = Math.min(...scores.map(topTwoGap));
    const largest = Math.max(...scores.map(({ data }) => largestOf(data)));
    const stopped = stoppedBy(this.#tokenizer, answer!);
    comparisons.push(
      equal(`${label}.output_ids`, answer!.tokens, given.output_ids, 'greedy, token by token'),
      equal(`${label}.stopped_by`, [stopped], [given.stopped_by]),
      equal(`${label}.response`, [this.#tokenizer.answer(answer!.tokens, 'published')], [given.response]),
      within(
        `${label}.smallest_top2_gap`,
        gap,
        given.smallest_top2_gap,
        this.#rules.relative * largest + this.#rules.absolute,
        'difference of two scores: the tolerance is that of the scores',
      ),
      ...unknownKeys(`${label}.`, given, caseKeys),
    );
    return [comparisons, stopped];
  }
}

/**
 * Greedy answers about raw media, the rule that stops them and how they are cut.
 * @param tensors content of `raw.safetensors`
 */
export async function compareGeneration(
  reference: AffectGptReference,
  media: RawMedia | undefined,
  tensors: HostTensorMap,
  engine: Engine,
  rules: Rules,
): Promise<Comparison[]> {
  const facts = reference.golden.generation as Generation | undefined;
  if (facts === undefined) return [];
  let tokenizer: PromptTokenizer;
  try {
    tokenizer = await referenceTokenizer(reference.folder);
  } catch (error) {
    return [missed('golden.json generation', undefined, `no tokenizer: ${reasonOf(error)}`)];
  }
  const comparisons = [
    ...compareStops(tokenizer, facts),
    ...compareArguments(facts.generate_arguments ?? {}),
    ...unknownKeys('golden.json generation.', facts, sections),
  ];
  const cases = facts.cases ?? [];
  if (media === undefined) {
    if (cases.length > 0) {
      comparisons.push(missed('golden.json generation.cases', undefined, 'raw.safetensors is not there'));
    }
    return comparisons;
  }
  const answers = new Answers(reference, media, tensors, tokenizer, engine, rules);
  const met = new Set<string>();
  try {
    for (const [i, given] of cases.entries()) {
      const label = `golden.json generation.cases[${i}]`;
      const maxNewTokens = given.max_new_tokens ?? Number(facts.generate_arguments.max_new_tokens);
      try {
        const [compared, stopped] = await answers.compare(given, label, maxNewTokens);
        comparisons.push(...compared);
        met.add(stopped);
        const embeddings = tensors[`gen${i}/inputs_embeds`];
        if (embeddings !== undefined) {
          const name = `raw.safetensors gen${i}/inputs_embeds`;
          comparisons.push(close(name, await answers.embeddings(given), embeddings, rules));
        }
      } catch (error) {
        comparisons.push(missed(label, undefined, reasonOf(error)));
      }
    }
  } finally {
    await answers.dispose();
  }
  comparisons.push(sameNames('golden.json generation.stop_rules_met', met, facts.stop_rules_met ?? met));
  return comparisons;
}

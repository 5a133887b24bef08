import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import * as ort from 'onnxruntime-node';
import type { Frames } from '../../encoders/encoder.ts';
import { type GeneratedSequence, generate } from '../../model/generation.ts';
import { cutAnswer } from '../data/answer-rule.ts';
import { EngineError, InputError } from '../errors.ts';
import { readText } from '../io/filesystem.ts';
import { openSafetensors, readFloat32 } from '../io/safetensors.ts';
import { type ExportDescription, type GraphEntry, readExportManifest } from './manifest.ts';

/** What is asked of an exported model. What its inputs do not need may be absent. */
export interface ExportedPrompt {
  readonly subtitle: string;
  readonly question: string;
  readonly frame?: Frames;
  readonly face?: Frames;
  readonly image?: Frames;
  /** 16 kHz mono. */
  readonly audio?: Float32Array;
}

export interface OpenOptions {
  /** Of one operation; null takes all cores. */
  readonly threads?: number | null;
  /** Safetensors file to take instead of the one in the folder, where the adapter was kept. */
  readonly adapter?: string;
}

type Feeds = Record<string, ort.Tensor>;

const float32 = (data: Float32Array, dims: readonly number[]): ort.Tensor =>
  new ort.Tensor('float32', data, dims);
const int64 = (data: readonly number[], dims: readonly number[]): ort.Tensor =>
  new ort.Tensor('int64', BigInt64Array.from(data, BigInt), dims);

/** Past tokens of one prompt: what the decoder gave under `present.*`. */
interface Cache {
  readonly tokens: number;
  readonly tensors: Feeds;
}

/**
 * A folder of `affectgpt export onnx`, run by nothing but its own files, onnxruntime and a tokenizer library: what a
 * program without this one does, and what an export checks itself with.
 */
export class ExportedModel {
  readonly manifest: ExportDescription;
  readonly #folder: string;
  readonly #tokenizer: Tokenizer;
  readonly #adapter: Feeds;
  readonly #threads: number | null;
  readonly #sessions = new Map<string, Promise<ort.InferenceSession>>();

  private constructor(
    folder: string,
    manifest: ExportDescription,
    tokenizer: Tokenizer,
    adapter: Feeds,
    threads: number | null,
  ) {
    this.#folder = folder;
    this.manifest = manifest;
    this.#tokenizer = tokenizer;
    this.#adapter = adapter;
    this.#threads = threads;
  }

  /**
   * @throws InputError `EXPORT_INVALID`, and those of reading files
   */
  static async open(folder: string, options: OpenOptions = {}): Promise<ExportedModel> {
    return ExportedModel.openAs(folder, await readExportManifest(folder), options);
  }

  /** As `open`, for a folder whose manifest is not written yet. */
  static async openAs(
    folder: string,
    manifest: ExportDescription,
    options: OpenOptions = {},
  ): Promise<ExportedModel> {
    const json = async (name: string) => JSON.parse(await readText(join(folder, name))) as object;
    const tokenizer = new Tokenizer(
      (await json('tokenizer.json')) as ConstructorParameters<typeof Tokenizer>[0],
      (await json('tokenizer_config.json')) as ConstructorParameters<typeof Tokenizer>[1],
    );
    const adapter: Feeds = {};
    if (manifest.adapter !== null) {
      const file = options.adapter ?? join(folder, manifest.adapter.file);
      for (const [name, entry] of (await openSafetensors(file)).entries) {
        adapter[name] = float32(await readFloat32(entry), entry.shape);
      }
    }
    return new ExportedModel(folder, manifest, tokenizer, adapter, options.threads ?? null);
  }

  /** Token ids of a prompt. @throws InputError `PLACEHOLDER_IN_TEXT` */
  promptIds(subtitle: string, question: string): number[] {
    const { segments, startToken } = this.manifest.prompt;
    const fields = { subtitle, question };
    const text = segments.map((segment) => {
      if ('text' in segment) return segment.text;
      return 'field' in segment ? fields[segment.field] : segment.placeholder.repeat(segment.tokens);
    });
    const { ids } = this.#tokenizer.encode(text.join(''), { add_special_tokens: false });
    for (const segment of segments) {
      if (!('id' in segment)) continue;
      const found = ids.filter((id: number) => id === segment.id).length;
      if (found !== segment.tokens) {
        throw new InputError(
          'PLACEHOLDER_IN_TEXT',
          `The subtitle or the question spells the placeholder ${segment.placeholder}; take it out.`,
        );
      }
    }
    return startToken === null ? ids : [startToken, ...ids];
  }

  /** Features of each kind that the fusion takes, `[count, size]`. */
  async features(prompt: ExportedPrompt): Promise<Feeds> {
    const features: Feeds = {};
    for (const kind of this.manifest.inputs.features) {
      const given = prompt[kind];
      if (given === undefined) {
        throw new InputError('FEATURES_MISSING', `This model needs ${kind}, which was not given.`);
      }
      if (given instanceof Float32Array) {
        const { features: sound } = await this.#run('audio', { samples: float32(given, [given.length]) });
        features[kind] = sound!;
      } else {
        const { data, count, height, width } = given;
        const frames = new ort.Tensor('uint8', data, [count, height, width, 3]);
        features[kind] = (await this.#run('vision', { frames })).features!;
      }
    }
    return features;
  }

  /** The vectors of one sample, `[vectors, hidden]`; none where the prompt has no placeholders. */
  async vectors(features: Feeds): Promise<ort.Tensor> {
    const { hiddenSize } = this.manifest.decoder;
    if (this.manifest.graphs.fusion === undefined) return float32(new Float32Array(0), [0, hiddenSize]);
    const feeds = Object.entries(features).map(([kind, { data, dims }]) => [
      kind,
      float32(data as Float32Array, [1, ...dims]),
    ]);
    return (await this.#run('fusion', Object.fromEntries(feeds))).vectors!;
  }

  /** A prompt that was encoded and can be read. */
  async start(prompt: ExportedPrompt): Promise<ExportedReading> {
    const vectors = await this.vectors(await this.features(prompt));
    return this.startWith(prompt, vectors);
  }

  /** As `start`, with vectors that are there already. */
  startWith({ subtitle, question }: ExportedPrompt, vectors: ort.Tensor): ExportedReading {
    const ids = this.promptIds(subtitle, question);
    const { maxTokens } = this.manifest.prompt;
    if (ids.length > maxTokens) {
      throw new InputError(
        'PROMPT_TOO_LONG',
        `The prompt has ${ids.length} tokens, and the language model has positions for ${maxTokens}. Shorten the subtitle or the question.`,
      );
    }
    return new ExportedReading(this.manifest, (feeds) => this.#run('decoder', feeds), ids, vectors);
  }

  /** The greedy answer to a prompt. */
  async answer(prompt: ExportedPrompt): Promise<{ readonly text: string; readonly tokens: number[] }> {
    const { maxNewTokens, stopSequences } = this.manifest.generation;
    const reading = await this.start(prompt);
    const [sequence] = await generate(
      async ({ tokens }) => {
        const logits = await reading.read(tokens === null ? reading.promptIds : [...tokens], 1);
        return logits;
      },
      { batch: 1, maxNewTokens, stop: stopSequences, sampling: { method: 'greedy' }, padToken: 0 },
    );
    return { text: this.answerText(sequence!.tokens), tokens: sequence!.tokens };
  }

  /** What generated tokens say. */
  answerText(tokens: GeneratedSequence['tokens']): string {
    const options = { skip_special_tokens: false, clean_up_tokenization_spaces: false };
    const text = tokens.length === 0 ? '' : this.#tokenizer.decode(tokens, options);
    return cutAnswer(text, this.manifest.generation.answer);
  }

  async #run(name: keyof ExportDescription['graphs'], feeds: Feeds): Promise<Feeds> {
    const entry = this.manifest.graphs[name];
    if (entry === undefined) throw new InputError('EXPORT_INVALID', `${this.#folder} has no ${name} graph.`);
    const open = this.#sessions.get(name) ?? this.#open(entry);
    this.#sessions.set(name, open);
    return (await open).run(name === 'decoder' ? { ...feeds, ...this.#adapter } : feeds);
  }

  async #open({ file }: GraphEntry): Promise<ort.InferenceSession> {
    const path = join(this.#folder, file);
    try {
      return await ort.InferenceSession.create(path, {
        executionProviders: ['cpu'],
        ...(this.#threads !== null && { intraOpNumThreads: this.#threads }),
        interOpNumThreads: 1,
        logSeverityLevel: 3,
      });
    } catch (error) {
      throw new EngineError(
        'EXPORT_UNUSABLE',
        `${path} is not loaded by onnxruntime: ${(error as Error).message}`,
        {
          cause: error,
        },
      );
    }
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
  }
}

/** One prompt on its way through the decoder. */
export class ExportedReading {
  readonly promptIds: readonly number[];
  readonly #manifest: ExportDescription;
  readonly #run: (feeds: Feeds) => Promise<Feeds>;
  readonly #vectors: ort.Tensor;
  #cache: Cache;

  constructor(
    manifest: ExportDescription,
    run: (feeds: Feeds) => Promise<Feeds>,
    promptIds: readonly number[],
    vectors: ort.Tensor,
  ) {
    this.#manifest = manifest;
    this.#run = run;
    this.promptIds = promptIds;
    this.#vectors = vectors;
    const { layers, keyValueHeads, headDim } = manifest.decoder;
    const names = Array.from({ length: layers }, (_, layer) => [`${layer}.key`, `${layer}.value`]).flat();
    const empty = names.map((name) => [name, float32(new Float32Array(0), [1, keyValueHeads, 0, headDim])]);
    this.#cache = { tokens: 0, tensors: Object.fromEntries(empty) };
  }

  /**
   * Reads tokens after those read before; the prompt at once.
   *
   * @param keep of how many of them, the last ones, scores are wanted; 0 for all
   * @returns scores of the token after each, `keep * vocab`
   */
  async read(ids: readonly number[], keep: number): Promise<Float32Array> {
    const { tokens: past, tensors } = this.#cache;
    const { hiddenSize } = this.#manifest.decoder;
    const total = past + ids.length;
    const isPrompt = past === 0;
    const vectors = isPrompt ? this.#vectors : float32(new Float32Array(0), [0, hiddenSize]);
    const caches = Object.entries(tensors).map(([name, tensor]) => [`past_key_values.${name}`, tensor]);
    const { logits, ...present } = await this.#run({
      input_ids: int64(ids, [1, ids.length]),
      attention_mask: int64(Array<number>(total).fill(1), [1, total]),
      position_ids: int64(
        ids.map((_, i) => past + i),
        [1, ids.length],
      ),
      num_logits_to_keep: int64([keep], []),
      ...(this.#manifest.graphs.fusion !== undefined && { vectors }),
      ...Object.fromEntries(caches),
    });
    const next = Object.entries(present).map(([name, tensor]) => [name.slice('present.'.length), tensor]);
    this.#cache = { tokens: total, tensors: Object.fromEntries(next) };
    return logits!.data as Float32Array;
  }
}

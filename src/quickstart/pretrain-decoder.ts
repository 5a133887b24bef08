import { join } from 'node:path';
import { initDecoderWeights, parseDecoderConfig } from '../../model/decoder.ts';
import { languageModelBatch, languageModelInputs, languageModelLossSum } from '../../model/language-model.ts';
import { ignoredLabel } from '../../model/loss.ts';
import { buildTrainingSequence } from '../data/sequence.ts';
import { loadTokenizer } from '../data/tokenizer.ts';
import type { Engine, HostTensor } from '../engine/types.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { type SafetensorsTensor, writeSafetensors } from '../io/safetensors.ts';
import { LessonWriter } from './corpus.ts';
import { pretrain } from './pretrain.ts';
import { Random } from './random.ts';

/** A Qwen2 small enough for two cores. */
const decoderConfig = {
  architectures: ['Qwen2ForCausalLM'],
  model_type: 'qwen2',
  hidden_size: 128,
  intermediate_size: 384,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 1024,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  tie_word_embeddings: true,
  hidden_act: 'silu',
  initializer_range: 0.05,
};

export interface DecoderPretraining {
  readonly engine: Engine;
  readonly seed: number;
  readonly steps: number;
  readonly batch: number;
  readonly onStep?: (step: number, loss: number) => void;
}

/**
 * Teaches a small decoder the language of prompts and answers from text alone, and writes it in Hugging Face layout
 * into a folder that already holds its tokenizer.
 */
export async function pretrainDecoder(folder: string, options: DecoderPretraining): Promise<void> {
  const { engine, seed, steps, batch, onStep } = options;
  const tokenizer = await loadTokenizer(folder);
  const json = {
    ...decoderConfig,
    vocab_size: tokenizer.length,
    bos_token_id: tokenizer.bosId,
    eos_token_id: tokenizer.eosId,
  };
  const config = parseDecoderConfig(json);
  const lessons = new LessonWriter(new Random(seed, 'lessons'));
  const trained = await pretrain({
    name: 'pretrain.decoder',
    engine,
    initial: initDecoderWeights(config, seed),
    inputs: languageModelInputs(config),
    lossSum: (tensors) => languageModelLossSum(config, tensors),
    steps,
    learningRate: 3e-3,
    weightDecay: 0.05,
    ...(onStep && { onStep }),
    batch: () => {
      const sequences = Array.from({ length: batch }, () => {
        const { prompt, answer } = lessons.next();
        return buildTrainingSequence(tokenizer, tokenizer.encode(prompt), answer, {
          maxLength: 512,
          name: 'lesson',
        });
      });
      const tokens = Math.max(...sequences.map(({ ids }) => ids.length));
      const padded = (fill: number, row: (i: number) => Int32Array): HostTensor => {
        const data = new Int32Array(batch * tokens).fill(fill);
        for (let i = 0; i < batch; i++) data.set(row(i), i * tokens);
        return { dtype: 'int32', shape: [batch, tokens], data };
      };
      const inputs = languageModelBatch(
        config,
        padded(tokenizer.padId, (i) => sequences[i]!.ids),
        padded(0, (i) => new Int32Array(sequences[i]!.ids.length).fill(1)),
        padded(ignoredLabel, (i) => sequences[i]!.labels),
      );
      return { inputs, count: inputs.positions!.data.length };
    },
  });
  const stored = Object.fromEntries(
    Object.entries(trained).map(([name, { shape, data }]): [string, SafetensorsTensor] => [
      name,
      { dtype: 'F32', shape, data: data as Float32Array },
    ]),
  );
  await writeFileAtomic(join(folder, 'config.json'), `${JSON.stringify(json, null, 2)}\n`);
  await writeSafetensors(join(folder, 'model.safetensors'), stored, { format: 'pt' });
}

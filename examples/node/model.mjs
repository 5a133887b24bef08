// Runs a folder of `affectgpt export onnx` under Node: npm install onnxruntime-node @huggingface/tokenizers
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import * as ort from 'onnxruntime-node';

const float32 = (data, dims) => new ort.Tensor('float32', data, dims);
const int64 = (numbers, dims) => new ort.Tensor('int64', BigInt64Array.from(numbers, BigInt), dims);

/** Loads the graphs and the tokenizer. */
export async function openModel(folder) {
  const json = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const model = { ...json('manifest.json'), preprocessor: json('preprocessor_config.json'), sessions: {} };
  if (model.adapter)
    throw new Error(`Export without --keep-adapter, or feed ${model.adapter.file} to the decoder.`);
  model.tokenizer = new Tokenizer(json('tokenizer.json'), json('tokenizer_config.json'));
  for (const [name, { file }] of Object.entries(model.graphs)) {
    model.sessions[name] = await ort.InferenceSession.create(join(folder, file));
  }
  return model;
}

/** Answers greedily. Media: audio is 16 kHz mono in a Float32Array; frame, face, image are { data, dims } of RGB bytes. */
export async function answer(model, { subtitle = '', question = model.prompt.question, ...media }) {
  const { graphs, sessions, inputs, prompt, generation, decoder, tokenizer } = model;
  // Encoders, then fusion: the vectors that stand at the placeholders of the prompt.
  const features = {};
  for (const kind of inputs.features) {
    if (!media[kind])
      throw new Error(`This model needs ${inputs.features.join(' and ')}; there is no ${kind}.`);
    const { data = media[kind], dims = [data.length] } = media[kind];
    const run =
      kind === 'audio' ? { samples: float32(data, dims) } : { frames: new ort.Tensor('uint8', data, dims) };
    const { features: found } = await sessions[kind === 'audio' ? 'audio' : 'vision'].run(run);
    features[kind] = found.reshape([1, ...found.dims]);
  }
  const vectors = graphs.fusion && (await sessions.fusion.run(features)).vectors;
  // The prompt: fixed text, what was said, what is asked, placeholders.
  const fields = { subtitle, question };
  const part = ({ text, field, placeholder, tokens: n }) => text ?? fields[field] ?? placeholder.repeat(n);
  const { ids } = tokenizer.encode(prompt.segments.map(part).join(''), { add_special_tokens: false });
  if (prompt.startToken !== null) ids.unshift(prompt.startToken);
  // The whole prompt at once, then token after token. `present.*` of one run is `past_key_values.*` of the next.
  const past = {};
  for (const { name } of graphs.decoder.inputs.filter((input) => input.name.startsWith('past'))) {
    past[name] = float32(new Float32Array(0), [1, decoder.keyValueHeads, 0, decoder.headDim]);
  }
  const tokens = [];
  const endsWith = (stop) => stop.every((id, i) => id === tokens.at(i - stop.length));
  let [next, read] = [ids, 0];
  while (tokens.length < generation.maxNewTokens && !generation.stopSequences.some(endsWith)) {
    const positions = next.map((_, i) => read + i);
    read += next.length;
    const noVectors = float32(new Float32Array(0), [0, decoder.hiddenSize]);
    const { logits, ...present } = await sessions.decoder.run({
      input_ids: int64(next, [1, next.length]),
      attention_mask: int64(Array(read).fill(1), [1, read]),
      position_ids: int64(positions, [1, next.length]),
      num_logits_to_keep: int64([1], []),
      ...(vectors && { vectors: tokens.length === 0 ? vectors : noVectors }),
      ...past,
    });
    for (const name in present) past[name.replace('present', 'past_key_values')] = present[name];
    next = [logits.data.reduce((best, score, id, all) => (score > all[best] ? id : best), 0)];
    tokens.push(...next);
  }
  // The text, cut as the manifest says.
  const { startText, endTexts, stopText, stopAt, afterText } = generation.answer;
  let text = tokenizer.decode(tokens, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  if (startText !== null) text = text.split(startText)[1] ?? text;
  for (const end of endTexts) text = text.split(end)[0];
  const cut =
    stopText === null ? -1 : stopAt === 'first' ? text.indexOf(stopText) : text.lastIndexOf(stopText);
  if (cut >= 0) text = text.slice(0, cut);
  if (afterText !== null) text = text.split(afterText).at(-1);
  return { text: text.trim(), tokens };
}

import { addedToken, PromptTokenizer } from '../../src/data/tokenizer.ts';

/** The 256 characters that stand for bytes in byte-level vocabularies (GPT-2's table). */
function byteAlphabet(): string[] {
  const isPlain = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPlain(byte) ? byte : next++));
}

/** A byte-level BPE with `##`, `###` and the given special tokens. */
export function tinyTokenizerJson(special: readonly string[]) {
  const vocab: Record<string, number> = {};
  for (const token of [...byteAlphabet(), '##', '###']) vocab[token] = Object.keys(vocab).length;
  const first = Object.keys(vocab).length;
  return {
    version: '1.0',
    added_tokens: special.map((content, i) => addedToken(first + i, content)),
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true },
    model: { type: 'BPE', vocab, merges: ['# #', '## #'] },
  };
}

export const tinyTokenizer = (): PromptTokenizer =>
  new PromptTokenizer(tinyTokenizerJson(['<|endoftext|>', '<|im_start|>', '<|im_end|>']), {}, 'test');

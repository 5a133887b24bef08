import { join } from 'node:path';
import { placeholders, stopText } from '../data/prompts.ts';
import { addedToken } from '../data/tokenizer.ts';
import { writeFileAtomic } from '../io/atomic.ts';

/** As Qwen2 splits text into words before merging: contractions, words, single digits, punctuation, spaces. */
const WORDS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/** The same for JavaScript, whose regular expressions know no inline flags in Node 20. */
const WORDS_IN_JAVASCRIPT =
  /'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu;

const SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const;
/** One token each, as they frame every modality of every prompt. */
const TAGS = ['Multi', 'Audio', 'Video', 'Subtitle', 'Image'].flatMap((tag) => [`<${tag}>`, `</${tag}>`]);

export interface TrainedTokenizer {
  /** Contents of `tokenizer.json`. */
  readonly tokenizer: Record<string, unknown>;
  /** Contents of `tokenizer_config.json`. */
  readonly config: Record<string, unknown>;
  readonly vocabularySize: number;
}

/**
 * Trains a byte-level BPE in the layout of Qwen2's: the commonest pair of neighbours is merged until the vocabulary
 * is full or no pair occurs twice. Ties go to the pair that sorts first, so the result depends on the texts alone.
 * The stop text is merged before anything else and with nothing else: it has to be one token wherever it stands.
 */
export function trainTokenizer(texts: Iterable<string>, vocabularySize = 1024): TrainedTokenizer {
  const added = [...SPECIAL, ...TAGS, ...Object.values(placeholders)];
  const alphabet = byteAlphabet();
  const words = countWords(texts, added, alphabet);
  const merges: [string, string][] = [];
  const apply = (pair: [string, string]) => {
    merges.push(pair);
    for (const word of words) word.pieces = mergePair(word.pieces, pair);
  };
  for (let length = 1; length < stopText.length; length++) {
    apply([stopText.slice(0, length), stopText.slice(length, length + 1)]);
  }
  while (alphabet.length + merges.length + added.length < vocabularySize) {
    const pair = commonestPair(words);
    if (pair === undefined) break;
    apply(pair);
  }

  const vocabulary: Record<string, number> = {};
  for (const symbol of [...alphabet].sort()) vocabulary[symbol] = Object.keys(vocabulary).length;
  for (const [left, right] of merges) vocabulary[left + right] ??= Object.keys(vocabulary).length;
  const first = Object.keys(vocabulary).length;
  const addedTokens = added.map((content, i) => addedToken(first + i, content, !TAGS.includes(content)));
  return {
    tokenizer: tokenizerFile(vocabulary, merges, addedTokens),
    config: configFile(addedTokens),
    vocabularySize: first + added.length,
  };
}

/** Writes `tokenizer.json` and `tokenizer_config.json` into a model folder. */
export async function writeTokenizer(folder: string, trained: TrainedTokenizer): Promise<void> {
  await writeFileAtomic(join(folder, 'tokenizer.json'), `${JSON.stringify(trained.tokenizer, null, 1)}\n`);
  await writeFileAtomic(
    join(folder, 'tokenizer_config.json'),
    `${JSON.stringify(trained.config, null, 2)}\n`,
  );
}

interface Word {
  pieces: string[];
  count: number;
}

type AddedToken = ReturnType<typeof addedToken>;

/** GPT-2's printable stand-in for every byte, by byte value. */
function byteAlphabet(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCharCode(printable ? byte : next++);
  });
}

function countWords(texts: Iterable<string>, added: readonly string[], alphabet: readonly string[]): Word[] {
  const escaped = added.map((token) => token.replace(/[|\\{}()[\]^$+*?.]/g, '\\$&'));
  const separators = new RegExp(escaped.join('|'));
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const part of text.normalize('NFC').split(separators)) {
      for (const [word] of part.matchAll(WORDS_IN_JAVASCRIPT)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return [...counts].map(([word, count]) => ({
    pieces: Array.from(Buffer.from(word, 'utf8'), (byte) => alphabet[byte]!),
    count,
  }));
}

function commonestPair(words: readonly Word[]): [string, string] | undefined {
  const counts = new Map<string, number>();
  for (const { pieces, count } of words) {
    for (let i = 0; i + 1 < pieces.length; i++) {
      if (pieces[i]!.includes(stopText[0]!) || pieces[i + 1]!.includes(stopText[0]!)) continue;
      // No stand-in for a byte is a plain space, so a space separates.
      const pair = `${pieces[i]} ${pieces[i + 1]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + count);
    }
  }
  let best: string | undefined;
  let most = 1;
  for (const [pair, count] of counts) {
    if (count > most || (count === most && best !== undefined && pair < best)) {
      best = pair;
      most = count;
    }
  }
  return best?.split(' ') as [string, string] | undefined;
}

function mergePair(pieces: string[], [left, right]: readonly [string, string]): string[] {
  if (!pieces.includes(left)) return pieces;
  const result: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === left && pieces[i + 1] === right) {
      result.push(left + right);
      i++;
    } else {
      result.push(pieces[i]!);
    }
  }
  return result;
}

function tokenizerFile(
  vocabulary: Record<string, number>,
  merges: readonly [string, string][],
  addedTokens: readonly AddedToken[],
): Record<string, unknown> {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens,
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: WORDS }, behavior: 'Isolated', invert: false },
        byteLevel,
      ],
    },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab: vocabulary,
      merges: merges.map((pair) => pair.join(' ')),
    },
  };
}

function configFile(addedTokens: readonly AddedToken[]): Record<string, unknown> {
  return {
    tokenizer_class: 'Qwen2Tokenizer',
    add_bos_token: false,
    add_prefix_space: false,
    bos_token: null,
    eos_token: '<|im_end|>',
    pad_token: '<|endoftext|>',
    unk_token: null,
    additional_special_tokens: ['<|im_start|>', '<|im_end|>'],
    added_tokens_decoder: Object.fromEntries(addedTokens.map(({ id, ...token }) => [String(id), token])),
    clean_up_tokenization_spaces: false,
    errors: 'replace',
    model_max_length: 1024,
    split_special_tokens: false,
  };
}

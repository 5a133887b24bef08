import { firstOf, InputError } from '../errors.ts';
import { formatReference, type ModelReference } from './reference.ts';

/** What the root of a model's repository is expected to hold for us, weights aside. */
const described = /\.(json|txt|model|jinja|tiktoken)$|^(tokenizer|vocab|merges|spiece)/;
/** Other forms of the same weights, in other frameworks or layouts. */
const foreign = /\.(h5|msgpack|ot|onnx|gguf|pt|pth|ckpt|bin|safetensors|py|md)$/;
/** Weights in their original layout, beside those in Hugging Face's. */
const original = /^(consolidated|original)/;
const leftovers = /^(training_args|optimizer|scheduler)\./;

/**
 * The files that opening a model needs: from the root of the repository its descriptions, its tokenizer and its
 * safetensors; `.bin` weights only where there are no safetensors. Nothing from subfolders (`onnx/`, `original/`).
 */
function defaultFiles(names: readonly string[]): string[] {
  const root = names.filter((name) => !name.includes('/') && !original.test(name) && !leftovers.test(name));
  const isSafetensors = (name: string) => name.endsWith('.safetensors');
  const weights = root.some(isSafetensors) ? isSafetensors : (name: string) => name.endsWith('.bin');
  return root.filter((name) => weights(name) || (described.test(name) && !foreign.test(name)));
}

/**
 * A pattern of `--include` as the hub's own programs read it: `*` stands for any text, slashes included, `?` for one
 * character, `[abc]` and `[!abc]` for one of a set, and `folder/` for all that it holds.
 */
export function globPattern(glob: string): RegExp {
  const text = glob.endsWith('/') ? `${glob}*` : glob;
  const source = text.replace(/\[(!?)([^\]]+)\]|[*?]|[\\^$.|+()[\]{}]/g, (found, not, set) => {
    if (found === '*') return '.*';
    if (found === '?') return '.';
    return set === undefined ? `\\${found}` : `[${not ? '^' : ''}${set.replace(/[\\^]/g, '\\$&')}]`;
  });
  return new RegExp(`^${source}$`, 's');
}

/**
 * The names to be downloaded, `config.json` last: a snapshot that has it is whole.
 *
 * @param include patterns; without any, all that opening a model needs
 * @throws InputError `HUB_NO_FILES` naming every pattern that matches nothing, or that there is nothing to open
 */
export function selectFiles(
  reference: ModelReference,
  names: readonly string[],
  include: readonly string[],
): string[] {
  const patterns = include.map((glob) => ({ glob, pattern: globPattern(glob) }));
  const unmatched = patterns.filter(({ pattern }) => !names.some((name) => pattern.test(name)));
  const selected =
    include.length === 0
      ? defaultFiles(names)
      : names.filter((name) => patterns.some(({ pattern }) => pattern.test(name)));
  if (selected.length === 0 || unmatched.length > 0) {
    const what =
      unmatched.length > 0
        ? `no file that matches ${unmatched.map(({ glob }) => `"${glob}"`).join(' or ')}`
        : 'none of the files that opening a model needs (config.json, safetensors, ...)';
    throw new InputError(
      'HUB_NO_FILES',
      `${formatReference(reference)} has ${what}. It has: ${firstOf(names, 12) || 'no files'}. Name files with --include GLOB.`,
    );
  }
  const isLast = (name: string) => Number(name === 'config.json');
  return selected.sort((a, b) => isLast(a) - isLast(b));
}

import { InputError } from '../../errors.ts';
import { readText } from '../../io/filesystem.ts';

/** A text file that may be in another encoding in places, so that all such rows can be told at once. */
export interface LenientText {
  readonly text: string;
  /** What is wrong with a piece of the text; undefined where all of it is UTF-8. */
  encodingFault(piece: string): string | undefined;
}

const replacement = '\u{FFFD}';
/** Characters shown on both sides of what could not be read. */
const around = 20;

/**
 * Reads a whole text file, with U+FFFD for what is not UTF-8.
 * @throws InputError those of `readText` but `FILE_NOT_UTF8`
 */
export async function readLenientText(file: string): Promise<LenientText> {
  try {
    return { text: await readText(file), encodingFault: () => undefined };
  } catch (error) {
    if (!(error instanceof InputError) || error.code !== 'FILE_NOT_UTF8') throw error;
  }
  const text = await readText(file, (bytes) => new TextDecoder().decode(bytes));
  return {
    text,
    encodingFault: (piece) => {
      const at = piece.indexOf(replacement);
      if (at === -1) return undefined;
      const shown = JSON.stringify(piece.slice(Math.max(0, at - around), at + around));
      return `is not UTF-8 text, first at ${shown}; convert the file to UTF-8`;
    },
  };
}

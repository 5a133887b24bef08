import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InputError } from '../errors.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import { sha256 } from '../io/checksum.ts';
import { fileError, readText } from '../io/filesystem.ts';
import { isJsonObject, type JsonValue } from '../io/json.ts';
import type { ChatMessage, ChatReply } from './messages.ts';

/** All that decides an answer. */
export interface Question {
  readonly url: string;
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  /** Keys of the request body besides model and messages. */
  readonly sampling: Readonly<Record<string, JsonValue>>;
}

/** What a model said. */
export interface GivenAnswer extends ChatReply {
  /** The model that the server says it asked. */
  readonly model: string;
}

/** A question as the cache knows it. */
export interface QuestionIdentity {
  /** SHA-256 of `text`. */
  readonly key: string;
  /** Canonical JSON; images that are part of it stand there as their SHA-256. */
  readonly text: string;
}

export type Lookup =
  | { readonly kind: 'found'; readonly answer: GivenAnswer }
  | { readonly kind: 'missing' }
  | { readonly kind: 'damaged'; readonly file: string };

export function identify(question: Question): QuestionIdentity {
  const text = canonicalJson({
    ...question,
    messages: question.messages.map(({ role, content }) => ({
      role,
      content: typeof content === 'string' ? content : content.map(withoutImages),
    })),
  });
  return { key: sha256(text), text };
}

function withoutImages<Part extends Exclude<ChatMessage['content'], string>[number]>(part: Part) {
  if (part.type !== 'image_url' || !part.image_url.url.startsWith('data:')) return part;
  const { url } = part.image_url;
  const kind = url.slice(0, Math.max(0, url.indexOf(',')));
  return { ...part, image_url: { ...part.image_url, url: `${kind} sha256 ${sha256(url)}` } };
}

/** JSON with the keys of each object in order, so that equal values are equal texts. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    isJsonObject(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/**
 * Answers that were given before, one file each: `<folder>/<two digits>/<SHA-256 of the question>.json` with question,
 * answer and a checksum. A file is put in place whole, so that programs that are killed, and several at once, do no harm.
 */
export class AnswerCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws InputError those of `fileError`, for files that are there and cannot be read */
  async read(question: QuestionIdentity): Promise<Lookup> {
    const file = this.#file(question);
    let text: string;
    try {
      text = await readText(file);
    } catch (error) {
      const code = error instanceof InputError ? error.code : '';
      if (code === 'FILE_NOT_FOUND') return { kind: 'missing' };
      if (code === 'FILE_NOT_UTF8') return { kind: 'damaged', file };
      throw error;
    }
    const answer = parseEntry(text, question);
    return answer === undefined ? { kind: 'damaged', file } : { kind: 'found', answer };
  }

  /** @throws InputError those of `fileError`; `DISK_FULL` among them */
  async write(question: QuestionIdentity, answer: GivenAnswer): Promise<void> {
    const file = this.#file(question);
    await mkdir(dirname(file), { recursive: true }).catch((error) => {
      throw fileError(error, dirname(file), 'write');
    });
    const entry = { question: JSON.parse(question.text), answer, sha256: checksum(question, answer) };
    await writeFileAtomic(file, `${JSON.stringify(entry)}\n`);
  }

  #file({ key }: QuestionIdentity): string {
    return join(this.#folder, key.slice(0, 2), `${key}.json`);
  }
}

const checksum = ({ text }: QuestionIdentity, answer: GivenAnswer): string =>
  sha256(`${text}\n${canonicalJson(answer)}`);

/** The answer of an entry, or `undefined` where anything about it is not as it was written. */
function parseEntry(text: string, question: QuestionIdentity): GivenAnswer | undefined {
  let entry: unknown;
  try {
    entry = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isJsonObject(entry) || !isJsonObject(entry.answer)) return undefined;
  const { text: said, finish, model } = entry.answer;
  if (typeof said !== 'string' || typeof finish !== 'string' || typeof model !== 'string') return undefined;
  const answer = { text: said, finish, model };
  return entry.sha256 === checksum(question, answer) ? answer : undefined;
}

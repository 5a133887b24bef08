import path from 'node:path';
import { pythonStrip } from '../data/python-strip.ts';
import { InputError } from '../errors.ts';
import { sha256 } from '../io/checksum.ts';
import { readText } from '../io/filesystem.ts';
import { isJsonObject } from '../io/json.ts';
import { readModelJson } from './model-folder.ts';

/** A message of text alone. */
export interface TextMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** How a chat model wants to be asked. */
export interface ChatTemplate {
  /** A conversation, up to where the answer begins. */
  prompt(messages: readonly TextMessage[]): string;
  /** The token that ends an answer. */
  readonly turnEnd: string;
}

/**
 * Templates that write ChatML, `<|im_start|>role\ncontent<|im_end|>\n`, by the SHA-256 of their normalized text without
 * the default system message.
 */
const chatMl = new Set([
  // Qwen2.5
  '751f61bb49819f100aed2f4c7c3716011d391c13da803ddedbc26ef93462f215',
  // Qwen2, SmolLM2: the system message before the first turn
  '3ae2cc54fbb309014033f5ba17216eba91377abf4a11947652a67e458fdc47cf',
  // ChatML without a system message of its own
  '0a15250a823f2b10d19fc03b579e1b6f8f2c476b76e39347cc2e1d72b137fcc1',
]);

/** Templates that write the turns of Llama 3 (not of 3.1 and later, which add dates and tools), by the same. */
const llama3 = new Set([
  '6f8397690178843861e354cf9ac0fc92bd1ad61391f3f61a34b7ebdb5908ca21',
  // As first published: it ends with where the answer begins, asked to or not
  '2b6f603d3eb414895b30b6f4bcd6ec3d66b14beae6fc81df702fee5de6d9c8cd',
]);

const systemMessage = /<\|im_start\|>system\n([^'"{}\n]+)<\|im_end\|>/;

/** Two tags with white space between them. */
const gaps = /(-?)([%}])\}(\s+)\{([%{])(-?)/g;

/**
 * White space outside of quotes goes, where it is not written out, and trimming marks with it; escaped line breaks become
 * real ones.
 */
function normalizeTemplate(template: string): string {
  const quoted = /('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")/s;
  const isTrimmed = (close: string, kind: string, gap: string, open: string): boolean =>
    close !== '' || open !== '' || (kind === '%' && gap === '\n');
  return template
    .replaceAll(gaps, (whole, close: string, kind: string, gap: string, next: string, open: string) =>
      isTrimmed(close, kind, gap, open) ? `${kind}}{${next}` : whole.replaceAll(/\s/g, '_'),
    )
    .split(quoted)
    .map((piece, i) => (i % 2 === 1 ? piece.replaceAll('\\n', '\n') : piece.replaceAll(/\s+/g, '')))
    .join('')
    .replaceAll(/\{([%{])-/g, '{$1')
    .replaceAll(/-([%}])\}/g, '$1}');
}

/** A default system message stands before a conversation that has none. */
function chatMlTemplate(system: string | undefined): ChatTemplate {
  const turn = ({ role, content }: TextMessage) => `<|im_start|>${role}\n${content}<|im_end|>\n`;
  return {
    prompt(messages) {
      const isTold = system === undefined || messages[0]?.role === 'system';
      const all = isTold ? messages : [{ role: 'system' as const, content: system }, ...messages];
      return `${all.map(turn).join('')}<|im_start|>assistant\n`;
    },
    turnEnd: '<|im_end|>',
  };
}

/** A sequence begins with the first message, whose white space goes as that of all others. */
function llama3Template(bosToken: string): ChatTemplate {
  const head = (role: TextMessage['role']) => `<|start_header_id|>${role}<|end_header_id|>\n\n`;
  const turn = ({ role, content }: TextMessage) => `${head(role)}${pythonStrip(content)}<|eot_id|>`;
  return {
    prompt: (messages) =>
      `${messages.length === 0 ? '' : bosToken}${messages.map(turn).join('')}${head('assistant')}`,
    turnEnd: '<|eot_id|>',
  };
}

/**
 * Understands a chat template by recognizing it: templates are programs, and of these the ones of Qwen2, Qwen2.5 and their
 * like and of Llama 3 are known here.
 *
 * @param where named in errors
 * @param bosToken text of the tokenizer's `bos_token`, where it has one
 * @throws InputError `CHAT_TEMPLATE_UNKNOWN`
 */
export function parseChatTemplate(template: string, where: string, bosToken?: string): ChatTemplate {
  const normalized = normalizeTemplate(template);
  const system = systemMessage.exec(normalized)?.[1];
  const outline = system === undefined ? normalized : normalized.replaceAll(system, '');
  const hash = sha256(outline);
  if (chatMl.has(hash)) return chatMlTemplate(system);
  if (llama3.has(hash) && bosToken !== undefined) return llama3Template(bosToken);
  const fault = llama3.has(hash)
    ? 'the chat template of Llama 3, which begins with the bos_token, and its tokenizer_config.json names none'
    : 'a chat template that is not known here; known are those of Qwen2, Qwen2.5, SmolLM2 and Llama 3 and plain ChatML';
  throw new InputError(
    'CHAT_TEMPLATE_UNKNOWN',
    `${where} has ${fault}. Serve the model by an endpoint instead, which renders any template.`,
  );
}

/** `chat_template` is a text, or a list of texts with names. */
function defaultTemplate(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const named = Array.isArray(value)
    ? value.find((entry) => isJsonObject(entry) && entry.name === 'default')
    : undefined;
  return isJsonObject(named) && typeof named.template === 'string' ? named.template : undefined;
}

/** `bos_token` is a text, or an object that holds it. */
function bosTokenOf(config: unknown): string | undefined {
  const token = isJsonObject(config) ? config.bos_token : undefined;
  const text = isJsonObject(token) ? token.content : token;
  return typeof text === 'string' ? text : undefined;
}

/**
 * The chat template of a model folder: `chat_template.jinja`, else the key in `tokenizer_config.json`.
 * @throws InputError `CHAT_TEMPLATE_MISSING`, `CHAT_TEMPLATE_UNKNOWN`
 */
export async function readChatTemplate(folder: string): Promise<ChatTemplate> {
  const file = path.join(folder, 'chat_template.jinja');
  const own = await readText(file).catch((error: unknown) => {
    if (error instanceof InputError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  });
  const where = path.join(folder, 'tokenizer_config.json');
  const config = await readModelJson(folder, 'tokenizer_config.json');
  const bosToken = bosTokenOf(config);
  if (own !== undefined) return parseChatTemplate(own, file, bosToken);
  const template = isJsonObject(config) ? defaultTemplate(config.chat_template) : undefined;
  if (template === undefined) {
    throw new InputError(
      'CHAT_TEMPLATE_MISSING',
      `${where} has no chat_template, and there is no ${file}: the model is not made to be asked. Take an "Instruct" or "Chat" one.`,
    );
  }
  return parseChatTemplate(template, where, bosToken);
}

import path from 'node:path';
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

/**
 * Understands a chat template by recognizing it: templates are programs, and of these the ones of Qwen2, Qwen2.5 and their
 * like are known here. They put a default system message before a conversation that has none.
 *
 * @param where named in errors
 * @throws InputError `CHAT_TEMPLATE_UNKNOWN`
 */
export function parseChatTemplate(template: string, where: string): ChatTemplate {
  const normalized = normalizeTemplate(template);
  const system = systemMessage.exec(normalized)?.[1];
  const outline = system === undefined ? normalized : normalized.replaceAll(system, '');
  if (!chatMl.has(sha256(outline))) {
    throw new InputError(
      'CHAT_TEMPLATE_UNKNOWN',
      `${where} has a chat template that is not known here; known are those of Qwen2, Qwen2.5 and SmolLM2 and plain ChatML. Serve the model by an endpoint instead, which renders any template.`,
    );
  }
  const turn = ({ role, content }: TextMessage) => `<|im_start|>${role}\n${content}<|im_end|>\n`;
  return {
    prompt(messages) {
      const isTold = system === undefined || messages[0]?.role === 'system';
      const all = isTold ? messages : [{ role: 'system' as const, content: system }, ...messages];
      return `${all.map(turn).join('')}<|im_start|>assistant\n`;
    },
  };
}

/** `chat_template` is a text, or a list of texts with names. */
function defaultTemplate(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const named = Array.isArray(value)
    ? value.find((entry) => isJsonObject(entry) && entry.name === 'default')
    : undefined;
  return isJsonObject(named) && typeof named.template === 'string' ? named.template : undefined;
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
  if (own !== undefined) return parseChatTemplate(own, file);
  const where = path.join(folder, 'tokenizer_config.json');
  const config = await readModelJson(folder, 'tokenizer_config.json');
  const template = isJsonObject(config) ? defaultTemplate(config.chat_template) : undefined;
  if (template === undefined) {
    throw new InputError(
      'CHAT_TEMPLATE_MISSING',
      `${where} has no chat_template, and there is no ${file}: the model is not made to be asked. Take an "Instruct" or "Chat" one.`,
    );
  }
  return parseChatTemplate(template, where);
}

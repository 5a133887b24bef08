import { findDuplicateKey, isJsonObject } from '../../io/json.ts';
import type { MmlaFormat, ReadRequest, ReadResult } from './format.ts';
import { firstEntries } from './json-head.ts';
import { readLenientText } from './lenient-text.ts';
import { RecordCollector } from './record-collector.ts';
import { parseStoredPrompt } from './stored-prompts.ts';

/** A JSON array of conversations of one question and one answer. */
interface Layout {
  readonly name: string;
  /** Where the clip is named. */
  readonly mediaKey: 'videos' | 'images' | 'video';
  /** Whether the question is the bare utterance and the answer the bare label. */
  readonly isBare?: boolean;
  /** Whether the clip only names the sample, and the sample's number may do instead. */
  readonly isText?: boolean;
}

const layouts = {
  llamafactory: { name: 'LLaMA-Factory JSON (conversations, videos)', mediaKey: 'videos' },
  text: { name: 'LLaMA-Factory text JSON (conversations)', mediaKey: 'video', isText: true },
  llava: { name: 'LLaVA-NeXT JSON (conversations, images)', mediaKey: 'images' },
  videollama2: { name: 'VideoLLaMA2 JSON (conversations, video)', mediaKey: 'video' },
  zeroShot: {
    name: 'zero-shot JSON (conversations of utterance and label, video)',
    mediaKey: 'video',
    isBare: true,
  },
} as const satisfies Record<string, Layout>;

/** By the first entry that tells: one of the others may be faulty. */
function layoutOf(text: string): Layout | undefined {
  return firstEntries(text)
    .map(layoutOfEntry)
    .find((layout) => layout !== undefined);
}

function layoutOfEntry(entry: Record<string, unknown>): Layout | undefined {
  if (!('conversations' in entry)) return undefined;
  if ('videos' in entry) return layouts.llamafactory;
  if ('images' in entry) return layouts.llava;
  const turns = turnsOf(entry.conversations);
  if (turns === undefined) return undefined;
  const { question, answer } = turns;
  const prompt = parseStoredPrompt(question);
  if (prompt?.taskWord !== undefined) return prompt.isTextOnly ? layouts.text : layouts.videollama2;
  // A prompt in other words is not an utterance.
  const isPrompt =
    /^<(video|image)>|candidate labels/.test(question) || (prompt !== undefined && answer.includes(':'));
  return isPrompt || !('video' in entry) ? undefined : layouts.zeroShot;
}

function turnsOf(conversations: unknown): { question: string; answer: string } | undefined {
  if (!Array.isArray(conversations) || conversations.length !== 2) return undefined;
  const [question, answer] = ['human', 'gpt'].map((from, i) => {
    const turn: unknown = conversations[i];
    return isJsonObject(turn) && turn.from === from && typeof turn.value === 'string'
      ? turn.value
      : undefined;
  });
  return question === undefined || answer === undefined ? undefined : { question, answer };
}

const formatOf = (layout: Layout): MmlaFormat => ({
  name: layout.name,
  recognises: ({ text }) => layoutOf(text) === layout,
  read: (request) => readConversations(layout, request),
});

async function readConversations(layout: Layout, request: ReadRequest): Promise<ReadResult> {
  const collector = new RecordCollector(request);
  const { text, encodingFault } = await readLenientText(request.file);
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch (error) {
    collector.fault(null, `it is not JSON (${error instanceof Error ? error.message : error})`);
    return collector.result();
  }
  if (!Array.isArray(entries)) {
    collector.fault(null, 'it is not a JSON array of samples');
    return collector.result();
  }
  const twice = findDuplicateKey(text);
  if (twice !== undefined) collector.fault(null, `the key "${twice}" occurs twice in one object`);
  entries.forEach((entry: unknown, index) => {
    const encoding = encodingFault(JSON.stringify(entry));
    if (encoding === undefined) readEntry(layout, entry, index + 1, collector);
    else collector.badRow(index + 1, encoding);
  });
  return collector.result();
}

function readEntry(layout: Layout, entry: unknown, row: number, collector: RecordCollector): void {
  if (!isJsonObject(entry)) {
    collector.badRow(row, 'is not a JSON object');
    return;
  }
  const faults: string[] = [];
  const turns = turnsOf(entry.conversations);
  if (turns === undefined) {
    faults.push(
      entry.conversations === undefined
        ? 'has no "conversations"'
        : '"conversations" is not a turn of "human" and one of "gpt", each with a text as "value"',
    );
  }
  const stored = entry[layout.mediaKey];
  const media: unknown = Array.isArray(stored) && stored.length === 1 ? stored[0] : stored;
  if (stored === undefined) {
    if (layout.isText !== true) faults.push(`has no "${layout.mediaKey}"`);
  } else if (typeof media !== 'string') {
    faults.push(`"${layout.mediaKey}" is not one path`);
  }
  if (turns === undefined || faults.length > 0) {
    collector.badRow(row, faults.join('; '));
    return;
  }
  const { question, answer: gold } = turns;
  const named =
    typeof media === 'string' ? { media } : entry.id === undefined ? {} : { number: String(entry.id) };
  if (layout.isBare === true) collector.add({ row, text: question, gold, ...named });
  else collector.addPrompt({ row, prompt: question, gold, ...named, mediaIsName: layout.isText === true });
}

/**
 * JSON arrays of conversations: those of LLaMA-Factory (with videos, and for text), LLaVA-NeXT and VideoLLaMA2, whose human
 * turn is a prompt, and those that the inference scripts read (`test_<task>.json`), where it is the utterance alone.
 */
export const shareGptFormats: readonly MmlaFormat[] = Object.values(layouts).map(formatOf);

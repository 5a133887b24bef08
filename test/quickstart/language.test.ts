import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { placeholders } from '../../src/data/prompts.ts';
import { PromptTokenizer } from '../../src/data/tokenizer.ts';
import { LessonWriter } from '../../src/quickstart/corpus.ts';
import {
  drawEmotionProsody,
  drawExpression,
  EMOTION_KINDS,
  EMOTIONS,
  measureCeilings,
} from '../../src/quickstart/emotions.ts';
import { Random } from '../../src/quickstart/random.ts';
import {
  allSubtitles,
  describe as describeClip,
  drawLabels,
  faceWords,
  readEmotion,
  SYNONYMS,
  voiceWords,
} from '../../src/quickstart/text.ts';
import { trainTokenizer } from '../../src/quickstart/tokenizer.ts';

const writer = new LessonWriter(new Random(1, 'lessons'));
const lessons = Array.from({ length: 1500 }, () => writer.next());
const trained = trainTokenizer(lessons.map(({ prompt, answer }) => `${prompt}${answer}###`));

describe('emotions', () => {
  it('need both face and voice: either alone is right in half of the cases at best', () => {
    const ceilings = measureCeilings(new Random(1, 'ceilings'), 3000);
    expect(ceilings.face).toBeLessThanOrEqual(0.5);
    expect(ceilings.voice).toBeLessThan(0.52);
    expect(ceilings.both).toBeGreaterThan(0.98);
  });

  it('hold pairs that differ only in the voice and pairs that differ only in the face', () => {
    const pairs = EMOTIONS.flatMap((a, i) =>
      EMOTIONS.slice(i + 1).map((b) => [EMOTION_KINDS[a], EMOTION_KINDS[b]] as const),
    );
    const sameFace = pairs.filter(([a, b]) => a.face === b.face);
    expect(sameFace).toHaveLength(3);
    expect(sameFace.every(([a, b]) => a.voice !== b.voice)).toBe(true);
    expect(pairs.filter(([a, b]) => a.voice === b.voice && a.face !== b.face)).toHaveLength(4);
  });
});

describe('clip texts', () => {
  it('keeps the sentences of training and test apart, but not their words', () => {
    const train = allSubtitles('train').map(({ text }) => text);
    const test = allSubtitles('test').map(({ text }) => text);
    expect(test.filter((text) => train.includes(text))).toEqual([]);
    const words = new Set(train.flatMap((text) => text.split(/[ .]/)));
    expect(test.flatMap((text) => text.split(/[ .]/)).filter((word) => !words.has(word))).toEqual([]);
  });

  it('has every emotion word once, and none in the words for faces and voices', () => {
    const words = EMOTIONS.flatMap((emotion) => [emotion, ...SYNONYMS[emotion]]);
    expect(new Set(words).size).toBe(words.length);
    const random = new Random(3, 'words');
    for (const emotion of EMOTIONS) {
      const face = faceWords(drawExpression(emotion, random));
      const voice = voiceWords(drawEmotionProsody(emotion, random));
      const clues = [...Object.values(face), ...Object.values(voice)];
      expect(clues.filter((clue) => words.includes(clue))).toEqual([]);
      expect(readEmotion(describeClip(emotion, 'train', face, voice))).toBe(emotion);
    }
  });

  it('puts the emotion first in label lists, which reads back', () => {
    for (const emotion of EMOTIONS) {
      const labels = drawLabels(emotion, new Random(1, emotion));
      expect(labels[0]).toBe(emotion);
      expect(labels.length).toBeGreaterThan(1);
      expect(readEmotion(`The character's emotional state is ${labels.join(', ')}.`)).toBe(emotion);
    }
    expect(readEmotion('The character walks.')).toBeUndefined();
  });

  it('describes what the parameters say', () => {
    const face = {
      browHeight: 0.9,
      browAngle: 0,
      eyeOpenness: 1,
      mouthCurve: 0,
      mouthOpenness: 0.7,
      nod: 0.1,
      shake: 0.5,
      tremble: 0,
    };
    expect(faceWords(face)).toEqual({ brows: 'raised', eyes: 'wide', mouth: 'gaping', head: 'turning' });
  });
});

describe('lessons of the decoder', () => {
  it('hold words where vectors will be, and no sentence of the test', () => {
    const test = allSubtitles('test').map(({ text }) => text);
    for (const { prompt, answer } of lessons.slice(0, 300)) {
      for (const placeholder of Object.values(placeholders)) expect(prompt).not.toContain(placeholder);
      expect(prompt).toMatch(/^###Human: .* ###Assistant: $/);
      expect(test.some((text) => prompt.includes(text))).toBe(false);
      expect(readEmotion(answer)).toBeDefined();
    }
  });
});

describe('tokenizer', () => {
  const tokenizer = new Tokenizer(trained.tokenizer, trained.config);
  const encode = (text: string) => tokenizer.encode(text, { add_special_tokens: false });

  it('gives back every text, unseen ones included', () => {
    for (const text of [lessons[0]!.prompt, 'Füße "12" 😀\n\tdon\'t', '  two  spaces ', '很生气']) {
      expect(
        tokenizer.decode(encode(text).ids, {
          skip_special_tokens: false,
          clean_up_tokenization_spaces: false,
        }),
      ).toBe(text);
    }
  });

  it('ends every answer in the one token ###, which merges with nothing', () => {
    const stop = encode('###').ids;
    expect(stop).toHaveLength(1);
    for (const { answer } of lessons.slice(0, 100)) expect(encode(`${answer}###`).ids.at(-1)).toBe(stop[0]);
    expect(encode('word ###Assistant').ids).toContain(stop[0]);
  });

  it('has one token for each placeholder, tag and emotion word', () => {
    const words = EMOTIONS.flatMap((emotion) => [
      ` ${emotion}`,
      ...SYNONYMS[emotion].map((word) => ` ${word}`),
    ]);
    for (const text of [...Object.values(placeholders), '<Multi>', '</Subtitle>', '<|im_end|>', ...words]) {
      expect(encode(text).ids, text).toHaveLength(1);
    }
    expect(trained.vocabularySize).toBeLessThanOrEqual(1024);
  });

  it('numbers its tokens without gaps and depends on the texts alone', () => {
    const { vocab } = trained.tokenizer.model as { vocab: Record<string, number> };
    const added = trained.tokenizer.added_tokens as { id: number }[];
    const ids = [...Object.values(vocab), ...added.map(({ id }) => id)].sort((a, b) => a - b);
    expect(ids).toEqual(Array.from({ length: trained.vocabularySize }, (_, i) => i));
    const texts = ['low lower lowest low', 'new newer'];
    expect(trainTokenizer(texts, 300)).toEqual(trainTokenizer([...texts].reverse(), 300));
  });

  it('is understood by the program: placeholders, ends and stop sequences come from it', () => {
    const prompts = new PromptTokenizer(
      trained.tokenizer as unknown as ConstructorParameters<typeof PromptTokenizer>[0],
      trained.config,
      'here',
    );
    expect(prompts.length).toBe(trained.vocabularySize);
    expect(prompts.stopSequences('published')).toContainEqual(encode('###').ids);
    expect(prompts.answer(encode('The state is sad.###').ids, 'published')).toBe('The state is sad.');
  });
});

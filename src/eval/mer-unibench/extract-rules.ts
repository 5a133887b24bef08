import { parseOpensetLabels } from '../../data/datasets.ts';
import { openGrouping } from './grouping.ts';
import { normalizeWord } from './words.ts';

/** Words of one label at most; longer pieces of a list are no labels. */
const longestLabel = 4;
const longestLabelCharacters = 40;

/** Commas, semicolons, slashes, line breaks and bullets, in Latin and Chinese writing. */
const separators = /[,;/|\n\r、，；；•·]|\s[-–—]\s/;
const conjunctions =
  /\s(?:and\/or|and|or|as well as|along with|mixed with|but(?: also)?)\s|(?<=[\u4e00-\u9fff]{2})(?:以及|和|与|或)(?=[\u4e00-\u9fff]{2})/;

/** `The character's emotional state is …`, `Emotions: …`, `他的情绪状态是…`: what follows is a list. */
const listOpenings = [
  /\b(?:emotion(?:al)?s?(?:\s+(?:states?|labels?|words?|categor(?:y|ies)|tones?))*|feelings?|moods?|labels?|output)\b[^.:;,\n]{0,40}?(?:\b(?:is|are|was|were|seems?|appears?|includes?|including|contains?)\b(?:\s+(?:likely|probably|mainly|primarily|mostly|also|to\s+be|described\s+as|characterized\s+by))*|:)\s*/i,
  /(?:情绪|情感|心情|感受|标签)[^。：，]{0,8}?(?:是|为|包括|有|：|:)\s*/,
];
/** `The man seems to be …`: what follows is a list where it names nothing but emotions. */
const personOpening =
  /\b(?:he|she|they|it|i|(?:the\s+)?(?:character|person|speaker|man|woman|girl|boy|individual)s?)\s+(?:is|are|was|were|feels?|felt|seems?|appears?|looks?|sounds?)(?:\s+(?:feeling|to\s+be|to\s+feel|experiencing|expressing|very))*\s+/i;
/** A list in brackets with at most a few words before it. */
const brackets = /^[^[\]【】]{0,80}(?:\[([^[\]]*)\]|【([^【】]*)】)[\s.。]*$/;

/** Words in front of a label that are none of it. */
const leading =
  /^(?:(?:and|or|but|also|both|a|an|the|some|his|her|their|this|very|quite|rather|slightly|somewhat|fairly|extremely|deeply|highly|possibly|perhaps|maybe|likely|probably|mainly|primarily|mostly|well|feeling|feels?|being|mix(?:ture)? of|combination of|blend of|(?:a )?(?:strong |slight |deep |clear )?(?:hint|sense|touch|feelings?|state|degree|bit|little|lot) of|(?:a )?(?:bit|little|lot))\s+)+/i;
const trailing = /[\s.。!！?？:：*_`'"“”‘’()（）[\]【】]+$/;
const opening = /^[\s.。:：*_`'"“”‘’()（）[\]【】-]+/;

/** What a label is about: `surprised by the news`. */
const about =
  /(?<=\S)\s(?:about|because|due|at|by|with|over|towards?|that|when|after|in|for|to|of|during)\s.*$/i;

/** What a piece of a sentence has and a label does not. */
const clause =
  /[.!?]\s|\b(?:is|are|was|were|has|have|had|feels?|felt|seems?|looks?|the|this|that|we|he|she|they)\b/i;

/** Answers that say that there is nothing to say. */
const nothing =
  /^(?:none|nothing|nan|null|n\/?a|unknown|undefined|empty|no (?:clear |obvious |identifiable |specific )?emotions?|无|没有|未知)$/i;
const unable =
  /\b(?:can(?:not|'t|’t)|could not|couldn(?:'|’)t|unable to|impossible to|not possible to|difficult to|no way to)\s+(?:be\s+)?(?:recogni[sz]ed?|determined?|identif(?:y|ied)|inferr?(?:ed)?|tell|judged?)|无法(?:识别|判断|确定)/i;
const denied = /^(?:not|no|never|without|non)\b|^(?:不|没有|无)/i;
/** At the end of what stands in front of a word. */
const denial =
  /\b(?:not|no|never|without|neither|nor|hardly|\w+n['’]t|lacks?|lack of|lacking|rather than|instead of|free of)\s+(?:\S+\s+){0,2}$/i;

/** Sentences of a description that say what it all comes to. */
const conclusion =
  /\b(?:infer(?:red)?|therefore|thus|overall|conclude[ds]?|conclusion|in summary|emotion(?:s|al|ally)?|feelings?|feels?|mood)\b/i;
/** Words of the tables that mostly mean something else in descriptions of clips. */
const ambiguous = new Set(
  `
    able active associated attention attract based carried case certain challenge challenges challenging
    charge cheek clear closed cold combination come considering content contents current deep determine
    determined direct directed easy emotion emotional emotionally emotions evaluation exact expectation
    expectations expert expose exposed express expressed expression face facial facing form free given
    gives go good great hand heavy high hit hot importance important impression include included
    includes including influence information intense intensity involved kind know knowing known lack
    lacking lacks leading left light like likes list look looks lost low lower lowered lowering main
    manifestation mean meaning means might mind moment move moved moves moving natural need normal now
    observation open opening participation past perceived person personal personally point position
    positions present presentation question questions quick quickly raise recognition reflect reflecting
    reflects regarding related represent represents rest reveal reveals right rise safety said security
    see seen sense sentiment shaking sharp show significance significant slight slow smooth sound speech
    stable state steady still strained strong sure talk thinking thought thoughts tightened tone touch
    true unclear unknown use used using view vision warm way well words work
  `.split(/\s+/),
);
const longestPhrase = 3;
/** Characters in front of a word in which a denial is looked for. */
const denialReach = 80;

/**
 * Finds the emotion words of a model's answer by rules alone: always the same ones, without a network. Words come in lower
 * case, each once, in the order in which they stand. In turn it looks for
 *
 * 1. nothing: an empty answer, `none`, `unknown`, `we cannot recognize …`;
 * 2. a list in brackets, `[happy, 'sad']`;
 * 3. a list sentence, `The character's emotional state is happy, sad and angry.`, `Emotions: …`, `她的情绪状态是开心、激动`;
 * 4. an answer that is nothing but a list, `happy, sad`;
 * 5. anything else, such as a description: the words of the emotion wheels and their synonyms (corrected table) in the
 *    sentences that conclude (`we can infer`, `emotional state`, …), or in all where none does; not those behind a `not`,
 *    `without` or the like.
 *
 * `neutral` is kept: the published extractor often leaves it out, but to have said it counts under the strict protocol.
 */
export function extractLabels(answer: string): string[] {
  const text = answer.trim();
  if (nothing.test(text.replace(trailing, '').replace(opening, ''))) return [];
  const list = brackets.exec(text);
  if (list !== null) return labelsOf(parseOpensetLabels(list[1] ?? list[2]!).flatMap(split)) ?? [];
  if (unable.test(text) && sentenceOf(text).length >= text.length - 1) return [];
  for (const pattern of listOpenings) {
    const labels = listBehind(pattern, text);
    if (labels !== undefined) return labels;
  }
  const ofPerson = listBehind(personOpening, text);
  if (ofPerson?.every(isEmotion)) return ofPerson;
  return bareList(text) ?? describedEmotions(text);
}

/** The whole answer as a list: short pieces, none of them a clause. */
function bareList(text: string): string[] | undefined {
  const pieces = split(text.replace(trailing, ''));
  const isLabel = (piece: string) => piece.trim().split(/\s+/).length <= longestLabel && !clause.test(piece);
  return pieces.every(isLabel) ? labelsOf(pieces) : undefined;
}

function listBehind(pattern: RegExp, text: string): string[] | undefined {
  const found = pattern.exec(text);
  return found === null ? undefined : labelsOf(split(sentenceOf(text.slice(found.index + found[0].length))));
}

/** Up to the first full stop that ends a sentence, or the first empty line. */
const sentenceOf = (text: string): string => text.split(/\.(?=\s|$)|[。！!?？]|\n\s*\n/)[0]!;

const split = (text: string): string[] =>
  text.split(separators).flatMap((piece) => ` ${piece} `.split(conjunctions));

/** The labels of a list; `undefined` where a piece of it is too long for one, so that it is a sentence. */
function labelsOf(pieces: readonly string[]): string[] | undefined {
  const labels: string[] = [];
  for (const piece of pieces) {
    const bare = piece
      .replace(opening, '')
      .replace(trailing, '')
      .replace(/^\d+[.)]\s*/, '');
    const label = normalizeWord(bare.replace(leading, '').replace(about, ''));
    if (label === '' || nothing.test(label) || denied.test(label)) continue;
    if (label.split(/\s+/).length > longestLabel || label.length > longestLabelCharacters) return undefined;
    if (!labels.includes(label)) labels.push(label);
  }
  return labels;
}

function describedEmotions(text: string): string[] {
  // What is quoted are subtitles.
  const sentences = text.replace(/"[^"]*"|“[^”]*”/g, ' ').split(/(?<=[.!?。！？])\s*/);
  const found = wordsIn(sentences.filter((sentence) => conclusion.test(sentence)));
  return found.length > 0 ? found : wordsIn(sentences);
}

const isEmotion = (phrase: string): boolean =>
  phrase === 'neutral' || (openGrouping('corrected').forms.has(phrase) && !ambiguous.has(phrase));

/** Words and short phrases of the tables, the longest first at each place. */
function wordsIn(sentences: readonly string[]): string[] {
  const found: string[] = [];
  for (const sentence of sentences) {
    const lower = sentence.toLowerCase();
    const tokens = [...lower.matchAll(/[\p{L}]+(?:[-'’][\p{L}]+)*/gu)];
    for (let i = 0; i < tokens.length; i++) {
      for (let length = Math.min(longestPhrase, tokens.length - i); length > 0; length--) {
        const phrase = tokens
          .slice(i, i + length)
          .map(([word]) => word)
          .join(' ');
        if (!isEmotion(phrase)) continue;
        const before = lower.slice(Math.max(0, tokens[i]!.index - denialReach), tokens[i]!.index);
        if (!denial.test(before) && !found.includes(phrase)) found.push(phrase);
        i += length - 1;
        break;
      }
    }
  }
  return found;
}

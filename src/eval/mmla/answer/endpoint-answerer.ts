import { jpegFrames } from '../../../data/media/pictures.ts';
import { listFaults } from '../../../data/records.ts';
import { InputError } from '../../../errors.ts';
import type { JsonValue } from '../../../io/json.ts';
import { limiter } from '../../../io/limiter.ts';
import type { ChatClient } from '../../../llm/client.ts';
import type { ChatMessage, ContentPart } from '../../../llm/messages.ts';
import {
  type AnswerDecoding,
  decodingSettings,
  type MmlaAnswer,
  type MmlaAnswerer,
  type MmlaQuestion,
} from './answerer.ts';
import { checkVideos } from './videos.ts';

/** Pixels of a frame that is sent at most: those of the released inference, 360 x 420. */
export const maxFramePixels = 360 * 420;

/** Failures that concern one sample; all others would meet every sample. */
const failuresOfOne = /^(LLM_ANSWER_INVALID|LLM_REQUEST_REFUSED|VIDEO_.*|MEDIA_.*|CODEC_UNKNOWN)$/;
/** Videos that are decoded at a time. */
const mostDecoded = 4;
/** After so many of them no more is asked. */
const mostFailures = 20;

export interface EndpointAnswererOptions {
  /** Opened with `endpointSampling`. */
  readonly client: ChatClient;
  /** Requests at a time that the client lets through. */
  readonly concurrency: number;
  /** Stands before each question; otherwise there is none. */
  readonly system?: string;
  readonly decoding: AnswerDecoding;
  /** Frames of each video that are sent as pictures before the text; 0 sends text alone. */
  readonly frames: number;
  readonly notify: (message: string) => void;
}

/** What a request says of decoding. A seed is sent where tokens are drawn: some servers refuse one. */
export const endpointSampling = ({ maxNewTokens, temperature, seed }: AnswerDecoding) => ({
  maxTokens: maxNewTokens,
  temperature,
  ...(temperature > 0 && { seed }),
});

/**
 * A model behind an OpenAI-compatible endpoint, asked several questions at a time. Answers come in the order of the
 * questions; one that came before its turn is in the cache of the client, should the program be killed.
 *
 * An answer without text (a refusal, or thoughts alone) is an answer: its text is empty, its finish `empty`.
 */
export function endpointAnswerer(options: EndpointAnswererOptions): MmlaAnswerer {
  const { client, concurrency, system, decoding, frames, notify } = options;
  const decode = limiter(Math.min(concurrency, mostDecoded));

  async function ask(question: MmlaQuestion, signal: AbortSignal): Promise<MmlaAnswer> {
    const { name, prompt, record } = question;
    const told: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
    const pictures = frames === 0 ? [] : await decode(() => framesOf(record.media!, frames));
    signal.throwIfAborted();
    const content = pictures.length === 0 ? prompt : [...pictures, { type: 'text' as const, text: prompt }];
    try {
      const { text, finish } = await client.complete([...told, { role: 'user', content }], { signal });
      return { name, text, finish };
    } catch (error) {
      if (!(error instanceof InputError) || error.code !== 'LLM_ANSWER_EMPTY') throw error;
      notify(`${record.origin}: "${name}": ${error.message}`);
      return { name, text: '', finish: 'empty' };
    }
  }

  const { baseUrl: url, model } = client;
  const settings: Record<string, JsonValue> = {
    kind: 'endpoint',
    ...{ url, model, frames },
    ...(frames > 0 && { maxFramePixels }),
    system: system ?? null,
    decoding: decodingSettings(decoding, false),
  };
  return {
    title: model,
    settings,
    facts: { modality: frames > 0 ? 'video' : 'text' },
    async *answer({ questions }) {
      if (frames > 0) await checkVideos(questions.map(({ record }) => record));
      const stop = new AbortController();
      const failures: string[] = [];
      // Enough for the client to be busy while one answer takes long, and few enough pictures to hold.
      const ahead = 4 * concurrency;
      const work: Promise<MmlaAnswer>[] = [];
      const begin = (question: MmlaQuestion): void => {
        const answer = ask(question, stop.signal);
        // Looked at when its turn comes.
        answer.catch(() => undefined);
        work.push(answer);
      };
      try {
        for (const [i, { name, record }] of questions.entries()) {
          while (work.length < questions.length && work.length < i + ahead) begin(questions[work.length]!);
          let answer: MmlaAnswer;
          try {
            answer = await work[i]!;
          } catch (error) {
            if (!(error instanceof InputError) || !failuresOfOne.test(error.code)) throw error;
            failures.push(`${record.origin}: "${name}": ${error.message}`);
            if (failures.length >= mostFailures) break;
            continue;
          }
          yield answer;
        }
        if (failures.length > 0) throw missingAnswers(failures);
      } finally {
        stop.abort();
        await Promise.allSettled(work);
      }
    },
    dispose: async () => undefined,
  };
}

const missingAnswers = (failures: readonly string[]): InputError =>
  new InputError(
    'MMLA_ANSWERS_MISSING',
    `${failures.length} ${failures.length === 1 ? 'sample' : 'samples'} got no answer${failures.length >= mostFailures ? ', and no more were asked about' : ''}: ${listFaults(failures)}. The same command asks them again and keeps all others.`,
  );

async function framesOf(video: string, count: number): Promise<ContentPart[]> {
  const pictures = await jpegFrames(video, { count, maxPixels: maxFramePixels });
  return pictures.map((picture) => ({
    type: 'image_url',
    image_url: { url: `data:image/jpeg;base64,${picture.toString('base64')}` },
  }));
}

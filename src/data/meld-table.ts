import { readCsv } from '../io/csv.ts';

/** Columns that are read; the files have more (speaker, season, episode, times). */
export const meldColumns = ['Utterance', 'Emotion', 'Sentiment', 'Dialogue_ID', 'Utterance_ID'] as const;
const emotions = ['neutral', 'joy', 'surprise', 'anger', 'sadness', 'disgust', 'fear'];
const sentiments = ['neutral', 'positive', 'negative'];

/** An utterance of a published table of MELD. */
export interface MeldRow {
  readonly row: number;
  /** Number of the dialogue within its split, as it stands. */
  readonly dialogue: string;
  readonly utterance: string;
  readonly text: string;
  readonly emotion: string;
  readonly sentiment: string;
  /** All that is wrong with the row. */
  readonly faults: readonly string[];
}

/** How a table is read where its faults are not to be thrown; of `readCsv`. */
export type MeldTableOptions = Pick<NonNullable<Parameters<typeof readCsv>[1]>, 'decode' | 'onBadRow'>;

/**
 * Reads a published table of MELD (Poria et al. 2019), `train_sent_emo.csv` for example. Texts stay as they are, signs
 * that an earlier conversion broke included; emotions and sentiments become lower case.
 *
 * @throws InputError those of `readCsv`
 */
export async function readMeldTable(file: string, options: MeldTableOptions = {}): Promise<MeldRow[]> {
  const firstRow = new Map<string, number>();
  const { rows } = await readCsv(file, { ...options, required: meldColumns });
  return rows.map(({ row, values }) => {
    const text = values.Utterance!;
    const emotion = values.Emotion!.trim().toLowerCase();
    const sentiment = values.Sentiment!.trim().toLowerCase();
    const dialogue = values.Dialogue_ID!;
    const utterance = values.Utterance_ID!;
    const place = `${dialogue}_${utterance}`;
    const first = firstRow.get(place);
    const faults = [
      ...(/^\d+_\d+$/.test(place) ? [] : ['Dialogue_ID and Utterance_ID are not whole numbers']),
      ...(first === undefined ? [] : [`dialogue and utterance are those of row ${first}`]),
      ...(text.trim() === '' ? ['the Utterance is empty'] : []),
      ...(emotions.includes(emotion)
        ? []
        : [`the Emotion "${values.Emotion}" is none of ${emotions.join(', ')}`]),
      ...(sentiments.includes(sentiment)
        ? []
        : [`the Sentiment "${values.Sentiment}" is none of ${sentiments.join(', ')}`]),
    ];
    firstRow.set(place, row);
    return { row, dialogue, utterance, text, emotion, sentiment, faults };
  });
}

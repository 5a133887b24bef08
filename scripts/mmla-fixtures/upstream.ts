import { json, type Row, type Split, splits, tasks, words } from './rows.ts';

/** A cell of a table with commas. */
const comma = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const csv = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  `${[head, ...rows].map((row) => row.map(comma).join(',')).join('\n')}\n`;

const tags: Readonly<Record<string, string>> = {
  ...{ greeting: 'g', question: 'q', answer: 'ans', 'statement-opinion': 'o', 'statement-non-opinion': 's' },
  ...{ apology: 'ap', command: 'c', agreement: 'ag', disagreement: 'dag', acknowledge: 'a' },
  // One cell of the published table has a space after it.
  ...{ backchannel: 'b ', others: 'oth' },
};

/** The same rows as the authors of the data sets publish them, with the columns that their tables have. */
export function upstreamFiles(rows: ReadonlyMap<string, Record<Split, Row[]>>): Record<string, string> {
  const files: Record<string, string> = {};
  const of = (key: string) => rows.get(key)!;
  const all = (key: string) => splits.flatMap((split) => of(key)[split]);
  const halves = (number: string) => number.split('_') as [string, string];
  for (const split of splits) {
    const offset = { train: 0, dev: 1039, test: 1153 }[split];
    files[`upstream/MELD/${split}_sent_emo.csv`] = csv(
      words(
        'Sr No., Utterance, Speaker, Emotion, Sentiment, Dialogue_ID, Utterance_ID, Season, Episode, StartTime, EndTime',
      ),
      of('MELD')[split].map(({ number, text, label }, i) => {
        const [dialogue, line] = halves(number);
        const ids = [`${Number(dialogue) - offset}`, line];
        return [
          `${i + 1}`,
          text,
          'Somebody',
          label,
          'neutral',
          ...ids,
          '1',
          '2',
          '00:00:01,000',
          '00:00:02,000',
        ];
      }),
    );
  }
  files['upstream/EMOTyDA/MELD.csv'] = csv(
    words(
      'Sr No., Utterance, Speaker, Emotion, Dialogue_ID, Utterance_ID, Season, Episode, StartTime, EndTime, Dialogue Act',
    ),
    all('MELD-DA').map(({ number, text, label }, i) => [
      ...[`${i + 1}`, text, 'Somebody', 'neutral', ...halves(number)],
      ...['1', '2', '00:00:01,000', '00:00:02,000', tags[label]!],
    ]),
  );
  for (const session of ['1', '2', '3']) {
    files[`upstream/EMOTyDA/iemocap_session${session}.csv`] = csv(
      ['TURN', 'UTTERANCE', 'DA', 'EMOTION'],
      all('IEMOCAP-DA')
        .filter(({ number }) => number.startsWith(`Ses0${session}`))
        .map(({ number, text, label }) => [number, text, tags[label]!, 'neu']),
    );
  }
  const annotated = (['client', 'therapist'] as const).flatMap((interlocutor) => {
    const { labels } = tasks.find(({ key }) => key === `AnnoMi-${interlocutor}`)!;
    return all(`AnnoMi-${interlocutor}`).flatMap(({ number, text, label }, i) => {
      const [transcript, line] = halves(number);
      const other = labels[(labels.indexOf(label) + 1) % labels.length]!;
      // Every fourth has three annotators, of whom the second disagrees.
      const votes = i % 4 === 3 ? [label, other, label] : [label];
      return votes.map((vote, annotator) => [
        ...[
          'high',
          transcript,
          'A talk',
          'Reducing noise',
          line,
          interlocutor,
          '00:00:13',
          text,
          `${annotator}`,
        ],
        ...(interlocutor === 'client' ? ['n/a', vote] : [vote, 'n/a']),
      ]);
    });
  });
  files['upstream/AnnoMI/AnnoMI-full.csv'] = csv(
    words(
      'mi_quality, transcript_id, video_title, topic, utterance_id, interlocutor, timestamp, utterance_text, annotator_id, main_therapist_behaviour, client_talk_type',
    ),
    annotated,
  );
  files['upstream/MUStARD/sarcasm_data.json'] = json(
    Object.fromEntries(
      all('MUStARD').map(({ number, text, label }) => [
        number,
        {
          ...{ utterance: text, speaker: 'SOMEBODY', context: ['Where is it?', 'No idea.'] },
          ...{ context_speakers: ['OTHER', 'SOMEBODY'], show: 'SHOW', sarcasm: label === 'sarcastic' },
        },
      ]),
    ),
  );
  return files;
}

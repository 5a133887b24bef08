import { capitalised, json, type Row, type Split, splits, type Task } from './rows.ts';

/** The prompt of all files with videos, without what stands for the video. */
const videoPrompt = (text: string, word: string, list: string): string =>
  `You are presented with a video in which the speaker says: ${text} Based on the text, video, and audio content, what is the ${word} of this speaker?\nThe candidate labels for ${word} are: [${list}]. Respond in the format: '${word}: [label]'. Only one label should be provided.`;

const spaced = ({ taskKey }: Task): string => taskKey.replaceAll('_', ' ');
const isAnnoMi = ({ clips }: Task): boolean => clips === 'AnnoMi';
/** What AnnoMI's task was called before it was `communication_behavior`. */
const formerWord = ({ key }: Task): string => (key === 'AnnoMi-client' ? 'talk_type' : 'therapist_behaviour');

function swiftRow(task: Task, split: Split, { text, label }: Row): { query: string; response: string } {
  const list = task.labels.join(', ');
  if (task.key === 'IEMOCAP') {
    const query = `You are presented with a video in which the speaker says: ${text}.Based on the text, what is the emotion of this speaker?\nThe candidate labels for emotion are: [${list}]. Respond in the format: 'emotion: [label]'. Only one label should be provided.`;
    return { query, response: `emotion: ${capitalised(label)}` };
  }
  const isFormer = isAnnoMi(task) && split !== 'test';
  const word = isFormer ? formerWord(task) : task.taskKey;
  const fused = isFormer && task.key === 'AnnoMi-therapist' ? task.labels.join('') : list;
  return { query: videoPrompt(text, word, fused), response: `${word}: ${label}` };
}

function textPair(task: Task, { text, label }: Row): [string, string] {
  const word = isAnnoMi(task) ? formerWord(task) : task.taskKey;
  const isIntent = task.taskKey === 'intent';
  const list = task.labels.map((one) => (isIntent ? capitalised(one) : one)).join(', ');
  const space = ['MELD', 'MELD-DA', 'MIntRec', 'MIntRec2.0'].includes(task.key) ? ' ' : '';
  const isCapitalised = isIntent || task.key === 'IEMOCAP' || task.key === 'Ch-sims';
  return [
    `The speaker says: ${text} Based on the text, what is the ${word} of this speaker?\nThe candidate labels for ${word} are: [${list}]. Respond in the format: '${word}: [label]'.${space}Only one label should be provided.`,
    `${word}: ${isCapitalised ? capitalised(label) : label}`,
  ];
}

const fileName = ({ key }: Task, { number }: Row): string => `${key}_${number}.mp4`;

/** Where the released files say that a video is. */
function storedPath(task: Task, split: Split, row: Row): string {
  const root = '/mnt/shared/somebody/Datasets';
  // MELD-DA's dev split points to the videos of MELD.
  if (task.key === 'MELD-DA' && split === 'dev') return `${root}/MELD/video/MELD_${row.number}.mp4`;
  return `${root}/${task.key}/video/${fileName(task, row)}`;
}

const conversation = (question: string, answer: string) => [
  { value: question, from: 'human' },
  { value: answer, from: 'gpt' },
];

/** A cell as pandas writes it: in quotes where it has some. */
const cell = (text: string): string => (/["\t\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function table(task: Task, rows: readonly Row[]): string {
  const isCapitalised = ['MIntRec', 'MIntRec2.0', 'IEMOCAP', 'Ch-sims'].includes(task.key);
  // MELD has both of its labels.
  const more = task.key === 'MELD' ? ['sentiment'] : [];
  const lines = rows.map(({ number, text, label }) =>
    [number, cell(text), isCapitalised ? capitalised(label) : label, ...more.map(() => 'neutral')].join('\t'),
  );
  return `${[['id', 'utterance', task.taskKey, ...more].join('\t'), ...lines].join('\n')}\n`;
}

/** Answers of a model to the test questions: right, wrong, spelt otherwise, none, several. */
function predictions(task: Task, rows: readonly Row[]): string {
  const lines = rows.map((row, i) => {
    const at = task.labels.indexOf(row.label);
    const next = task.labels[(at + 1) % task.labels.length]!;
    const previous = task.labels.at(at - 1)!;
    const { label } = row;
    const texts = [
      `${spaced(task)}: ${label}`,
      `The ${spaced(task)} is ${capitalised(label)}.`,
      `${spaced(task)}: ${next}`,
      `[${label}]`,
      `very_${label}`,
      `${label} or ${next}`,
      '',
      label.toUpperCase(),
      `情感${label}`,
      `${task.taskKey}: ${previous}`,
      `${label}, ${label}`,
      `é${label}`,
      `情感：${label}`,
    ];
    return JSON.stringify({ name: `${task.key}_${row.number}`, text: texts[i % texts.length] });
  });
  return `${lines.join('\n')}\n`;
}

/** The rows of a task in all formats of the released files, and predictions about its test split. */
export function filesOf(task: Task, rows: Record<Split, Row[]>): Record<string, string> {
  const files: Record<string, string> = {};
  const { key, taskKey, folder } = task;
  const list = task.labels.join(', ');
  for (const split of splits) {
    const own = rows[split];
    files[`release/${folder}/${split}.tsv`] = table(task, own);
    const swift = own.map((row) =>
      JSON.stringify({ ...swiftRow(task, split, row), videos: [storedPath(task, split, row)] }),
    );
    files[`swift/${key}/${split}.jsonl`] = `${swift.join('\n')}\n`;
    if (split === 'test') continue;
    files[`llama-factory/${key}_${split}_${taskKey}_llamafactory.json`] = json(
      own.map((row, id) => ({
        id,
        videos: [storedPath(task, split, row)],
        conversations: conversation(
          `<video>${videoPrompt(row.text, spaced(task), list)}`,
          `${spaced(task)}: ${row.label}`,
        ),
      })),
    );
    files[`llama-factory/${key}_${split}_text_${taskKey}_llamafactory.json`] = json(
      own.map((row, id) => ({
        id,
        video: `${task.textPrefix ?? key}_${row.number}.mp4`,
        conversations: conversation(...textPair(task, row)),
      })),
    );
    files[`llava/${key}_${split}_${taskKey}_llava-next.json`] = json(
      own.map((row, id) => ({
        id,
        conversations: conversation(
          `<image>\n${videoPrompt(row.text, taskKey, list)}`,
          `${taskKey}: ${row.label}`,
        ),
        images: storedPath(task, split, row),
      })),
    );
  }
  files[`videollama2/${key.replace('AnnoMi', 'AnnoMI')}_train_${taskKey}.json`] = json(
    rows.train.map((row, id) => ({
      id,
      video: storedPath(task, 'train', row),
      conversations: conversation(
        `<video>\n${videoPrompt(row.text, spaced(task), list)}`,
        `${spaced(task)}: ${row.label}`,
      ),
    })),
  );
  files[`zero-shot/${key}/test_${taskKey}.json`] = `${JSON.stringify(
    rows.test.map((row, id) => ({
      id,
      video: fileName(task, row),
      conversations: [
        { from: 'human', value: row.text },
        { from: 'gpt', value: row.label },
      ],
    })),
    null,
    4,
  )}\n`;
  files[`predictions/${key}.jsonl`] = predictions(task, rows.test);
  return files;
}

/** A part of a task's samples. */
export type Split = 'train' | 'dev' | 'test';
/** All of them, in their order. */
export const splits: readonly Split[] = ['train', 'dev', 'test'];

/** A task as its released files have it, typed once more. */
export interface Task {
  readonly key: string;
  /** Column of the tables, and what is before the colon of gold answers. */
  readonly taskKey: string;
  readonly labels: readonly string[];
  /** Folder of the released set. */
  readonly folder: string;
  /** Tasks of one such set ask about the same clips. */
  readonly clips: string;
  /** Numbers of clips, such as `S01_E02_3`; different for every row. */
  readonly clipNumber: (split: Split, row: number) => string;
  /** What the text files of LLaMA-Factory put before the number of a clip. */
  readonly textPrefix?: string;
  readonly mandarin?: true;
}

/** Words of a list. */
export const words = (text: string): string[] => text.split(', ');
const acts = words(
  'greeting, question, answer, statement-opinion, statement-non-opinion, apology, command, agreement, disagreement, acknowledge, backchannel, others',
);
const firstOf = { train: 0, dev: 500, test: 700 } as const;

/** In the order of the paper's Table 1. */
export const tasks: readonly Task[] = [
  {
    key: 'MIntRec',
    taskKey: 'intent',
    labels: words(
      'complain, praise, apologise, thank, criticize, agree, taunt, flaunt, joke, oppose, comfort, care, inform, advise, arrange, introduce, leave, prevent, greet, ask for help',
    ),
    folder: 'MIntRec',
    clips: 'MIntRec',
    clipNumber: (split, row) => `S04_E0${splits.indexOf(split) + 1}_${row}`,
  },
  {
    key: 'MIntRec2.0',
    taskKey: 'intent',
    labels: words(
      'acknowledge, advise, agree, apologise, arrange, ask for help, asking for opinions, care, comfort, complain, confirm, criticize, doubt, emphasize, explain, flaunt, greet, inform, introduce, invite, joke, leave, oppose, plan, praise, prevent, refuse, taunt, thank, warn',
    ),
    folder: 'MIntRec2.0',
    clips: 'MIntRec2.0',
    clipNumber: (split, row) => `${firstOf[split]}_${row}`,
  },
  {
    key: 'MELD',
    taskKey: 'emotion',
    labels: words('neutral, surprise, fear, sadness, joy, anger, disgust'),
    folder: 'MELD',
    clips: 'MELD',
    // Dialogues are numbered on from split to split: 1,039 of train, then 114 of dev.
    clipNumber: (split, row) => `${{ train: 0, dev: 1039, test: 1153 }[split]}_${row}`,
  },
  {
    key: 'IEMOCAP',
    taskKey: 'emotion',
    labels: words('angry, happy, sad, neutral, frustrated, excited'),
    folder: 'IEMOCAP',
    clips: 'IEMOCAP',
    clipNumber: (split, row) =>
      `Ses0${{ train: 1, dev: 3, test: 5 }[split]}F_impro01_F${`${row}`.padStart(3, '0')}`,
  },
  {
    key: 'MELD-DA',
    taskKey: 'dialogue_act',
    labels: acts,
    folder: 'MELD-DA',
    clips: 'MELD',
    // Of MELD's train dialogues; the first rows of test are clips of MELD's train rows above.
    clipNumber: (split, row) => (split === 'test' && row < 4 ? `0_${row}` : `${firstOf[split] + 7}_${row}`),
    textPrefix: 'MELD',
  },
  {
    key: 'IEMOCAP-DA',
    taskKey: 'dialogue_act',
    labels: acts,
    folder: 'IEMOCAP-DA',
    clips: 'IEMOCAP',
    clipNumber: (split, row) =>
      split === 'test' && row < 3
        ? `Ses01F_impro01_F00${row}`
        : `Ses0${splits.indexOf(split) + 1}M_script01_1_M${`${row}`.padStart(3, '0')}`,
    textPrefix: 'IEMOCAP',
  },
  {
    key: 'MOSI',
    taskKey: 'sentiment',
    labels: words('positive, negative'),
    folder: 'MOSI',
    clips: 'MOSI',
    clipNumber: (split, row) => `a${split}_Clip4$_$${row + 1}`,
  },
  {
    key: 'Ch-sims',
    taskKey: 'sentiment',
    labels: words('neutral, positive, negative'),
    folder: 'CH-SIMSv2.0',
    clips: 'Ch-sims',
    clipNumber: (split, row) => `video_000${splits.indexOf(split) + 1}_${`${row}`.padStart(4, '0')}`,
    mandarin: true,
  },
  {
    key: 'UR-FUNNY',
    taskKey: 'speaking_style',
    labels: words('humorous, serious'),
    folder: 'UR-FUNNY-v2',
    clips: 'UR-FUNNY',
    clipNumber: (split, row) => `${firstOf[split] + row}`,
  },
  {
    key: 'MUStARD',
    taskKey: 'speaking_style',
    labels: words('sincere, sarcastic'),
    folder: 'MUStARD',
    clips: 'MUStARD',
    clipNumber: (split, row) => `1_${firstOf[split] + row}`,
    textPrefix: 'MUSTARD',
  },
  {
    key: 'AnnoMi-client',
    taskKey: 'communication_behavior',
    labels: words('neutral, change, sustain'),
    folder: 'AnnoMi-client',
    clips: 'AnnoMi',
    clipNumber: (split, row) => `${splits.indexOf(split)}_${2 * row + 1}`,
  },
  {
    key: 'AnnoMi-therapist',
    taskKey: 'communication_behavior',
    labels: words('question, therapist_input, reflection, other'),
    folder: 'AnnoMi-therapist',
    clips: 'AnnoMi',
    clipNumber: (split, row) => `${splits.indexOf(split)}_${2 * row}`,
  },
];

/** How often a label is in a split: once in train, uneven in test; dev has the first three labels only. */
function rowsOfLabel(split: Split, label: number, labels: number): number {
  if (split === 'train') return 1;
  if (split === 'dev') return label < 3 ? 1 : 0;
  return labels < 6 ? 5 + 2 * label : label % 3 === 0 ? 2 : 1;
}

const openings = [
  'We left',
  'You found',
  'She painted',
  "They didn't want",
  'I keep',
  'Nobody saw',
  'He sold',
];
const things = [
  'the blue kite',
  'my ladder',
  'a jar of buttons',
  'this café chair',
  'the last map',
  'your old radio',
];
const places = [
  'behind the shed',
  'on row nine',
  'near the harbour',
  'in the attic',
  'before lunch',
  'at the fair',
];
// IEMOCAP's ms-swift files put a full stop after the words, so what it was before is only certain without one.
const endings = ['.', '?', '', '!', '...', ' - really?'];
const endingsWithoutStop = ['?', '', '!', ' - really?'];
const oddities = [
  'He said "wait", then left.',
  'It says: turn left, right?',
  'Based on what you told me, yes.',
  'naïve & proud — 50% off',
  'Well [laughs], so be it',
];
const mandarinOpenings = ['我们把', '你为什么把', '她已经把', '请不要把'];
const mandarinThings = ['蓝色风筝', '旧收音机', '那张地图', '一罐纽扣'];
const mandarinEndings = ['放在院子里', '卖掉了？', '忘在车站！', '送给邻居。'];

/** Words of the n-th clip of a set. */
function utterance(n: number, { mandarin, clips, key }: Task): string {
  const pick = <T>(list: readonly T[], by: number): T => list[Math.floor(n / by) % list.length]!;
  if (mandarin) return pick(mandarinOpenings, 1) + pick(mandarinThings, 4) + pick(mandarinEndings, 16);
  const isStopped = clips === 'IEMOCAP';
  if (!isStopped && n % 11 === 6) return `${pick(oddities, 11)}${n < 55 ? '' : ` (${key} ${n})`}`;
  const sentence = `${pick(openings, 1)} ${pick(things, 7)} ${pick(places, 42)}`;
  return sentence + pick(isStopped ? endingsWithoutStop : endings, 1);
}

/** A sample: the number of its clip, what is said, and its label. */
export interface Row {
  readonly number: string;
  readonly text: string;
  readonly label: string;
}

/** With a capital first letter. */
export const capitalised = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

/** Rows of all tasks; clips of one set have one text, and the first words of train come back in test. */
export function allRows(): Map<string, Record<Split, Row[]>> {
  const textOf = new Map<string, string>();
  const used = new Map<string, number>();
  const rowsOf = (task: Task, split: Split): Row[] => {
    const labels = task.labels.flatMap((label, i) =>
      Array.from({ length: rowsOfLabel(split, i, task.labels.length) }, () => label),
    );
    return labels.map((label, row) => {
      const number = task.clipNumber(split, row);
      const clip = `${task.clips}_${number}`;
      const n = used.get(task.clips) ?? 0;
      let text = textOf.get(clip);
      if (text === undefined) {
        used.set(task.clips, n + 1);
        const repeated = split === 'test' && row === 4;
        text = repeated ? textOf.get(`${task.clips}_${task.clipNumber('train', 0)}`)! : utterance(n, task);
        textOf.set(clip, text);
      }
      return { number, text, label };
    });
  };
  return new Map(
    tasks.map((task) => [
      task.key,
      { train: rowsOf(task, 'train'), dev: rowsOf(task, 'dev'), test: rowsOf(task, 'test') },
    ]),
  );
}

/** A JSON file. */
export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** What MMLA asks about a speaker (paper, Table 1), as its prompts word it. */
export const mmlaDimensions = [
  'intent',
  'emotion',
  'dialogue act',
  'sentiment',
  'speaking style',
  'communication behavior',
] as const;
export type MmlaDimension = (typeof mmlaDimensions)[number];

/** A part of a task's samples. */
export const mmlaSplits = ['train', 'dev', 'test'] as const;
export type MmlaSplit = (typeof mmlaSplits)[number];

/** Numbers of samples by split. */
export type MmlaCounts = Readonly<Record<MmlaSplit, number>>;

/** What is known of a task. */
export interface MmlaTaskDefinition {
  /** As the paper names it. */
  readonly title: string;
  readonly dimension: MmlaDimension;
  /** In the order in which prompts list them; spelt as the data spell them. */
  readonly labels: readonly string[];
  /** Rows of the released files. */
  readonly counts: MmlaCounts;
  /** Test samples of the published leaderboards, where they are not those of the released files. */
  readonly leaderboardCount?: number;
  /** Folder of the released data set, whose tables are `train.tsv`, `dev.tsv` and `test.tsv`. */
  readonly folder: string;
  /** Whose clips these are: tasks that share one ask about the same clips. */
  readonly clips: string;
  /** What the released files put before the number of a clip, besides the key of the task. */
  readonly prefixes?: readonly string[];
  readonly language: 'English' | 'Mandarin';
  /** Whether the released data set holds its videos. */
  readonly hasVideos: boolean;
  /** A task of one's own: read, asked, scored and trained on as the others, but no part of MMLA's averages. */
  readonly isOwn?: true;
}

const dialogueActs = [
  'greeting',
  'question',
  'answer',
  'statement-opinion',
  'statement-non-opinion',
  'apology',
  'command',
  'agreement',
  'disagreement',
  'acknowledge',
  'backchannel',
  'others',
] as const;

const english = { language: 'English', hasVideos: true } as const;

/**
 * The tasks: the twelve of the paper in the order of its Table 1, and behind them those of one's own. A new task is an
 * entry here, and a reader (`src/data/mmla/formats.ts`) where its files are of no known format.
 */
export const mmlaTaskDefinitions = {
  MIntRec: {
    ...english,
    title: 'MIntRec',
    dimension: 'intent',
    labels: [
      ...[
        'complain',
        'praise',
        'apologise',
        'thank',
        'criticize',
        'agree',
        'taunt',
        'flaunt',
        'joke',
        'oppose',
      ],
      ...['comfort', 'care', 'inform', 'advise', 'arrange', 'introduce', 'leave', 'prevent', 'greet'],
      'ask for help',
    ],
    counts: { train: 1334, dev: 445, test: 445 },
    folder: 'MIntRec',
    clips: 'MIntRec',
  },
  'MIntRec2.0': {
    ...english,
    title: 'MIntRec2.0',
    dimension: 'intent',
    labels: [
      ...['acknowledge', 'advise', 'agree', 'apologise', 'arrange', 'ask for help', 'asking for opinions'],
      ...['care', 'comfort', 'complain', 'confirm', 'criticize', 'doubt', 'emphasize', 'explain', 'flaunt'],
      ...['greet', 'inform', 'introduce', 'invite', 'joke', 'leave', 'oppose', 'plan', 'praise', 'prevent'],
      ...['refuse', 'taunt', 'thank', 'warn'],
    ],
    counts: { train: 6165, dev: 1106, test: 2033 },
    folder: 'MIntRec2.0',
    clips: 'MIntRec2.0',
  },
  MELD: {
    ...english,
    title: 'MELD',
    dimension: 'emotion',
    labels: ['neutral', 'surprise', 'fear', 'sadness', 'joy', 'anger', 'disgust'],
    counts: { train: 9989, dev: 1109, test: 2610 },
    folder: 'MELD',
    clips: 'MELD',
  },
  IEMOCAP: {
    ...english,
    title: 'IEMOCAP',
    dimension: 'emotion',
    labels: ['angry', 'happy', 'sad', 'neutral', 'frustrated', 'excited'],
    counts: { train: 5237, dev: 521, test: 1622 },
    folder: 'IEMOCAP',
    clips: 'IEMOCAP',
    hasVideos: false,
  },
  'MELD-DA': {
    ...english,
    title: 'MELD-DA',
    dimension: 'dialogue act',
    labels: dialogueActs,
    counts: { train: 6992, dev: 999, test: 1998 },
    folder: 'MELD-DA',
    clips: 'MELD',
    prefixes: ['MELD'],
  },
  'IEMOCAP-DA': {
    ...english,
    title: 'IEMOCAP-DA',
    dimension: 'dialogue act',
    labels: dialogueActs,
    counts: { train: 6590, dev: 942, test: 1884 },
    folder: 'IEMOCAP-DA',
    clips: 'IEMOCAP',
    prefixes: ['IEMOCAP'],
    hasVideos: false,
  },
  MOSI: {
    ...english,
    title: 'MOSI',
    dimension: 'sentiment',
    labels: ['positive', 'negative'],
    counts: { train: 1284, dev: 229, test: 686 },
    folder: 'MOSI',
    clips: 'MOSI',
    hasVideos: false,
  },
  'Ch-sims': {
    title: 'CH-SIMS v2.0',
    dimension: 'sentiment',
    labels: ['neutral', 'positive', 'negative'],
    counts: { train: 2722, dev: 647, test: 1031 },
    leaderboardCount: 1034,
    folder: 'CH-SIMSv2.0',
    clips: 'Ch-sims',
    language: 'Mandarin',
    hasVideos: true,
  },
  'UR-FUNNY': {
    ...english,
    title: 'UR-FUNNY-v2',
    dimension: 'speaking style',
    labels: ['humorous', 'serious'],
    counts: { train: 7612, dev: 980, test: 994 },
    folder: 'UR-FUNNY-v2',
    clips: 'UR-FUNNY',
  },
  MUStARD: {
    ...english,
    title: 'MUStARD',
    dimension: 'speaking style',
    labels: ['sincere', 'sarcastic'],
    counts: { train: 414, dev: 138, test: 138 },
    folder: 'MUStARD',
    clips: 'MUStARD',
    prefixes: ['MUSTARD'],
  },
  'AnnoMi-client': {
    ...english,
    title: 'Anno-MI (client)',
    dimension: 'communication behavior',
    labels: ['neutral', 'change', 'sustain'],
    counts: { train: 3123, dev: 461, test: 1129 },
    folder: 'AnnoMi-client',
    clips: 'AnnoMi',
    prefixes: ['AnnoMI-client'],
  },
  'AnnoMi-therapist': {
    ...english,
    title: 'Anno-MI (therapist)',
    dimension: 'communication behavior',
    labels: ['question', 'therapist_input', 'reflection', 'other'],
    counts: { train: 3161, dev: 472, test: 1140 },
    folder: 'AnnoMi-therapist',
    clips: 'AnnoMi',
    prefixes: ['AnnoMI-therapist'],
  },
} as const satisfies Record<string, MmlaTaskDefinition>;

/** How scripts and files of MMLA name a task. */
export type MmlaTaskKey = keyof typeof mmlaTaskDefinitions;

/** Those of the paper. */
export type PaperTaskKey = {
  [Key in MmlaTaskKey]: (typeof mmlaTaskDefinitions)[Key] extends { readonly isOwn: true } ? never : Key;
}[MmlaTaskKey];

/** All keys, in that order. */
export const mmlaTaskKeys = Object.keys(mmlaTaskDefinitions) as [MmlaTaskKey, ...MmlaTaskKey[]];

const isOfPaper = (key: MmlaTaskKey): key is PaperTaskKey => {
  const definition: MmlaTaskDefinition = mmlaTaskDefinitions[key];
  return definition.isOwn !== true;
};

/** Those of the paper, which its averages, leaderboards and hyper-parameters are of. */
export const paperTaskKeys: readonly PaperTaskKey[] = mmlaTaskKeys.filter(isOfPaper);

import type { MmlaTaskKey } from '../../../data/mmla/tasks.ts';
import { mmlaMethods, mmlaModalities } from '../report/schema.ts';

/** The six metrics of MMLA, in the order in which its Table 6 prints them. F1, R and P are macro averages. */
export const boardMetrics = ['ACC', 'WF1', 'WP', 'F1', 'R', 'P'] as const;
export type BoardMetric = (typeof boardMetrics)[number];

/** How a model came to its answers; `floor` is no language model but what is easily reached without one. */
const boardMethods = [...mmlaMethods, 'floor'] as const;
export type BoardMethod = (typeof boardMethods)[number];

/** As people read it. */
export const methodTitles: Readonly<Record<BoardMethod, string>> = {
  'zero-shot': 'zero-shot',
  sft: 'SFT',
  it: 'IT',
  floor: 'floor',
};

/** What a model sees of a sample. */
const boardModalities = mmlaModalities;
export type BoardModality = (typeof boardModalities)[number];

export const modalityTitles: Readonly<Record<BoardModality, string>> = {
  text: 'text LLM',
  audio: 'text and sound',
  video: 'video MLLM',
};

/** Which numbers a row holds. The paper mixes two vintages, which disagree for some models. */
export const vintageTitles = {
  first: 'first version: Figures 2-5',
  revised: 'revised: Tables 6-8',
  seeds: 'revised: Table 5 (three seeds)',
  floor: 'measured: floors',
  ours: 'our reports',
} as const;
export type Vintage = keyof typeof vintageTitles;

/** Ends of a 95 % interval in percent, and where it comes from. */
export interface BoardInterval {
  readonly low: number;
  readonly high: number;
  /** `wilson`: of the number of samples alone, at least in part; nobody reported it. */
  readonly from: 'report' | 'wilson';
}

type ByMetric<Value> = Partial<Readonly<Record<BoardMetric, Value>>>;

/** What a model reached on a task, in percent. */
export interface TaskCell {
  readonly metrics: ByMetric<number>;
  /** Test samples that were scored. */
  readonly samples: number;
  /** As a report gives them. */
  readonly intervals?: ByMetric<Omit<BoardInterval, 'from'>>;
  /** Standard deviation over seeds. */
  readonly deviations?: ByMetric<number>;
  /** Why a number is to be doubted. */
  readonly doubts?: ByMetric<string>;
}

export type TaskCells = Partial<Readonly<Record<MmlaTaskKey, TaskCell>>>;

/** A model by one method, with numbers of one vintage. */
export interface LeaderboardRow {
  readonly model: string;
  /** In billions, as the name of the model says; null where it is not known. */
  readonly parameters: number | null;
  /** Null where a row looks at no sample, or a report does not say. */
  readonly modality: BoardModality | null;
  /** Null where a report does not say. */
  readonly method: BoardMethod | null;
  readonly vintage: Vintage;
  /** Table, figure or file that the numbers are from. */
  readonly source: string;
  /** What is to be said about the numbers. */
  readonly notes: readonly string[];
  /** Score on the published leaderboard (first version); undefined where it is not on it. */
  readonly published?: number;
  readonly cells: TaskCells;
}

// Made by scripts/make-mmla-published.ts; not edited by hand.
import type { AccuracyTable, Scores } from '../published-types.ts';

/** Bars of Figure 5: ACC in percent, in the order of the registry of tasks. */
export const itFigure5: AccuracyTable = {
  'Qwen2-VL-7B': [82.5, 63.5, 66, 56.7, 60.1, 67.9, 86.6, 74, 73.6, 69.6, 65.8, 76.4],
  'MiniCPM-V-2.6-8B': [80.7, 63.3, 65.9, 53.6, 61.7, 68.2, 86.2, 79.2, 74.1, 60.9, 64.5, 75.2],
  'Qwen2-VL-72B': [86.3, 67, 67.6, 54.1, 62.4, 72.7, 81.6, 72.7, 77, 70.3, 64.9, 76.9],
  'LLaVA-Video-72B': [80.2, 65, 65.4, 59.9, 61.5, 76.1, 86.9, 70.7, 74.2, 71.7, 66.9, 77.6],
  'Llama-3-8B': [77.3, 60.5, 63.5, 48.8, 57.4, 68.2, 87.5, 68.4, 70.1, 60.1, 63.1, 72.7],
  'Qwen2-7B': [78, 61.5, 64.1, 50.9, 60, 66.6, 85.3, 70.1, 68.3, 64.5, 62.1, 72],
  'InternLM2.5-7B': [75.3, 59.3, 63.6, 50.7, 58.7, 69.5, 85.1, 70.3, 69.9, 63.8, 61, 72.9],
};

/** Table 8: ACC in percent, in the order of the registry of tasks. Null where a number could not be read. */
export const itTable8: AccuracyTable = {
  'Qwen2-7B': [77.53, 61.49, 64.64, 48.09, 58.71, 65.5, 87.17, 70.5, 70.22, 63.04, 64.04, 72.28],
  'Llama-3-8B': [78.2, 61.44, 66.02, 52.34, 58.91, 69.06, 87.32, 69.54, 72.13, 57.97, 66.16, 75.26],
  'InternLM2.5-7B': [75.96, 60.06, 62.84, 50.8, 57.51, 67.57, 86.01, 69.63, 69.11, 65.94, 62.18, 71.23],
  'Qwen2-VL-7B': [82.92, 64.19, 67.55, 49.88, 60.71, 62.47, 79.45, 75.85, 73.34, 65.22, 64.54, 76.44],
  'MiniCPM-V-2.6-8B': [80.67, 63.31, 65.86, 53.58, 61.71, 68.15, 86.15, 79.15, 74.14, 60.87, null, null],
  'Qwen2-VL-72B': [86.29, 66.99, 67.59, 54.07, 62.36, 72.66, 81.63, 72.65, 76.96, 70.29, null, null],
  'LLaVA-Video-72B': [80.22, 64.98, 65.36, 59.93, 61.46, 76.06, 86.88, 70.69, 74.25, 71.74, null, null],
};

/** The published leaderboard (Figures 2 and 3), IT. */
export const itBoard: Scores = {
  'LLaVA-Video-72B': 68.87,
  'Qwen2-VL-72B': 68.64,
  'Qwen2-VL-7B': 67.34,
  'MiniCPM-V-2.6-8B': 67.25,
  'Qwen2-7B': 64.58,
  'InternLM2.5-7B': 64.41,
  'Llama-3-8B': 64.16,
};

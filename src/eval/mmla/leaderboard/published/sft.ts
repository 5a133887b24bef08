// Made by scripts/make-mmla-published.ts; not edited by hand.
import type { AccuracyTable, Scores } from '../published-types.ts';

/** Bars of Figure 4: ACC in percent, in the order of the registry of tasks. */
export const sftFigure4: AccuracyTable = {
  'VideoLLaMA2-7B': [79.3, 65, 63.8, 56.8, 61, 76.4, 87, 75, 74.8, 71, 64.5, 76.2],
  'Qwen2-VL-7B': [80.5, 64.2, 67.1, 55.1, 60.9, 68.1, 88.3, 74.5, 74, 67.4, 66, 75.7],
  'LLaVA-Video-7B': [80, 63.1, 63.5, 58.9, 61, 72.3, 88.5, 70.5, 73.6, 70.3, 65.7, 75.7],
  'LLaVA-OV-7B': [80, 63.6, 62.7, 58.8, 59.8, 72.8, 88.9, 72.8, 74.7, 63, 65.3, 76.8],
  'MiniCPM-V-2.6-8B': [79.1, 64, 68, 56.5, 63, 75, 84.3, 76.2, 75.5, 68.8, 64.7, 76],
  'Qwen2-VL-72B': [81.3, 67.4, 68.8, 57, 58.9, 73.1, 87, 75.6, 76.4, 74.6, 65.5, 77.6],
  'LLaVA-Video-72B': [82.5, 65.8, 60.6, 60.2, 61.1, 75.5, 87.8, 72.7, 76.3, 71.7, 67.5, 76.7],
  'LLaVA-OV-72B': [84, 66, 61, 61.5, 61.3, 73.6, 88.9, 72.3, 77.2, 69.6, 67.7, 77.8],
  'Llama-3-8B': [77.4, 62.9, 64.4, 51.4, 57.2, 73.4, 86.7, 70.4, 72.2, 64.5, 65.3, 76],
  'Qwen2-7B': [74.6, 61.5, 65.7, 52.1, 57.7, 72.1, 87.3, 73.1, 71.3, 63, 64.6, 75.5],
  'InternLM2.5-7B': [77.3, 61.8, 66.2, 51.5, 58.8, 71.1, 85.3, 68.9, 69.1, 68.1, 64, 74.1],
};

/** The published leaderboard (Figures 2 and 3), SFT. */
export const sftBoard: Scores = {
  'Qwen2-VL-72B': 69.18,
  'MiniCPM-V-2.6-8B': 68.88,
  'LLaVA-OV-72B': 68.67,
  'LLaVA-Video-72B': 68.44,
  'VideoLLaMA2-7B': 68.3,
  'Qwen2-VL-7B': 67.6,
  'LLaVA-OV-7B': 67.54,
  'LLaVA-Video-7B': 67.47,
  'Llama-3-8B': 66.18,
  'Qwen2-7B': 66.15,
  'InternLM2.5-7B': 65.72,
  'Qwen2-1.5B': 64,
  'Qwen2-0.5B': 62.8,
};

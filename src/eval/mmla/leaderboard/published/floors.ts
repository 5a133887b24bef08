// Made by scripts/make-mmla-published.ts; not edited by hand.
import type { FloorTable } from '../published-types.ts';

/** ACC, WF1 and F1 in percent of TF-IDF features and logistic regression. */
export const textFloors: FloorTable = {
  MIntRec: [57.08, 55.28, 50.93],
  MELD: [60.08, 56.56, 36],
  IEMOCAP: [53.21, 52.89, 51.79],
  'MELD-DA': [57.26, 54.58, 45.19],
  'IEMOCAP-DA': [72.51, 72.13, 67.94],
  MOSI: [69.83, 68.96, 69.01],
  'Ch-sims': [62.75, 58.72, 44.25],
  MUStARD: [67.39, 67.35, 67.35],
  'AnnoMi-client': [59.26, 55.17, 44.29],
  'AnnoMi-therapist': [71.67, 71.75, 69.64],
};

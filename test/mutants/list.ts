import { checkpointMutants } from './list/checkpoints.ts';
import { dataMutants } from './list/data.ts';
import { evaluationMutants } from './list/evaluation.ts';
import { fileMutants } from './list/files.ts';
import { mmlaMutants } from './list/mmla.ts';
import { mmlaAnswerMutants } from './list/mmla-answers.ts';
import { mmlaScoreMutants } from './list/mmla-scores.ts';
import { modelMutants } from './list/model.ts';
import { randomMutants } from './list/random.ts';
import { rankMutants } from './list/ranks.ts';
import { trainingMutants } from './list/training.ts';
import type { Mutant } from './mutant.ts';

/** Every named break, by subject. */
export const mutants: readonly Mutant[] = [
  ...checkpointMutants,
  ...fileMutants,
  ...randomMutants,
  ...trainingMutants,
  ...rankMutants,
  ...modelMutants,
  ...dataMutants,
  ...evaluationMutants,
  ...mmlaMutants,
  ...mmlaScoreMutants,
  ...mmlaAnswerMutants,
];

/** Trains a tiny decoder on xla and prints the losses: `node --import tsx xla-process.ts 'FOLDER OF EXECUTABLES'`. */
import { XlaEngine } from '../../src/engine/xla/engine.ts';
import { createTrainState, TrainStep } from '../../train/step.ts';
import { tinyDecoderTask } from '../train/tiny-tasks.ts';

const engine = new XlaEngine({ threads: 1, executables: process.argv[2]! });
const task = tinyDecoderTask(2);
const step = new TrainStep(engine, task.stepOptions);
const state = createTrainState(engine, task.initialParameters);
const losses: number[] = [];
for (let index = 1; index <= 3; index++) {
  const { inputs, supervisedTokens } = await task.loadBatch(task.names, { epoch: 1, step: index });
  losses.push((await step.run(state, [inputs], { supervisedTokens, learningRate: 1e-2, step: index })).loss);
}
process.stdout.write(JSON.stringify(losses));

import { type RandomModel, writeRandomModel } from './random-model.ts';

/** The program of the process that `randomModel` starts; its argument is the model. */
await writeRandomModel(process.argv[2] as RandomModel);

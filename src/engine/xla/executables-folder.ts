import { cacheFolder } from '../cache-folder.ts';

/** Names the folder of compiled executables; empty keeps none. */
export const cacheVariable = 'AFFECTGPT_XLA_CACHE';

/** Where executables are kept between runs; null for nowhere. */
export const executablesFolder = (): string | null => cacheFolder(cacheVariable, 'xla-executables');

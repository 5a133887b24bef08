import os from 'node:os';
import path from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where something is kept between runs: the folder that a variable of the environment names, or `affectgpt/<name>` in
 * the user's cache folder; null where the variable is empty: nowhere.
 */
export function cacheFolder(
  variable: string,
  name: string,
  environment: Environment = process.env,
): string | null {
  const named = environment[variable];
  if (named !== undefined) return named === '' ? null : path.resolve(named);
  const caches = environment.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  return path.join(caches, 'affectgpt', name);
}

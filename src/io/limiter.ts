/**
 * A gate that lets `limit` asynchronous tasks run at a time; the others wait in order of arrival.
 */
export function limiter(limit: number): <T>(task: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      // The place goes straight to the next in line.
      if (next === undefined) running--;
      else next();
    }
  };
}

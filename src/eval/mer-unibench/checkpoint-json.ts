import type { WheelResult } from './metrics/result.ts';
import type { SentimentResult } from './metrics/sentiment.ts';

/** Entry of `checkpoints` in what `eval mer-unibench --json` prints. NaN becomes `null`. */
export function checkpointJson(
  name: string,
  result: WheelResult | SentimentResult,
  /** Of `scoreTwelve`, where it was asked for. */
  twelve?: readonly number[],
) {
  return {
    name,
    score: jsonNumber(result.score),
    n: result.n,
    nScored: result.nScored,
    metrics: {
      ...Object.fromEntries(Object.entries(result.metrics).map(([key, value]) => [key, jsonNumber(value)])),
      ...(twelve && { twelve: twelve.map(jsonNumber) }),
    },
    perWheel:
      'perWheel' in result
        ? result.perWheel.map((wheel) => ({
            wheel: wheel.wheel,
            level: wheel.level,
            score: jsonNumber(wheel.score),
            ...(wheel.precision !== undefined && { precision: jsonNumber(wheel.precision) }),
            ...(wheel.recall !== undefined && { recall: jsonNumber(wheel.recall) }),
            ...(wheel.mscore !== undefined && { mscore: jsonNumber(wheel.mscore) }),
            nScored: wheel.nScored,
            nUnmapped: wheel.nUnmapped,
            nEmptyPredictions: wheel.nEmptyPredictions,
          }))
        : [],
  };
}

/** NaN as JSON has it. */
export const jsonNumber = (value: number): number | null => (Number.isFinite(value) ? value : null);

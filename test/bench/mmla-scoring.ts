import { machine, peakMemory, summarise } from '../../src/bench/machine.ts';
import { type MmlaTaskKey, mmlaTask } from '../../src/data/mmla/tasks.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import { evaluateMmlaTask, type MmlaAnswerSet } from '../../src/eval/mmla/evaluate.ts';

const answerCount = 100_000;

/** Made-up answers: most in the form that is asked for, some in a sentence, some without a label or with two. */
function answers(key: MmlaTaskKey): MmlaAnswerSet {
  const random = new RandomGenerator(7);
  const task = mmlaTask(key);
  const label = () => task.labels[random.integer(task.labels.length)]!;
  const gold = Array.from({ length: answerCount }, (_, i) => {
    const id = `${key}_${i}`;
    return { id, clip: id, label: label() };
  });
  const texts = gold.map(() => {
    const said = `${task.dimension}: ${label()}`;
    const form = random.integer(10);
    if (form === 0) return `The speaker seems hesitant at first, yet what follows leaves no doubt. ${said}.`;
    if (form === 1) return 'I am sorry, but I cannot tell that from the words alone.';
    return form === 2 ? `${said}, or ${label()}` : said;
  });
  return { task, split: 'test', goldFile: null, gold, seeds: [{ predictions: 'made-up', texts }] };
}

/**
 * Scoring 100,000 answers, from text to all figures, on the tasks with the most and the fewest labels: as published, and
 * `strict` with 1,000 resamples of its intervals. One line each.
 */
export function benchMmlaScoring({ runs }: { readonly runs: number }): object[] {
  return (['MIntRec2.0', 'MOSI'] as const).flatMap((key) => {
    const set = answers(key);
    return (['compat', 'strict'] as const).map((mode) => {
      const times = Array.from({ length: runs }, () => {
        const begin = performance.now();
        evaluateMmlaTask(set, { mode, bootstrap: { seed: 1, resamples: 1000 } });
        return performance.now() - begin;
      });
      const what = mode === 'strict' ? 'strict, 1000 resamples' : mode;
      return {
        ...{ bench: 'mmla-scoring', size: `${answerCount} answers, ${key}, ${what}`, engine: 'none' },
        ...{ threads: 1, dtype: 'float64', ...summarise(times), tokens_per_s: null },
        ...{ peak_rss_mb: peakMemory(), machine },
      };
    });
  });
}

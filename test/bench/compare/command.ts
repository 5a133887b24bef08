import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import type { CommandModule } from 'yargs';
import { encodeFlops } from '../../../src/bench/encode.ts';
import { commit, machine } from '../../../src/bench/machine.ts';
import { randomModel } from '../../../src/bench/random-model.ts';
import { trainStepFlops } from '../../../src/bench/train-step.ts';
import { type EngineName, engineNames } from '../../../src/engine/engines.ts';
import type { Precision } from '../../../src/engine/types.ts';
import { CheckError, InputError } from '../../../src/errors.ts';
import { type CompareCase, caseName, compareCases } from './cases.ts';
import { contest, isFigures } from './contest.ts';
import { brokenGoals, type Outcomes } from './goals.ts';
import { benchmarksPage, buildOurs, checkPeer, ourContestant, peerContestant } from './peer.ts';
import { caseSection, emptySection, mergeSections, renderSection, writeSection } from './section.ts';

export interface CompareOptions {
  readonly python: string;
  readonly engine: EngineName;
  readonly precision: Precision;
  readonly threads: number;
  readonly rounds?: number | undefined;
  readonly block?: number | undefined;
  readonly bf16: boolean;
}

const notify = (message: string): void => console.error(message);

/** Floating-point operations of one run by the shapes of the model; null for answers, which memory bounds. */
function caseFlops(one: CompareCase): number | null {
  if (one.bench === 'train-step') return trainStepFlops(one.size);
  return one.bench === 'encode' ? encodeFlops(one.size) : null;
}

/**
 * Two sittings, so that no more than three models are in memory: beside PyTorch's float32 modes, then beside bf16. Where
 * ours computes in bf16 there is the second one alone.
 */
async function measure(one: CompareCase, options: CompareOptions): Promise<Outcomes> {
  const { python, threads, bf16 } = options;
  const plan = { block: options.block ?? one.block, rounds: options.rounds ?? one.rounds };
  // Written before anything is measured.
  await randomModel(one.size);
  const sitting = (ending: '' | '16', dtype: 'float32' | 'bfloat16') =>
    contest(
      [
        ourContestant(`ours${ending}`, one, options),
        peerContestant(`eager${ending}`, one, { python, mode: 'eager', dtype, threads }),
        peerContestant(`compiled${ending}`, one, { python, mode: 'compiled', dtype, threads }),
      ],
      plan,
      (message) => notify(`${caseName(one)}: ${message}`),
    );
  if (options.precision === 'bf16') return sitting('16', 'bfloat16');
  const outcomes = await sitting('', 'float32');
  return bf16 ? { ...outcomes, ...(await sitting('16', 'bfloat16')) } : outcomes;
}

/** Commit of the sources; a plus sign says that there were changes to it. */
function sources(): string {
  try {
    const changed = execFileSync('git', ['status', '--porcelain', '--untracked-files=no', '--', ':!docs'], {
      encoding: 'utf8',
    });
    return changed.trim() === '' ? commit() : `${commit()}+`;
  } catch {
    return commit();
  }
}

/** Measures each case beside PyTorch, prints the tables and says which goals do not hold. */
export async function compare(
  cases: readonly CompareCase[],
  options: CompareOptions,
  write: boolean,
): Promise<readonly string[]> {
  await checkPeer(options.python);
  await buildOurs();
  const stamp = `${new Date().toISOString().slice(0, 16).replace('T', ' ')} ${sources()}`;
  const { engine, precision } = options;
  const isDefault = engine === 'onnxruntime' && precision === 'fp32';
  const variant = isDefault ? '' : `, ${engine} ${precision}`;
  let found = emptySection;
  const broken: string[] = [];
  for (const one of cases) {
    const outcomes = await measure(one, options);
    const versions = Object.assign(
      {},
      ...Object.values(outcomes)
        .filter(isFigures)
        .map((figures) => figures.versions),
    );
    const conditions = [
      `${machine}, ${options.threads} threads, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${engine}`,
      ...Object.entries(versions).map(([name, version]) => `${name} ${version}`),
    ].join(', ');
    const section = caseSection(one, outcomes, caseFlops(one), stamp, conditions, variant);
    found = mergeSections(found, section);
    broken.push(...brokenGoals(one, outcomes, variant));
    // After every case: an interruption loses no more than one.
    if (write) await writeFile(benchmarksPage, writeSection(await readFile(benchmarksPage, 'utf8'), section));
  }
  process.stdout.write(renderSection(found));
  return broken;
}

function chooseCases(bench: string, size: string | undefined): readonly CompareCase[] {
  const chosen = compareCases.filter(
    (one) => (bench === 'all' || one.bench === bench) && (size === undefined || one.size === size),
  );
  if (chosen.length > 0) return chosen;
  throw new InputError(
    'BENCH_CASE',
    `There is no comparison "${bench} ${size}"; there are ${compareCases.map(caseName).join(', ')}.`,
  );
}

const benches = ['all', ...new Set(compareCases.map(({ bench }) => bench))];

/** `npm run bench -- compare` */
export const compareCommand: CommandModule = {
  command: 'compare',
  describe:
    'steps, encoders and answers beside PyTorch, transformers and peft, taking turns; exit code 1 where a goal does not hold',
  builder: (args) =>
    args
      .option('case', { choices: benches, default: 'all', describe: 'what is compared' })
      .option('size', { type: 'string', describe: 's, m or l; clip or hubert; all sizes by default' })
      .option('python', {
        type: 'string',
        default: process.env.AFFECTGPT_PYTHON ?? 'python3',
        describe: 'interpreter with torch, transformers and peft',
      })
      .option('engine', { choices: engineNames, default: 'onnxruntime' })
      .option('precision', {
        choices: ['fp32', 'bf16'],
        default: 'fp32',
        describe: 'of ours; bf16 is compared with bf16 alone',
      })
      .option('threads', { type: 'number', default: os.availableParallelism() })
      .option('rounds', { type: 'number', describe: 'turns of each process; by default as the case has it' })
      .option('block', { type: 'number', describe: 'runs of a turn; by default as the case has it' })
      .option('bf16', {
        type: 'boolean',
        default: true,
        describe: "PyTorch's bf16 modes, too: a second sitting",
      })
      .option('write', {
        type: 'boolean',
        default: false,
        describe: 'put the rows into docs/benchmarks.md; rows of other cases stay',
      }),
  async handler(args) {
    const options = args as unknown as CompareOptions & { case: string; size?: string; write: boolean };
    const broken = await compare(chooseCases(options.case, options.size), options, options.write);
    if (broken.length > 0)
      throw new CheckError('BENCH_GOAL', `Goals that do not hold: ${broken.join('; ')}.`);
  },
};

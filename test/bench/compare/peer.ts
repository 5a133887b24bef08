import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import type { EngineName } from '../../../src/engine/engines.ts';
import type { Precision } from '../../../src/engine/types.ts';
import { EngineError } from '../../../src/errors.ts';
import { type CompareCase, caseSpec } from './cases.ts';
import type { Contestant } from './contest.ts';
import { LineProcess } from './line-process.ts';

const packages = ['torch', 'transformers', 'peft'];

/**
 * Whether an interpreter has what the peer needs.
 * @throws EngineError `PEER_MISSING` naming what to install
 */
export async function checkPeer(python: string): Promise<void> {
  const probe = `import importlib.util as u; print(" ".join(p for p in ${JSON.stringify(packages)} if u.find_spec(p) is None))`;
  const result = await execa(python, ['-c', probe], { reject: false });
  const missing = result.failed ? undefined : result.stdout.trim();
  if (missing === '') return;
  const what =
    missing === undefined
      ? `"${python}" cannot be run (${(result.stderr ?? '').trim().split('\n').at(-1) || result.originalMessage})`
      : `"${python}" lacks ${missing.replaceAll(' ', ', ')}`;
  throw new EngineError(
    'PEER_MISSING',
    `The comparison needs Python with ${packages.join(', ')}: ${what}. Run: pip install ${packages.join(' ')}, and name the interpreter with --python.`,
  );
}

const program = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** Compiles our side as the package is: what runs sources directly takes 75 MiB of its own. */
export async function buildOurs(): Promise<void> {
  const project = program('../../../tsconfig.bench.json');
  await execa('tsc', ['-p', project], { preferLocal: true, localDir: program('../../..') });
}

/** Our side in its own process, as `buildOurs` left it. */
export function ourContestant(
  name: string,
  one: CompareCase,
  options: {
    readonly engine: EngineName;
    readonly precision: Precision;
    readonly threads: number;
  },
): Contestant {
  const spec = JSON.stringify({ ...caseSpec(one), ...options });
  return {
    name,
    start: () =>
      new LineProcess(process.execPath, [program('../../../dist-bench/test/bench/compare/serve.js'), spec]),
  };
}

/** PyTorch in one mode. */
export function peerContestant(
  name: string,
  one: CompareCase,
  options: {
    readonly python: string;
    readonly mode: 'eager' | 'compiled';
    readonly dtype: 'float32' | 'bfloat16';
    readonly threads: number;
  },
): Contestant {
  const { python, ...rest } = options;
  const script = program('../peer/torch_step.py');
  const threads = String(options.threads);
  // No network: the models are made of their configuration.
  const env = { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: threads, MKL_NUM_THREADS: threads };
  return {
    name,
    start: () => new LineProcess(python, [script, JSON.stringify({ ...caseSpec(one), ...rest })], env),
  };
}

/** The repository's page of figures. */
export const benchmarksPage = program('../../../docs/benchmarks.md');

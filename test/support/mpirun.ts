import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** Why trainings of several processes are not tested here; undefined where they are. */
export function whyNoMpirun(): string | undefined {
  try {
    createRequire(import.meta.url)('koffi');
  } catch {
    return 'the optional package koffi is not installed';
  }
  try {
    const version = execFileSync('mpirun', ['--version'], { encoding: 'utf8', stdio: 'pipe' });
    return version.includes('Open MPI') ? undefined : 'mpirun is not that of Open MPI';
  } catch {
    return 'no mpirun (Debian: apt-get install openmpi-bin)';
  }
}

/** Starts a command line of the program on ranks of this machine: each list of arguments on so many. */
export function mpirun(...groups: readonly (readonly [ranks: number, argv: readonly string[]])[]) {
  const started = groups.flatMap(([ranks, argv], i) => [
    ...(i === 0 ? [] : [':']),
    ...['-np', String(ranks), process.execPath, '--import', 'tsx', program, ...argv],
  ]);
  const flags = ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none'];
  return execa('mpirun', [...flags, ...started], { reject: false, timeout: 100_000, stdin: 'ignore' });
}

/** The process of a rank on this machine. */
export function processOfRank(mpirunPid: number, rank: number): number {
  const children = readFileSync(`/proc/${mpirunPid}/task/${mpirunPid}/children`, 'utf8').trim().split(' ');
  const found = children.find((pid) =>
    readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`OMPI_COMM_WORLD_RANK=${rank}`),
  );
  if (found === undefined) throw new Error(`mpirun ${mpirunPid} has no process of rank ${rank}.`);
  return Number(found);
}

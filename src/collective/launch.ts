import { EngineError } from '../errors.ts';
import { type Collective, single } from './collective.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const count = (value: string | undefined): number => Number(value ?? 0) || 0;

/**
 * How many processes a launcher has started together, as its variables tell: 1 where none has.
 *
 * @throws EngineError `COLLECTIVE_NOT_OPEN_MPI` where they were started in a way in which Open MPI does not learn of the
 *   others: each would train alone, in the same run folder
 */
export function launchedRanks(environment: Environment): number {
  const { OMPI_COMM_WORLD_SIZE, PMIX_RANK, PMI_SIZE, SLURM_STEP_NUM_TASKS } = environment;
  if (OMPI_COMM_WORLD_SIZE !== undefined) return count(OMPI_COMM_WORLD_SIZE);
  // In a batch script that calls the program without srun, this counts the script's own step: one task.
  const tasks = count(SLURM_STEP_NUM_TASKS);
  if (PMIX_RANK !== undefined) return Math.max(tasks, 1);
  if (count(PMI_SIZE) > 1 || tasks > 1) {
    throw new EngineError(
      'COLLECTIVE_NOT_OPEN_MPI',
      `${Math.max(count(PMI_SIZE), tasks)} processes were started together, but not in a way in which Open MPI connects them. Under Slurm use srun --mpi=pmix, elsewhere the mpirun of Open MPI; the launchers of MPICH and Intel MPI do not work.`,
    );
  }
  return 1;
}

/**
 * The processes that this one was started with: by Open MPI's mpirun or by srun --mpi=pmix. A process that was started
 * alone gets `single`, and loads nothing.
 *
 * @throws EngineError those of `launchedRanks` and `MpiCollective.open`
 */
export async function openCollective(
  environment: Environment,
  notify: (message: string) => void,
): Promise<Collective> {
  const size = launchedRanks(environment);
  if (size <= 1) return single;
  const { MpiCollective } = await import('./mpi.ts');
  return MpiCollective.open({ size, notify });
}

import { EngineError } from '../errors.ts';
import { type Koffi, loadKoffi } from '../native/koffi.ts';

type Argument = number | bigint | null | ArrayBufferView | number[];

/** The functions of Open MPI that are used. Handles are addresses. */
const signatures = {
  MPI_Init: 'int MPI_Init(void *argc, void *argv)',
  MPI_Finalize: 'int MPI_Finalize()',
  MPI_Abort: 'int MPI_Abort(void *comm, int errorcode)',
  MPI_Comm_rank: 'int MPI_Comm_rank(void *comm, _Out_ int *rank)',
  MPI_Comm_size: 'int MPI_Comm_size(void *comm, _Out_ int *size)',
  MPI_Iprobe: 'int MPI_Iprobe(int source, int tag, void *comm, _Out_ int *flag, void *status)',
  MPI_Send: 'int MPI_Send(void *buf, int count, void *type, int dest, int tag, void *comm)',
  MPI_Recv: 'int MPI_Recv(void *buf, int count, void *type, int source, int tag, void *comm, void *status)',
  MPI_Reduce: 'int MPI_Reduce(void *send, void *recv, int count, void *type, void *op, int root, void *comm)',
  MPI_Bcast: 'int MPI_Bcast(void *buf, int count, void *type, int root, void *comm)',
} as const;

const handles = {
  world: 'ompi_mpi_comm_world',
  float: 'ompi_mpi_float',
  double: 'ompi_mpi_double',
  byte: 'ompi_mpi_byte',
  sum: 'ompi_mpi_op_sum',
} as const;

/** `MPI_IN_PLACE` of Open MPI. */
export const inPlace = 1n;

/** Open MPI 4 and 5 have the same number. */
const libraryNames =
  process.platform === 'darwin' ? ['libmpi.40.dylib', 'libmpi.dylib'] : ['libmpi.so.40', 'libmpi.so'];

/** Variable that names another library. */
export const libraryVariable = 'AFFECTGPT_MPI_LIBRARY';

/** Open MPI, called through koffi. */
export interface MpiLibrary {
  /** @throws EngineError `COLLECTIVE_CALL_FAILED` where a function returns an error, which Open MPI by itself does not let happen */
  call(name: keyof typeof signatures, ...args: readonly Argument[]): void;
  readonly handles: Readonly<Record<keyof typeof handles, bigint>>;
}

/**
 * @param names files to try, in this order
 * @throws EngineError `COLLECTIVE_PACKAGE_MISSING` without koffi, `COLLECTIVE_LIBRARY_MISSING`, and
 *   `COLLECTIVE_NOT_OPEN_MPI` for another MPI, whose handles are numbers of its own
 */
export function loadMpi(names: readonly string[] = namesFrom(process.env[libraryVariable])): MpiLibrary {
  const koffi = loadKoffi('Training in several processes calls Open MPI', 'COLLECTIVE_PACKAGE_MISSING');
  const failures: string[] = [];
  let library: ReturnType<Koffi['load']> | undefined;
  let loaded = '';
  for (const name of names) {
    try {
      // Open MPI loads its components itself, and they look for its symbols among the global ones.
      library = koffi.load(name, { global: true });
      loaded = name;
      break;
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message.replace(/\.$/, '') : error}`);
    }
  }
  if (library === undefined) {
    throw new EngineError(
      'COLLECTIVE_LIBRARY_MISSING',
      `Training in several processes needs the library of Open MPI 4 or 5 on every machine (Debian: apt-get install openmpi-bin; ${libraryVariable} names another file). It was not found: ${failures.join('; ')}.`,
    );
  }
  const found = library;
  try {
    const addresses = Object.entries(handles).map(([key, symbol]) => [
      key,
      koffi.address(found.symbol(symbol, 'void *')),
    ]);
    const functions = Object.fromEntries(
      Object.entries(signatures).map(([name, signature]) => [name, found.func(signature)]),
    );
    return {
      handles: Object.fromEntries(addresses),
      call: (name, ...args) => {
        const code = functions[name]!(...args) as number;
        if (code !== 0)
          throw new EngineError('COLLECTIVE_CALL_FAILED', `${name} returned the error ${code}.`);
      },
    };
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw new EngineError(
      'COLLECTIVE_NOT_OPEN_MPI',
      `${loaded} is not the library of Open MPI (${error instanceof Error ? error.message : error}). MPICH, Intel MPI and others do not work; install Open MPI (Debian: openmpi-bin) and start with its mpirun, or name its library with ${libraryVariable}.`,
      { cause: error },
    );
  }
}

const namesFrom = (variable: string | undefined): readonly string[] =>
  variable === undefined || variable === '' ? libraryNames : [variable];

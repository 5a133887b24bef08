import { readdir, readFile, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { set, type Workspace, writeWorkspace } from '../support/workspace.ts';
import { type Fault, ordersVariable, type TraceLine, type WatchOrders } from './fault.ts';
import { type Operation, parseOperation } from './operations.ts';

/** The program as it is now, compiled apart from everything, so that changes of the sources do not mix with a running matrix. */
export interface Program {
  readonly main: string;
  readonly preload: string;
  remove(): Promise<void>;
}

export async function buildProgram(): Promise<Program> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  // Below the repository, so that packages are found.
  const folder = join(root, '.cache', `faults-${process.pid}-${Date.now()}`);
  await execa('tsc', ['-p', join(root, 'test', 'faults', 'tsconfig.program.json'), '--outDir', folder], {
    preferLocal: true,
    localDir: root,
  });
  return {
    main: join(folder, 'src', 'cli', 'main.js'),
    preload: join(folder, 'test', 'faults', 'preload.js'),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A workspace whose clips have always the same time, which their features are named by. */
export async function writeSteadyWorkspace(folder: string): Promise<Workspace> {
  const workspace = await writeWorkspace(folder);
  const clips = await readdir(workspace.path('clips'), { recursive: true });
  const time = new Date('2025-01-01T00:00:00Z');
  for (const name of clips) await utimes(workspace.path('clips', name), time, time);
  return workspace;
}

/** Where a training runs: everything it writes lies in `home`, what is recorded of it beside that. */
export interface Place {
  readonly folder: string;
  readonly home: string;
  readonly runFolder: string;
  readonly cache: string;
}

export const placeIn = (folder: string): Place => {
  const home = join(folder, 'home');
  return { folder, home, runFolder: join(home, 'run'), cache: join(home, 'features') };
};

/** What became of one process. */
export interface Life {
  readonly signal: string | undefined;
  readonly exitCode: number | undefined;
  readonly stderr: string;
  readonly trace: readonly TraceLine[];
  readonly operations: readonly Operation[];
}

/** The part of a file of lines that was written completely. */
async function lines(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1);
}

export interface LifeOptions {
  readonly program: Program;
  readonly config: string;
  readonly place: Place;
  /** Of this place; names its files. */
  readonly number: number;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly fault?: Fault | undefined;
  readonly recordOperations?: boolean;
}

/** Longer than any training here takes, by far. */
const timeLimit = 120_000;

/** Trains in a process of its own, which goes on from what it finds, until it is done or dies. */
export async function live(options: LifeOptions): Promise<Life> {
  const { program, config, place, number, settings, fault, recordOperations } = options;
  const trace = join(place.folder, `trace-${number}.jsonl`);
  const operations = join(place.folder, `operations-${number}.jsonl`);
  const orders: WatchOrders = {
    folder: place.home,
    trace,
    ...(recordOperations && { operations }),
    ...(fault && { fault }),
  };
  const own = { ...settings, output: place.runFolder, 'data.featureCache': place.cache };
  const argv = [program.main, 'train', '--config', config, '--resume', 'auto', ...set(own)];
  const child = await execa(process.execPath, ['--import', program.preload, ...argv], {
    env: { [ordersVariable]: JSON.stringify(orders) },
    reject: false,
    stdin: 'ignore',
    timeout: timeLimit,
    // A process that hangs is ended in another way than by a fault.
    killSignal: 'SIGABRT',
  });
  return {
    signal: child.signal,
    exitCode: child.exitCode,
    stderr: child.stderr,
    trace: (await lines(trace)).map((line) => JSON.parse(line) as TraceLine),
    operations: (await lines(operations)).map(parseOperation),
  };
}

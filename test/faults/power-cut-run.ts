import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { InputError } from '../../src/errors.ts';
import { isUnfinishedName } from '../../src/io/atomic.ts';
import { checkpointsFolder, findResumable } from '../../train/checkpoint-folders.ts';
import { cutMetrics, metricsName } from '../../train/metrics.ts';
import { checkCheckpointFiles } from './checkpoint-whole.ts';
import type { Place } from './lives.ts';
import { type Operation, operationName } from './operations.ts';
import { DiskModel, replayLog } from './power-cut.ts';

/** What power cuts during a run may do to it. */
export interface PowerCuts {
  /** Moments at which the power is cut: before, between and after all operations. */
  readonly moments: number;
  /** Different disks that may be left, each looked at. */
  readonly disks: number;
  /** The last checkpoint that the run said it saved. */
  readonly said: number;
  readonly faults: readonly string[];
}

/** Checkpoints that a run has said it saved, once so many operations are done. */
function saidBefore(operations: readonly Operation[], runFolder: string): number[] {
  let said = 0;
  const before = operations.map((operation) => {
    // What is written to the log was shown before.
    if (operation.kind === 'write' && operation.path === join(runFolder, 'log.txt')) {
      const step = /Saved .*step-(\d+)\.\n/.exec(operation.data.toString())?.[1];
      if (step !== undefined) said = Number(step);
    }
    return said;
  });
  return [...before, said];
}

type Files = ReadonlyMap<string, Buffer | null>;

/** Writes what is below `from` into an empty folder. */
async function materialise(folder: string, from: string, files: Files): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [path, content] of files) {
    if (!path.startsWith(from + sep)) continue;
    const target = join(folder, relative(from, path));
    if (content === null) await mkdir(target, { recursive: true });
    else {
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, content);
    }
  }
}

/** Looks at visible checkpoints, at each content of one once: most power cuts leave those that were there before. */
class CheckpointChecks {
  readonly #folder: string;
  readonly #known = new Map<string, Promise<string | undefined>>();
  readonly #ids = new Map<Buffer, number>();

  /** @param folder for one checkpoint after another */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async faults(checkpoints: string, files: Files): Promise<string[]> {
    const found: string[] = [];
    for (const path of files.keys()) {
      const name = basename(path);
      if (dirname(path) !== checkpoints || !name.startsWith('step-')) continue;
      const fault = await this.#check(path, files);
      if (fault !== undefined) found.push(`${name} is visible and not whole: ${fault}`);
    }
    return found;
  }

  #check(path: string, files: Files): Promise<string | undefined> {
    const inner = [...files].filter(([file]) => file.startsWith(path + sep));
    const key = inner.map(([file, content]) => `${file} ${content && this.#id(content)}`).join('\n');
    const known = this.#known.get(key) ?? this.#look(path, files);
    this.#known.set(key, known);
    return known;
  }

  #id(content: Buffer): number {
    const id = this.#ids.get(content) ?? this.#ids.size;
    this.#ids.set(content, id);
    return id;
  }

  async #look(path: string, files: Files): Promise<string | undefined> {
    await materialise(this.#folder, path, files);
    return checkCheckpointFiles(this.#folder);
  }
}

/** What is wrong with how a run goes on. */
async function checkGoingOn(runFolder: string, said: number): Promise<string[]> {
  const found: string[] = [];
  try {
    const resumable = await findResumable(runFolder);
    const step = resumable?.step ?? 0;
    if (step < said)
      found.push(`step ${said} was said to be saved, and ${step} is what the run goes on from`);
    const metrics = await cutMetrics(join(runFolder, metricsName), step);
    const steps = metrics.map((line) => line.step);
    if (steps.join() !== Array.from({ length: step }, (_, i) => i + 1).join())
      found.push(`the checkpoint is of step ${step}, metrics are of steps ${steps.join(', ') || 'none'}`);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    found.push(`cannot go on: ${error.code}`);
  }
  return found;
}

/** Whether an operation is inside of what no reader looks at yet, so that it changes nothing for them. */
const isHidden = ({ kind, path }: Operation): boolean =>
  kind !== 'rename' && kind !== 'remove' && path.split(sep).some(isUnfinishedName);

/** Whether the log tells of everything that was written; else the checks would mean nothing. */
async function unseen(operations: readonly Operation[], { home }: Place): Promise<string[]> {
  const expected = replayLog(home, operations);
  const found: string[] = [];
  const entries = await readdir(home, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((one) => one.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const content = expected.get(path);
    if (content?.equals(await readFile(path)) !== true) found.push(`${path} was written unseen`);
    expected.delete(path);
  }
  for (const [path, content] of expected) if (content !== null) found.push(`${path} was removed unseen`);
  return found;
}

/**
 * Cuts the power at every moment of a recorded run and looks at every disk that may be left: each visible checkpoint is
 * whole, the run can go on, nothing that was said to be saved is lost, and metrics are there up to the checkpoint. The
 * feature cache is left out: what is damaged in it is computed again.
 *
 * @param folder for the disks, one after another
 */
export async function checkPowerCuts(
  operations: readonly Operation[],
  place: Place,
  folder: string,
): Promise<PowerCuts> {
  const faults = await unseen(operations, place);
  const ofRun = operations.filter(({ path }) => !path.startsWith(place.cache));
  const said = saidBefore(ofRun, place.runFolder);
  const disk = new DiskModel(place.home);
  const seen = new Set<string>();
  const checks = new CheckpointChecks(join(folder, 'checkpoint'));
  const checkpoints = checkpointsFolder(place.runFolder);
  const copy = join(folder, 'run');
  let disks = 0;
  let before = -1;
  for (let moment = 0; moment <= ofRun.length; moment++) {
    if (moment > 0) disk.apply(ofRun[moment - 1]!);
    // A disk that was good enough may not be any more when more was said to be saved.
    if (said[moment] !== before) seen.clear();
    before = said[moment]!;
    if (moment > 0 && isHidden(ofRun[moment - 1]!)) continue;
    for (const survivor of disk.survivors(seen)) {
      disks++;
      const { files } = survivor;
      // Checkpoints are looked at apart; here their names will do.
      const small = [...files].filter(([path, content]) => content === null || !path.includes(`${sep}step-`));
      await materialise(copy, place.runFolder, new Map(small));
      const found = [...(await checks.faults(checkpoints, files)), ...(await checkGoingOn(copy, before))];
      for (const fault of found) {
        const after = moment === 0 ? 'the begin' : operationName(place.home, ofRun[moment - 1]!);
        faults.push(`power cut after ${after} (${survivor.fate}): ${fault.replaceAll(folder, '')}`);
      }
    }
  }
  await rm(folder, { recursive: true, force: true });
  return { moments: ofRun.length + 1, disks, said: before, faults };
}

/** Faults that are printed; more of them say the same. */
const faultsShown = 20;

export function formatPowerCuts({ moments, disks, faults }: PowerCuts): string {
  const head = `Power cuts: ${moments} moments of the uninterrupted run, ${disks} different disks that may be left; `;
  if (faults.length === 0)
    return `${head}from each the run goes on, with all that was said to be saved, and no visible checkpoint is damaged.`;
  const shown = faults.slice(0, faultsShown).map((fault) => `- ${fault}`);
  return `${head}${faults.length} faults:\n\n${shown.join('\n')}`;
}

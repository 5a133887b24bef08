import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { OutputStream } from '../../train/progress.ts';
import { packageVersion } from '../config/package-folder.ts';
import { makeFolder, writeFileAtomic } from '../io/atomic.ts';
import { sha256File } from '../io/checksum.ts';
import { readText } from '../io/filesystem.ts';
import { isJsonObject } from '../io/json.ts';

/** What `made.json` says of a part. */
interface NotedPart {
  /** What it was made with, as JSON. */
  readonly settings: string;
  /** SHA-256 by path below the quickstart's folder. */
  readonly files: Readonly<Record<string, string>>;
}

/** A part that can be made by itself. */
export interface Part {
  /** For people, and the key in `made.json`. */
  readonly name: string;
  /** Everything that decides what it becomes, beside the version of this program. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Files and folders that are its own, below the quickstart's folder. */
  readonly places: readonly string[];
}

/** Name of the file, in the quickstart's folder, that tells how its parts were made. */
export const partsFile = 'made.json';

async function readNoted(folder: string): Promise<Record<string, NotedPart>> {
  try {
    const noted: unknown = JSON.parse(await readText(join(folder, partsFile)));
    return isJsonObject(noted) ? (noted as Record<string, NotedPart>) : {};
  } catch {
    // Absent, or torn: then nothing is known of what lies there.
    return {};
  }
}

/** Files at a place, below `folder`. */
async function filesAt(folder: string, place: string): Promise<string[]> {
  if ((await stat(join(folder, place))).isFile()) return [place];
  const entries = await readdir(join(folder, place), { withFileTypes: true });
  const files = await Promise.all(entries.map((entry) => filesAt(folder, join(place, entry.name))));
  return files.flat();
}

/** The parts in a quickstart's folder: those that are whole and were made the same way stay, others are made. */
export class KeptParts {
  readonly #folder: string;
  readonly #stream: OutputStream;
  readonly #noted: Record<string, NotedPart>;
  readonly #beforeChange: () => Promise<void>;
  #changed = false;

  private constructor(
    folder: string,
    stream: OutputStream,
    noted: Record<string, NotedPart>,
    beforeChange: () => Promise<void>,
  ) {
    this.#folder = folder;
    this.#stream = stream;
    this.#noted = noted;
    this.#beforeChange = beforeChange;
  }

  /** @param beforeChange called once, before the first part that is made */
  static async open(
    folder: string,
    stream: OutputStream,
    beforeChange: () => Promise<void>,
  ): Promise<KeptParts> {
    return new KeptParts(folder, stream, await readNoted(folder), beforeChange);
  }

  /** Makes a part unless it is there; what was at its places is removed before. */
  async make({ name, settings, places }: Part, work: () => Promise<void>): Promise<void> {
    const wanted = JSON.stringify({ program: packageVersion(), ...settings });
    const fault = await this.#faultOf(name, wanted);
    if (fault === undefined) {
      this.#stream.write(`Kept: ${name}, which is whole and was made with the same settings.\n`);
      return;
    }
    if (!this.#changed) await this.#beforeChange();
    this.#changed = true;
    if (fault !== '') this.#stream.write(`Made again: ${name}; ${fault}.\n`);
    delete this.#noted[name];
    await makeFolder(this.#folder);
    await this.#write();
    for (const place of places) await rm(join(this.#folder, place), { recursive: true, force: true });
    await work();
    const files = (await Promise.all(places.map((place) => filesAt(this.#folder, place)))).flat().toSorted();
    const sums: Record<string, string> = {};
    for (const file of files) sums[file] = await sha256File(join(this.#folder, file));
    this.#noted[name] = { settings: wanted, files: sums };
    await this.#write();
  }

  /** Why a part cannot stay; empty where there is none yet. */
  async #faultOf(name: string, wanted: string): Promise<string | undefined> {
    const noted = this.#noted[name];
    if (noted === undefined) return '';
    if (noted.settings !== wanted) return 'it was made with other settings';
    for (const [file, sum] of Object.entries(noted.files)) {
      const found = await sha256File(join(this.#folder, file)).catch(() => undefined);
      if (found !== sum) return `${file} ${found === undefined ? 'is missing' : 'has changed'}`;
    }
    return undefined;
  }

  async #write(): Promise<void> {
    await writeFileAtomic(join(this.#folder, partsFile), `${JSON.stringify(this.#noted, null, 2)}\n`);
  }
}

import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { ClipLayout } from '../clip-layouts.ts';
import type { SampleRecord } from '../records.ts';
import { type DataFinding, findingOf } from './findings.ts';

/** Files that a sample may have. */
export const mediaKinds = ['video', 'audio', 'face'] as const;
export type MediaKind = (typeof mediaKinds)[number];

/** Where a file of a clip may be, below the folder of the layout. */
const candidates = (layout: ClipLayout, kind: MediaKind, name: string): readonly [string, ...string[]] =>
  kind === 'video' ? layout.videos(name) : [layout[kind](name)];

interface FoundFile {
  readonly kind: MediaKind;
  /** Below the folder: the file that is there, else the first that could be. */
  readonly file: string;
  readonly state: 'there' | 'missing' | 'empty';
}

async function findFile(
  layout: ClipLayout,
  folder: string,
  kind: MediaKind,
  name: string,
): Promise<FoundFile> {
  const files = candidates(layout, kind, name);
  for (const file of files) {
    const status = await stat(path.join(folder, file)).catch(() => undefined);
    if (status?.isFile()) return { kind, file, state: status.size === 0 ? 'empty' : 'there' };
  }
  return { kind, file: files[0], state: 'missing' };
}

/** Names looked after at a time. */
const namesAtOnce = 32;

/**
 * The files of each clip, as columns of its record: those that are there, and where they should be those that are not.
 *
 * @param folder that of the layout
 * @returns in the order of the names
 */
export async function findClipFiles(
  layout: ClipLayout,
  folder: string,
  names: readonly string[],
  kinds: readonly MediaKind[] = mediaKinds,
): Promise<{ readonly columns: Pick<SampleRecord, MediaKind>; readonly files: readonly FoundFile[] }[]> {
  const clips: { columns: Pick<SampleRecord, MediaKind>; files: FoundFile[] }[] = [];
  for (let begin = 0; begin < names.length; begin += namesAtOnce) {
    const looked = names.slice(begin, begin + namesAtOnce).map(async (name) => {
      const files = await Promise.all(kinds.map((kind) => findFile(layout, folder, kind, name)));
      const columns = files.map(({ kind, file }) => [kind, path.join(folder, file)] as const);
      return { columns: Object.fromEntries(columns), files };
    });
    clips.push(...(await Promise.all(looked)));
  }
  return clips;
}

/** What is wrong with the files of clips. */
export function clipFindings(
  clips: readonly { readonly files: readonly FoundFile[] }[],
  kinds: readonly MediaKind[],
): DataFinding[] {
  return kinds.flatMap((kind) =>
    (['missing', 'empty'] as const).flatMap((state) => {
      const faults = clips.flatMap(({ files }) =>
        files.filter((file) => file.kind === kind && file.state === state),
      );
      return findingOf(
        kind,
        state,
        faults.map(({ file }) => file),
        true,
      );
    }),
  );
}

/** The folder that holds files of a kind, and the entry of it that a file is in or is. */
function placeOf(layout: ClipLayout, kind: MediaKind, name: string): { parent: string; entries: string[] } {
  const files = candidates(layout, kind, name).map((file) => file.split(path.sep));
  return { parent: files[0]![0]!, entries: files.map(([, entry]) => entry!) };
}

/** The folders of a layout that hold files of these kinds, as far as they are not there. */
export async function folderFindings(
  layout: ClipLayout,
  folder: string,
  kinds: readonly MediaKind[],
): Promise<DataFinding[]> {
  const missing: string[] = [];
  for (const kind of kinds) {
    const { parent } = placeOf(layout, kind, '');
    const status = await stat(path.join(folder, parent)).catch(() => undefined);
    if (!status?.isDirectory()) missing.push(parent);
  }
  return findingOf('folder', 'missing', missing, true);
}

/**
 * Files in the folders of a layout that belong to no known name. Hidden ones do not count.
 *
 * @param known names that files may have
 */
export async function orphanFindings(
  layout: ClipLayout,
  folder: string,
  known: ReadonlySet<string>,
  kinds: readonly MediaKind[],
): Promise<DataFinding[]> {
  const findings: DataFinding[] = [];
  for (const kind of kinds) {
    const { parent } = placeOf(layout, kind, '');
    const owned = new Set(Array.from(known, (name) => placeOf(layout, kind, name).entries).flat());
    const entries = await readdir(path.join(folder, parent)).catch((): string[] => []);
    const orphans = entries.filter((entry) => !entry.startsWith('.') && !owned.has(entry)).sort();
    findings.push(
      ...findingOf(
        kind,
        'orphan',
        orphans.map((entry) => path.join(parent, entry)),
        false,
      ),
    );
  }
  return findings;
}

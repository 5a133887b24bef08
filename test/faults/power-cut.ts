import { basename, dirname, join } from 'node:path';
import { isUnfinishedName } from '../../src/io/atomic.ts';
import type { Operation } from './operations.ts';

/**
 * What a disk may hold after a power cut, by the little that POSIX promises: the content of a file is there as of its
 * last fsync, the names in a folder as of the folder's last fsync. Of what came later any part may be there and any
 * other not: a name without its content, a later rename without an earlier one, a removal inside a folder that has not
 * got its new name yet. File systems in use promise more, each of them something else.
 */
interface FileNode {
  readonly kind: 'file';
  readonly id: number;
  content: Buffer;
  synced: Buffer;
  /** Changes with `content` and `synced`, so that states are told apart cheaply. */
  version: number;
}

interface FolderNode {
  readonly kind: 'folder';
  readonly id: number;
  readonly entries: Map<string, Node>;
  synced: Map<string, Node>;
}

type Node = FileNode | FolderNode;

/** A change of the names in a folder that nobody made durable yet. */
interface PendingChange {
  readonly folder: FolderNode;
  readonly removed: readonly string[];
  readonly added: readonly (readonly [string, Node])[];
}

/** What becomes of the bytes of a file that were not made durable. */
const dataFates = ['all', 'none', 'half', 'zeros', 'zeros first'] as const;
export type DataFate = (typeof dataFates)[number];

function survivingBytes({ content, synced }: FileNode, fate: DataFate): Buffer {
  if (fate === 'all') return content;
  if (fate === 'none') return synced;
  const common = Math.min(synced.length, content.length);
  // Up to here the file is as it was made durable.
  const same = synced.subarray(0, common).equals(content.subarray(0, common)) ? common : 0;
  const half = same + ((content.length - same) >> 1);
  if (fate === 'half') return content.subarray(0, half);
  const bytes = Buffer.from(content);
  return bytes.fill(0, same, fate === 'zeros' ? bytes.length : half);
}

/** A disk that may have survived: contents of files by path, `null` for folders. */
export interface SurvivingDisk {
  readonly files: ReadonlyMap<string, Buffer | null>;
  /** For messages: which of the pending changes were lost and what became of data. */
  readonly fate: string;
}

/** Subsets of pending changes: all of them where there are few, else those that are likeliest to show a fault. */
function subsets(count: number): boolean[][] {
  const pick = (test: (i: number) => boolean) => Array.from({ length: count }, (_, i) => test(i));
  if (count <= 5)
    return Array.from({ length: 2 ** count }, (_, bits) => pick((i) => ((bits >> i) & 1) === 1));
  const found = [pick(() => true), pick(() => false)];
  for (let k = 0; k < count; k++) {
    found.push(
      pick((i) => i === k),
      pick((i) => i !== k),
      pick((i) => i <= k),
    );
  }
  return found;
}

/** A folder tree in memory that remembers what of it is durable. */
export class DiskModel {
  #nextId = 0;
  readonly #root: FolderNode;
  readonly #rootPath: string;
  #pending: PendingChange[] = [];

  /** @param path of a folder that is there, empty, and stays */
  constructor(path: string) {
    this.#rootPath = path;
    this.#root = this.#folder();
  }

  #folder(): FolderNode {
    return { kind: 'folder', id: this.#nextId++, entries: new Map(), synced: new Map() };
  }

  #find(path: string): Node | undefined {
    if (path === this.#rootPath) return this.#root;
    const parent = this.#find(dirname(path));
    return parent?.kind === 'folder' ? parent.entries.get(basename(path)) : undefined;
  }

  #get<Kind extends Node['kind']>(path: string, kind: Kind): Extract<Node, { kind: Kind }> {
    const node = this.#find(path);
    if (node?.kind !== kind) throw new Error(`The log of operations has no ${kind} ${path}.`);
    return node as Extract<Node, { kind: Kind }>;
  }

  #change(folder: FolderNode, removed: readonly string[], added: readonly (readonly [string, Node])[]) {
    this.#pending.push({ folder, removed, added });
    apply(folder.entries, { folder, removed, added });
  }

  /** Folders that are there, or may be again after a power cut. */
  #reachable(): Set<FolderNode> {
    const found = new Set<FolderNode>([this.#root]);
    for (const folder of found) {
      const pending = this.#pending
        .filter((change) => change.folder === folder)
        .flatMap(({ added }) => added);
      for (const [, node] of [...folder.entries, ...folder.synced, ...pending]) {
        if (node.kind === 'folder') found.add(node);
      }
    }
    return found;
  }

  /** With the parents that it lacks. */
  #makeFolder(path: string): FolderNode {
    const found = this.#find(path);
    if (found?.kind === 'folder') return found;
    const folder = this.#folder();
    this.#change(this.#makeFolder(dirname(path)), [], [[basename(path), folder]]);
    return folder;
  }

  #remove(parent: FolderNode, name: string): void {
    const node = parent.entries.get(name);
    if (node?.kind === 'folder') for (const inner of [...node.entries.keys()]) this.#remove(node, inner);
    this.#change(parent, [name], []);
  }

  #edit(path: string, content: (before: Buffer) => Buffer): void {
    const file = this.#get(path, 'file');
    file.content = content(file.content);
    file.version++;
  }

  /** Does what an operation of a log did. */
  apply(operation: Operation): void {
    const { path } = operation;
    const parent = () => this.#get(dirname(path), 'folder');
    switch (operation.kind) {
      case 'mkdir':
        this.#makeFolder(path);
        break;
      case 'create':
        if (this.#find(path) !== undefined) this.#edit(path, () => Buffer.alloc(0));
        else {
          const empty = Buffer.alloc(0);
          const file: FileNode = {
            kind: 'file',
            id: this.#nextId++,
            content: empty,
            synced: empty,
            version: 0,
          };
          this.#change(parent(), [], [[basename(path), file]]);
        }
        break;
      case 'write':
        this.#edit(path, (before) => {
          const after = Buffer.alloc(Math.max(before.length, operation.at + operation.data.length));
          before.copy(after);
          operation.data.copy(after, operation.at);
          return after;
        });
        break;
      case 'truncate':
        this.#edit(path, (before) =>
          Buffer.concat([before, Buffer.alloc(Math.max(0, operation.size - before.length))]).subarray(
            0,
            operation.size,
          ),
        );
        break;
      case 'sync': {
        const node = this.#find(path);
        if (node?.kind === 'file') {
          node.synced = node.content;
          node.version++;
        } else if (node?.kind === 'folder') {
          node.synced = new Map(node.entries);
          const reachable = this.#reachable();
          this.#pending = this.#pending.filter(({ folder }) => folder !== node && reachable.has(folder));
        }
        break;
      }
      case 'rename': {
        if (dirname(operation.to) !== dirname(path)) throw new Error(`${path} is renamed to another folder.`);
        const node = parent().entries.get(basename(path));
        if (node === undefined) throw new Error(`The log of operations has no ${path}.`);
        this.#change(parent(), [basename(path)], [[basename(operation.to), node]]);
        break;
      }
      case 'remove':
        this.#remove(parent(), basename(path));
        break;
    }
  }

  /** What is there as long as the power is on. */
  live(): Map<string, Buffer | null> {
    return bytesOf(this.#list((folder) => folder.entries, 'all', true).nodes, 'all');
  }

  /** Everything that may be there after a power cut now. Unfinished files are left out: no reader looks at them. */
  *survivors(known: Set<string>): Generator<SurvivingDisk> {
    const pending = this.#pending;
    for (const chosen of subsets(pending.length)) {
      const entries = new Map<FolderNode, Map<string, Node>>();
      const of = (folder: FolderNode) => {
        const survived = entries.get(folder) ?? new Map(folder.synced);
        entries.set(folder, survived);
        return survived;
      };
      for (const [i, change] of pending.entries()) if (chosen[i]) apply(of(change.folder), change);
      for (const fate of dataFates) {
        const { nodes, signature, isPartial } = this.#list(of, fate, false);
        if (!known.has(signature)) {
          known.add(signature);
          const files = bytesOf(nodes, fate);
          const lost = pending.filter((_, i) => !chosen[i]).map(describe);
          const names = lost.length === 0 ? 'all names' : `without ${lost.join(', ')}`;
          yield { files, fate: isPartial ? `${names}; of unsynced bytes: ${fate}` : names };
        }
        // Every other fate gives the same.
        if (!isPartial) break;
      }
    }
  }

  #list(entriesOf: (folder: FolderNode) => ReadonlyMap<string, Node>, fate: DataFate, unfinished: boolean) {
    const nodes = new Map<string, Node>();
    const signature: string[] = [];
    let isPartial = false;
    const walk = (folder: FolderNode, path: string): void => {
      for (const [name, node] of entriesOf(folder)) {
        if (!unfinished && isUnfinishedName(name)) continue;
        const inner = join(path, name);
        nodes.set(inner, node);
        if (node.kind === 'folder') {
          signature.push(`${inner}/`);
          walk(node, inner);
          continue;
        }
        const isSynced = node.synced === node.content;
        isPartial ||= !isSynced;
        signature.push(`${inner} ${node.id} ${node.version} ${isSynced ? 'synced' : fate}`);
      }
    };
    walk(this.#root, this.#rootPath);
    return { nodes, signature: signature.sort().join('\n'), isPartial };
  }
}

const bytesOf = (nodes: ReadonlyMap<string, Node>, fate: DataFate): Map<string, Buffer | null> =>
  new Map([...nodes].map(([path, node]) => [path, node.kind === 'file' ? survivingBytes(node, fate) : null]));

function apply(entries: Map<string, Node>, { removed, added }: PendingChange): void {
  for (const name of removed) entries.delete(name);
  for (const [name, node] of added) entries.set(name, node);
}

const describe = ({ removed, added }: PendingChange): string =>
  [...removed.map((name) => `-${name}`), ...added.map(([name]) => `+${name}`)].join(' ');

/** The tree that a log of operations leads to, to be compared with the real one. */
export function replayLog(folder: string, operations: readonly Operation[]): Map<string, Buffer | null> {
  const disk = new DiskModel(folder);
  for (const operation of operations) disk.apply(operation);
  return disk.live();
}

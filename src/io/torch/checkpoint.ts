import { InputError } from '../../errors.ts';
import { readInto, withFile } from '../filesystem.ts';
import { type PickleValue, unpickle } from '../pickle.ts';
import { withZip, type ZipArchive } from '../zip.ts';
import { maxPickleBytes, StorageCollector, torchKind } from './kind.ts';
import { isLegacyStart, readLegacy } from './legacy.ts';

/** A checked file of `torch.save`. No tensor has been read: they are described and stay in the file. */
export interface TorchCheckpoint {
  readonly path: string;
  /** `legacy`: written before torch 1.6, or with `_use_new_zipfile_serialization=False`. */
  readonly format: 'zip' | 'legacy';
  /** What was saved; tensors in it are `TorchTensor`. */
  readonly content: PickleValue;
}

function unknownFormat(path: string, what: string): InputError {
  return new InputError(
    'TORCH_UNKNOWN_FORMAT',
    `${path} is not a checkpoint as torch.save writes it: ${what} It may be damaged or not completely downloaded; get it again.`,
  );
}

/** The folder in the archive that holds everything: named after the file it was first saved as. */
function archiveRoot({ path, entries }: ZipArchive): string {
  const roots = [...entries.keys()].flatMap((name) => /^([^/]+)\/data\.pkl$/.exec(name)?.[1] ?? []);
  if (roots.length !== 1) {
    throw unknownFormat(path, `the zip archive holds ${roots.length} instead of one "…/data.pkl".`);
  }
  const root = roots[0]!;
  if (entries.has(`${root}/constants.pkl`)) {
    throw new InputError(
      'TORCH_SCRIPT',
      `${path} is a TorchScript program, not a state dict. Save the weights alone with Python: torch.save(torch.jit.load(FILE).state_dict(), NEW).`,
    );
  }
  return root;
}

async function readArchive(archive: ZipArchive): Promise<PickleValue> {
  const { path, entries } = archive;
  const root = archiveRoot(archive);
  const order = entries.get(`${root}/byteorder`);
  // Files of torch before 2.1 do not say it; big-endian ones can hardly be told, nor met.
  if (order !== undefined && (await archive.read(order, 64)).toString('latin1') !== 'little') {
    throw new InputError(
      'TORCH_BYTE_ORDER',
      `${path} was written on a big-endian machine, which is not supported. Load and save it on another one.`,
    );
  }
  const pickle = await archive.read(entries.get(`${root}/data.pkl`)!, maxPickleBytes);
  const collector = new StorageCollector();
  const { value } = unpickle(pickle, {
    kind: torchKind,
    where: `${path}, data.pkl`,
    persistentLoad: collector.load,
  });
  for (const storage of collector.storages.values()) {
    const entry = entries.get(`${root}/data/${storage.key}`);
    if (entry === undefined || entry.size !== storage.bytes) {
      const found = entry === undefined ? 'is not there' : `has ${entry.size}`;
      throw new InputError(
        'TORCH_BAD_STORAGE',
        `${path} is damaged: storage "${storage.key.slice(0, 60)}" of ${storage.bytes} bytes ${found}. Get the file again.`,
      );
    }
    storage.begin = (await archive.locate(entry)).begin;
  }
  return value;
}

/**
 * Reads a file of `torch.save` (`.pt`, `.pth`, `.bin`): its structure through the restricted unpickler, and where every
 * tensor lies. Nothing in the file is run.
 *
 * @throws InputError `TORCH_UNKNOWN_FORMAT`, `TORCH_SCRIPT`, `TORCH_BYTE_ORDER`, `TORCH_BAD_STORAGE`, `TORCH_LFS_POINTER`,
 *   those of `unpickle`, `withZip` and `fileError`
 */
export async function openTorchCheckpoint(path: string): Promise<TorchCheckpoint> {
  const start = await withFile(path, async (handle) => {
    const bytes = Buffer.alloc(16);
    return bytes.subarray(0, await readInto(handle, bytes, 0));
  });
  if (start.byteLength === 0) throw unknownFormat(path, 'it is empty.');
  if (start.toString('latin1', 0, 8) === 'version ') {
    throw new InputError(
      'TORCH_LFS_POINTER',
      `${path} is a Git LFS pointer, not the weights it stands for. Run "git lfs pull" in its repository, or download the file itself.`,
    );
  }
  if (start.toString('latin1', 0, 2) === 'PK') {
    return { path, format: 'zip', content: await withZip(path, readArchive) };
  }
  if (isLegacyStart(start)) return { path, format: 'legacy', content: await readLegacy(path) };
  throw unknownFormat(path, 'it is neither a zip archive nor a pickle.');
}

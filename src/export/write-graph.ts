import { join } from 'node:path';
import { encodeModel, type FileRange, type OnnxInitializer } from '../engine/onnxruntime/model-file.ts';
import { writeFileAtomic } from '../io/atomic.ts';
import type { ExportGraph, LazyBytes } from './graphs/model-graph.ts';

/** Tensors begin at multiples of this, so that they can be mapped into memory and read by wide instructions. */
const alignment = 64;
/** Smaller constants stay in the graph: shapes and axes, which a reader wants to know before it opens other files. */
const smallestExternal = 1024;

interface ExternalTensor {
  readonly offset: number;
  readonly data: Uint8Array | LazyBytes;
}

const lengthOf = (data: Uint8Array | LazyBytes): number =>
  data instanceof Uint8Array ? data.byteLength : data.bytes;

/** Tensor after tensor with the gaps between them; each is read when its turn comes. */
async function* pieces(tensors: readonly ExternalTensor[]): AsyncGenerator<Uint8Array> {
  let position = 0;
  for (const { offset, data } of tensors) {
    if (offset > position) yield new Uint8Array(offset - position);
    yield data instanceof Uint8Array ? data : await data.read();
    position = offset + lengthOf(data);
  }
}

/**
 * Writes `<name>.onnx`, and beside it `<name>.onnx.data` with its weights.
 *
 * @returns names of the files
 * @throws InputError `DISK_FULL` and others of `fileError`
 */
export async function writeGraph(folder: string, graph: ExportGraph, opset: number): Promise<string[]> {
  const file = `${graph.name}.onnx`;
  const location = `${file}.data`;
  const tensors: ExternalTensor[] = [];
  let end = 0;
  const initializers = graph.initializers.map((initializer): OnnxInitializer => {
    const { data } = initializer;
    const length = lengthOf(data);
    if (data instanceof Uint8Array && length < smallestExternal) return { ...initializer, data };
    const offset = Math.ceil(end / alignment) * alignment;
    end = offset + length;
    tensors.push({ offset, data });
    const range: FileRange = { location, offset, length };
    return { ...initializer, data: range };
  });
  if (tensors.length > 0) await writeFileAtomic(join(folder, location), pieces(tensors), end);
  await writeFileAtomic(join(folder, file), encodeModel({ ...graph, initializers }, opset));
  return tensors.length > 0 ? [file, location] : [file];
}

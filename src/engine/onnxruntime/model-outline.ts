import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { InputError } from '../../errors.ts';
import { fileError } from '../../io/filesystem.ts';

/** An input or output of an ONNX model. */
export interface OnnxValue {
  readonly name: string;
  /** As onnxruntime names it, e.g. `float32`. */
  readonly type: string;
  /** A string is a size that may differ from call to call; undefined where the file says nothing. */
  readonly shape: readonly (number | string)[] | undefined;
}

/** What an ONNX file says about itself, without its numbers. */
export interface OnnxOutline {
  readonly file: string;
  /** Those that have to be given: initializers, which older files list too, are left out. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Elements of all floating-point tensors stored in the model. */
  readonly parameterCount: number;
  /** Absolute paths of the files beside it that hold tensors, sorted. */
  readonly dataFiles: readonly string[];
}

/** Names of `TensorProto.DataType`, by number. */
const typeNames = [
  ...['undefined', 'float32', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool'],
  ...['float16', 'float64', 'uint32', 'uint64', 'complex64', 'complex128', 'bfloat16'],
];
const floatTypes = new Set(['float32', 'float16', 'float64', 'bfloat16']);

const windowBytes = 64 * 1024;
/** Graphs within graphs (branches, loops); a file that nests deeper is not one that an exporter wrote. */
const maxDepth = 64;

/** A field of a protobuf message: a number, or where its bytes lie. Fixed-width fields come as bytes. */
type Field = { readonly value: number } | { readonly begin: number; readonly end: number };

const isRange = (field: Field): field is Exclude<Field, { value: number }> => 'begin' in field;

class NotOnnx extends Error {}

/** Reads protobuf fields of a file in place; what is not asked for (weights) is skipped. */
class ProtobufFile {
  readonly size: number;
  readonly #descriptor: number;
  readonly #window = Buffer.alloc(windowBytes);
  #windowBegin = 0;
  #windowEnd = 0;
  #position = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
    this.size = fstatSync(descriptor).size;
  }

  /** Calls `visit` for every field of the message in a byte range. */
  fields(begin: number, end: number, visit: (number: number, field: Field) => void): void {
    for (let position = begin; position < end; ) {
      this.#position = position;
      const tag = this.#varint(end);
      const field = this.#field(tag % 8, end);
      position = isRange(field) ? field.end : this.#position;
      visit(Math.floor(tag / 8), field);
    }
  }

  #field(wireType: number, end: number): Field {
    if (wireType === 0) return { value: this.#varint(end) };
    const length = wireType === 2 ? this.#varint(end) : { 1: 8, 5: 4 }[wireType];
    const begin = this.#position;
    if (length === undefined || begin + length > end) throw new NotOnnx();
    return { begin, end: begin + length };
  }

  text(field: Field): string {
    if (!isRange(field) || field.end - field.begin > windowBytes) throw new NotOnnx();
    const bytes = Buffer.alloc(field.end - field.begin);
    readSync(this.#descriptor, bytes, 0, bytes.length, field.begin);
    return bytes.toString('utf8');
  }

  /** Integers of a repeated field, packed or not. */
  integers(field: Field): number[] {
    if (!isRange(field)) return [field.value];
    const values: number[] = [];
    for (this.#position = field.begin; this.#position < field.end; ) values.push(this.#varint(field.end));
    return values;
  }

  #varint(end: number): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#byte(end);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
      if (scale > 2 ** 70) throw new NotOnnx();
    }
  }

  #byte(end: number): number {
    if (this.#position >= end) throw new NotOnnx();
    if (this.#position < this.#windowBegin || this.#position >= this.#windowEnd) {
      const count = readSync(this.#descriptor, this.#window, 0, windowBytes, this.#position);
      if (count === 0) throw new NotOnnx();
      this.#windowBegin = this.#position;
      this.#windowEnd = this.#position + count;
    }
    return this.#window[this.#position++ - this.#windowBegin]!;
  }
}

/** Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
class OutlineReader {
  readonly inputs: OnnxValue[] = [];
  readonly outputs: OnnxValue[] = [];
  readonly initializers = new Set<string>();
  readonly locations = new Set<string>();
  parameterCount = 0;
  readonly #file: ProtobufFile;

  constructor(file: ProtobufFile) {
    this.#file = file;
  }

  model(): void {
    let graphs = 0;
    this.#file.fields(0, this.#file.size, (number, field) => {
      if (number !== 7) return;
      graphs++;
      this.#graph(field, 0);
    });
    if (graphs !== 1) throw new NotOnnx();
  }

  #each(field: Field, visit: (number: number, field: Field) => void): void {
    if (!isRange(field)) throw new NotOnnx();
    this.#file.fields(field.begin, field.end, visit);
  }

  #graph(graph: Field, depth: number): void {
    if (depth > maxDepth) throw new NotOnnx();
    this.#each(graph, (number, field) => {
      if (number === 1) this.#node(field, depth);
      else if (number === 5) this.initializers.add(this.#tensor(field));
      else if (number === 11 && depth === 0) this.inputs.push(this.#value(field));
      else if (number === 12 && depth === 0) this.outputs.push(this.#value(field));
    });
  }

  #node(node: Field, depth: number): void {
    this.#each(node, (number, attribute) => {
      if (number !== 5) return;
      this.#each(attribute, (kind, field) => {
        if (kind === 5 || kind === 10) this.#tensor(field);
        else if (kind === 6 || kind === 11) this.#graph(field, depth + 1);
      });
    });
  }

  /** Counts a stored tensor and returns its name. */
  #tensor(tensor: Field): string {
    let name = '';
    let type = 0;
    const dims: number[] = [];
    this.#each(tensor, (number, field) => {
      if (number === 1) dims.push(...this.#file.integers(field));
      else if (number === 2 && !isRange(field)) type = field.value;
      else if (number === 8) name = this.#file.text(field);
      else if (number === 13) this.#external(field);
    });
    if (floatTypes.has(typeNames[type] ?? '')) {
      this.parameterCount += dims.reduce((product, size) => product * size, 1);
    }
    return name;
  }

  #external(entry: Field): void {
    const texts: Record<number, string> = {};
    this.#each(entry, (number, field) => {
      texts[number] = this.#file.text(field);
    });
    if (texts[1] === 'location') this.locations.add(texts[2] ?? '');
  }

  #value(info: Field): OnnxValue {
    let name = '';
    let type = 'undefined';
    let shape: (number | string)[] | undefined;
    const dimension = (field: Field): void => {
      let size: number | string = '?';
      this.#each(field, (number, inner) => {
        if (number === 1 && !isRange(inner)) size = inner.value;
        else if (number === 2) size = this.#file.text(inner) || '?';
      });
      shape?.push(size);
    };
    this.#each(info, (number, field) => {
      if (number === 1) name = this.#file.text(field);
      if (number !== 2) return;
      this.#each(field, (kind, tensor) => {
        if (kind !== 1) return;
        this.#each(tensor, (part, inner) => {
          if (part === 1 && !isRange(inner)) type = typeNames[inner.value] ?? `type ${inner.value}`;
          if (part !== 2) return;
          shape = [];
          this.#each(inner, (_, one) => dimension(one));
        });
      });
    });
    return { name, type, shape };
  }
}

/** The path of external data. @throws InputError `ONNX_DATA_OUTSIDE` */
function dataFile(file: string, location: string): string {
  const folder = path.dirname(file);
  const target = path.resolve(folder, location);
  const relative = path.relative(folder, target);
  if (path.isAbsolute(location) || relative === '' || relative.split(path.sep)[0] === '..') {
    throw new InputError(
      'ONNX_DATA_OUTSIDE',
      `${file} keeps tensors in "${location}", which is no file in its own folder or below. Export it again with its data beside it.`,
    );
  }
  return target;
}

/**
 * Reads the inputs, outputs and stored tensors of an ONNX file. Weights are not read, so it is fast whatever the size.
 * @throws InputError `ONNX_INVALID`, `ONNX_DATA_OUTSIDE`, and those of `fileError`
 */
export function readOnnxOutline(file: string): OnnxOutline {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const reader = new OutlineReader(new ProtobufFile(descriptor));
    reader.model();
    return {
      file,
      inputs: reader.inputs.filter(({ name }) => !reader.initializers.has(name)),
      outputs: reader.outputs,
      parameterCount: reader.parameterCount,
      dataFiles: [...reader.locations].map((location) => dataFile(file, location)).sort(),
    };
  } catch (error) {
    if (!(error instanceof NotOnnx)) throw fileError(error, file, 'read');
    throw new InputError(
      'ONNX_INVALID',
      `${file} is no ONNX model, or is cut off. Export or download it again (a file of a few lines of text is a pointer of git-lfs: run "git lfs pull").`,
    );
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** A value as error messages show it: `pixel_values float32 [batch, 3, 224, 224]`. */
export const describeValue = ({ name, type, shape }: OnnxValue): string =>
  `${name} ${type} ${shape === undefined ? '(any shape)' : `[${shape.join(', ')}]`}`;

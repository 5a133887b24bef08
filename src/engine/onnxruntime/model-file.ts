import protobuf from 'protobufjs/minimal.js';
import type { DataType } from '../types.ts';

/**
 * The few messages of onnx.proto that a graph needs, written field by field.
 * Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
type Writer = protobuf.Writer;

export type OnnxType = DataType | 'uint8' | 'int8' | 'int64' | 'uint32' | 'float16' | 'float64' | 'bfloat16';
const elementTypes: Record<OnnxType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  bfloat16: 16,
};

export const onnxElementType = (type: OnnxType): number => elementTypes[type];

export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };

export interface OnnxNode {
  readonly op: string;
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

/** External data: where a file, named relative to the folder of the model, holds the bytes of a tensor. */
export interface FileRange {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** @typeParam Data little-endian bytes, or what stands for them */
export interface OnnxInitializer<Data = Uint8Array | FileRange> {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly data: Data;
}

export interface OnnxValueInfo {
  readonly name: string;
  readonly type: OnnxType;
  /** A string is a named dimension. */
  readonly shape: readonly (number | string)[];
}

export interface OnnxGraph<Data = Uint8Array | FileRange> {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer<Data>[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
}

const varint = (field: number) => (field << 3) | 0;
const fixed32 = (field: number) => (field << 3) | 5;
const bytes = (field: number) => (field << 3) | 2;

function message(writer: Writer, field: number, write: (inner: Writer) => void): void {
  writer.uint32(bytes(field)).fork();
  write(writer);
  writer.ldelim();
}

function text(writer: Writer, field: number, value: string): void {
  writer.uint32(bytes(field)).string(value);
}

function writeAttribute(writer: Writer, name: string, value: OnnxAttribute): void {
  text(writer, 1, name);
  if (typeof value === 'number') {
    writer.uint32(varint(3)).int64(value).uint32(varint(20)).int32(2);
  } else if (typeof value === 'string') {
    writer.uint32(bytes(4)).bytes(new TextEncoder().encode(value)).uint32(varint(20)).int32(3);
  } else if ('float' in value) {
    writer.uint32(fixed32(2)).float(value.float).uint32(varint(20)).int32(1);
  } else {
    for (const element of value) writer.uint32(varint(8)).int64(element);
    writer.uint32(varint(20)).int32(7);
  }
}

function writeNode(writer: Writer, node: OnnxNode, index: number): void {
  for (const input of node.inputs) text(writer, 1, input);
  for (const output of node.outputs) text(writer, 2, output);
  text(writer, 3, `${node.op}_${index}`);
  text(writer, 4, node.op);
  for (const [name, value] of Object.entries(node.attributes ?? {})) {
    message(writer, 5, (inner) => writeAttribute(inner, name, value));
  }
  if (node.domain !== undefined) text(writer, 7, node.domain);
}

function writeInitializer(writer: Writer, { name, type, shape, data }: OnnxInitializer): void {
  for (const size of shape) writer.uint32(varint(1)).int64(size);
  writer.uint32(varint(2)).int32(elementTypes[type]);
  text(writer, 8, name);
  if (data instanceof Uint8Array) {
    writer.uint32(bytes(9)).bytes(data);
    return;
  }
  const entries = { location: data.location, offset: String(data.offset), length: String(data.length) };
  for (const [key, value] of Object.entries(entries)) {
    message(writer, 13, (entry) => {
      text(entry, 1, key);
      text(entry, 2, value);
    });
  }
  const external = 1;
  writer.uint32(varint(14)).int32(external);
}

function writeValueInfo(writer: Writer, { name, type, shape }: OnnxValueInfo): void {
  text(writer, 1, name);
  message(writer, 2, (typeMessage) =>
    message(typeMessage, 1, (tensor) => {
      tensor.uint32(varint(1)).int32(elementTypes[type]);
      message(tensor, 2, (shapeMessage) => {
        for (const size of shape) {
          message(shapeMessage, 1, (dimension) => {
            if (typeof size === 'number') dimension.uint32(varint(1)).int64(size);
            else text(dimension, 2, size);
          });
        }
      });
    }),
  );
}

export const opset = 20;

/** Version 1 of each operator set besides ONNX's own that a graph uses, such as `com.microsoft`. */
export const contribDomains = ({ nodes }: Pick<OnnxGraph, 'nodes'>): Record<string, number> =>
  Object.fromEntries(nodes.flatMap(({ domain }) => (domain === undefined ? [] : [[domain, 1]])));

/** The bytes of an ONNX model. */
export function encodeModel(graph: OnnxGraph, opsetVersion = opset): Uint8Array {
  const writer = protobuf.Writer.create();
  const irVersion = 10;
  writer.uint32(varint(1)).int64(irVersion);
  text(writer, 2, 'affectgpt');
  message(writer, 7, (inner) => {
    graph.nodes.forEach((node, index) => {
      message(inner, 1, (nodeWriter) => writeNode(nodeWriter, node, index));
    });
    text(inner, 2, graph.name);
    for (const initializer of graph.initializers) {
      message(inner, 5, (tensor) => writeInitializer(tensor, initializer));
    }
    for (const input of graph.inputs) message(inner, 11, (info) => writeValueInfo(info, input));
    for (const output of graph.outputs) message(inner, 12, (info) => writeValueInfo(info, output));
  });
  for (const [domain, version] of Object.entries({ '': opsetVersion, ...contribDomains(graph) })) {
    message(writer, 8, (set) => {
      text(set, 1, domain);
      set.uint32(varint(2)).int64(version);
    });
  }
  return writer.finish();
}

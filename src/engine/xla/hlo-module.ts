import protobuf from 'protobufjs/minimal.js';

/** A tensor's type, or those of the elements of a tuple. */
export interface HloShape {
  /** Number of XLA's `PrimitiveType`. */
  readonly type: number;
  readonly dimensions: readonly number[];
  readonly elements: readonly HloShape[];
}

export interface HloInstruction {
  readonly id: number;
  readonly name: string;
  readonly opcode: string;
  readonly shape: HloShape;
  readonly operands: readonly number[];
  /** Ids of computations. */
  readonly calls: readonly number[];
  /** Of a parameter: its place among the arguments. */
  readonly parameter: number;
  /** Of a custom call. */
  readonly target: string;
  /** JSON that the compiler's back end notes, or nothing. */
  readonly backendConfig: string;
  /** Axes of a product that are summed over, of its left side. */
  readonly contracted: readonly number[];
}

export interface HloComputation {
  readonly id: number;
  readonly name: string;
  readonly root: number;
  readonly instructions: readonly HloInstruction[];
}

/** The parts of XLA's `HloModuleProto` that tell what runs and on which sizes. */
export interface HloModule {
  readonly entry: number;
  readonly computations: ReadonlyMap<number, HloComputation>;
}

type Reader = protobuf.Reader;

/** Calls `visit` for each field of a message; what it does not read has to be skipped by `skip`. */
function fields(reader: Reader, end: number, visit: (field: number, skip: () => void) => void): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    visit(tag >>> 3, () => void reader.skipType(tag & 7));
  }
}

/** The end of the embedded message that stands next. */
const messageEnd = (reader: Reader): number => reader.uint32() + reader.pos;

const integer = (reader: Reader): number => Number(reader.int64());

/** A repeated field of integers; XLA writes them packed. */
function integers(reader: Reader, into: number[]): void {
  const end = messageEnd(reader);
  while (reader.pos < end) into.push(integer(reader));
}

function readShape(reader: Reader, end: number): HloShape {
  let type = 0;
  const dimensions: number[] = [];
  const elements: HloShape[] = [];
  fields(reader, end, (field, skip) => {
    if (field === 2) type = reader.uint32();
    else if (field === 3) integers(reader, dimensions);
    else if (field === 4) elements.push(readShape(reader, messageEnd(reader)));
    else skip();
  });
  return { type, dimensions, elements };
}

function readInstruction(reader: Reader, end: number): HloInstruction {
  const read = { id: 0, name: '', opcode: '', parameter: 0, target: '', backendConfig: '' };
  let shape: HloShape = { type: 0, dimensions: [], elements: [] };
  const [operands, calls, contracted]: [number[], number[], number[]] = [[], [], []];
  fields(reader, end, (field, skip) => {
    switch (field) {
      case 1:
        read.name = reader.string();
        break;
      case 2:
        read.opcode = reader.string();
        break;
      case 3:
        shape = readShape(reader, messageEnd(reader));
        break;
      case 9:
        read.parameter = integer(reader);
        break;
      case 28:
        read.target = reader.string();
        break;
      case 30:
        fields(reader, messageEnd(reader), (inner, skipInner) => {
          if (inner === 1) integers(reader, contracted);
          else skipInner();
        });
        break;
      case 35:
        read.id = integer(reader);
        break;
      case 36:
        integers(reader, operands);
        break;
      case 38:
        integers(reader, calls);
        break;
      case 43:
        read.backendConfig = reader.string();
        break;
      default:
        skip();
    }
  });
  return { ...read, shape, operands, calls, contracted };
}

function readComputation(reader: Reader, end: number): HloComputation {
  const read = { id: 0, name: '', root: 0 };
  const instructions: HloInstruction[] = [];
  fields(reader, end, (field, skip) => {
    if (field === 1) read.name = reader.string();
    else if (field === 2) instructions.push(readInstruction(reader, messageEnd(reader)));
    else if (field === 5) read.id = integer(reader);
    else if (field === 6) read.root = integer(reader);
    else skip();
  });
  return { ...read, instructions };
}

/**
 * Reads a serialized `HloModuleProtoWithConfig`, as PJRT gives optimized programs. Field numbers are those of XLA's
 * `hlo.proto` and `xla_data.proto`.
 */
export function readHloModule(bytes: Uint8Array): HloModule {
  const reader = protobuf.Reader.create(bytes);
  const computations = new Map<number, HloComputation>();
  let entry = 0;
  fields(reader, reader.len, (outer, skipOuter) => {
    if (outer !== 1) return skipOuter();
    fields(reader, messageEnd(reader), (field, skip) => {
      if (field === 3) {
        const computation = readComputation(reader, messageEnd(reader));
        computations.set(computation.id, computation);
      } else if (field === 6) entry = integer(reader);
      else skip();
    });
  });
  return { entry, computations };
}

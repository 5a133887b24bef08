import { stringLiteral, unicodeLiteral } from './literals.ts';
import type { PickleMachine } from './machine.ts';
import type { OpcodeName } from './opcodes.ts';

const python2Text = (machine: PickleMachine, length: number): void =>
  machine.push(machine.reader.text(length));
const bytes = (machine: PickleMachine, length: number): void => {
  const { buffer, byteOffset, byteLength } = machine.reader.take(length);
  machine.push(new Uint8Array(buffer, byteOffset, byteLength));
};

/** What the machine does at an opcode. Those that are missing are refused: EXT1 and its kin, out-of-band buffers. */
export const instructions: Partial<Record<OpcodeName, (machine: PickleMachine) => void>> = {
  PROTO: (machine) => {
    const protocol = machine.reader.uint8();
    if (protocol > 5) throw machine.fault('OPCODE', `pickle protocol ${protocol}; 0 to 5 are read.`);
  },
  // A frame is a hint for reading ahead; where it is longer than the file the end will be missed anyway.
  FRAME: ({ reader }) => void reader.uint64(),
  MARK: (machine) => machine.mark(),
  POP: (machine) => machine.discard(),
  POP_MARK: (machine) => void machine.popMark(),
  DUP: (machine) => machine.push(machine.top()),
  NONE: (machine) => machine.push(null),
  NEWTRUE: (machine) => machine.push(true),
  NEWFALSE: (machine) => machine.push(false),
  INT: (machine) => {
    const start = machine.reader.position;
    const text = machine.reader.line().trim();
    if (text === '00' || text === '01') return machine.push(text === '01');
    machine.reader.position = start;
    machine.push(machine.reader.decimal());
  },
  LONG: (machine) => machine.push(machine.reader.decimal()),
  BININT: (machine) => machine.push(machine.reader.int32()),
  BININT1: (machine) => machine.push(machine.reader.uint8()),
  BININT2: (machine) => machine.push(machine.reader.uint16()),
  LONG1: (machine) => machine.push(machine.reader.long(machine.reader.uint8())),
  LONG4: (machine) => machine.push(machine.reader.long(machine.reader.uint32())),
  FLOAT: (machine) => machine.push(machine.reader.float()),
  BINFLOAT: (machine) => machine.push(machine.reader.float64()),
  STRING: (machine) => machine.text(stringLiteral(machine.reader.line())),
  UNICODE: (machine) => machine.text(unicodeLiteral(machine.reader.line())),
  BINSTRING: (machine) => python2Text(machine, machine.reader.uint32()),
  SHORT_BINSTRING: (machine) => python2Text(machine, machine.reader.uint8()),
  SHORT_BINUNICODE: (machine) => machine.push(machine.reader.text(machine.reader.uint8())),
  BINUNICODE: (machine) => machine.push(machine.reader.text(machine.reader.uint32())),
  BINUNICODE8: (machine) => machine.push(machine.reader.text(machine.reader.uint64())),
  SHORT_BINBYTES: (machine) => bytes(machine, machine.reader.uint8()),
  BINBYTES: (machine) => bytes(machine, machine.reader.uint32()),
  BINBYTES8: (machine) => bytes(machine, machine.reader.uint64()),
  BYTEARRAY8: (machine) => bytes(machine, machine.reader.uint64()),
  EMPTY_LIST: (machine) => machine.push([]),
  EMPTY_TUPLE: (machine) => machine.push([]),
  EMPTY_DICT: (machine) => machine.push(new Map()),
  EMPTY_SET: (machine) => machine.push(new Set()),
  LIST: (machine) => machine.push(machine.popMark()),
  TUPLE: (machine) => machine.push(machine.popMark()),
  TUPLE1: (machine) => machine.tuple(1),
  TUPLE2: (machine) => machine.tuple(2),
  TUPLE3: (machine) => machine.tuple(3),
  FROZENSET: (machine) => machine.push(new Set(machine.popMark())),
  DICT: (machine) => {
    const items = machine.popMark();
    machine.push(new Map());
    machine.setItems(items);
  },
  APPEND: (machine) => {
    const value = machine.pop();
    machine.append([value]);
  },
  APPENDS: (machine) => {
    const values = machine.popMark();
    machine.append(values);
  },
  ADDITEMS: (machine) => {
    const values = machine.popMark();
    machine.add(values);
  },
  SETITEM: (machine) => {
    const value = machine.pop();
    const key = machine.pop();
    machine.setItems([key, value]);
  },
  SETITEMS: (machine) => {
    const items = machine.popMark();
    machine.setItems(items);
  },
  PUT: (machine) => machine.remember(Number(machine.reader.decimal())),
  BINPUT: (machine) => machine.remember(machine.reader.uint8()),
  LONG_BINPUT: (machine) => machine.remember(machine.reader.uint32()),
  MEMOIZE: (machine) => machine.memoize(),
  GET: (machine) => machine.recall(Number(machine.reader.decimal())),
  BINGET: (machine) => machine.recall(machine.reader.uint8()),
  LONG_BINGET: (machine) => machine.recall(machine.reader.uint32()),
  GLOBAL: (machine) => {
    const module = machine.reader.line();
    machine.global(module, machine.reader.line());
  },
  STACK_GLOBAL: (machine) => {
    const name = machine.pop();
    machine.global(machine.pop(), name);
  },
  REDUCE: (machine) => {
    const args = machine.pop();
    machine.construct(machine.pop(), args);
  },
  NEWOBJ: (machine) => {
    const args = machine.pop();
    machine.construct(machine.pop(), args);
  },
  NEWOBJ_EX: (machine) => {
    const named = machine.pop();
    const args = machine.pop();
    if (!(named instanceof Map) || named.size > 0)
      throw machine.fault('FORBIDDEN', 'a call with named arguments.');
    machine.construct(machine.pop(), args);
  },
  OBJ: (machine) => {
    const [callee = null, ...args] = machine.popMark();
    machine.construct(callee, args);
  },
  INST: (machine) => {
    const module = machine.reader.line();
    machine.global(module, machine.reader.line());
    const callee = machine.pop();
    machine.construct(callee, machine.popMark());
  },
  BUILD: (machine) => machine.build(),
  PERSID: (machine) => machine.persistent(machine.reader.line()),
  BINPERSID: (machine) => machine.persistent(machine.pop()),
};
